#include "links/files/link_file.h"

#include <algorithm>
#include <map>

#include "base/journal_groups.h"

namespace adit::engine {
namespace {

constexpr mode_t kMode = 0600;      // the property ipsec stands in it: a policy is not told to everybody
constexpr size_t kFew = 64;         // links, up to which the file is written with each change
constexpr size_t kLinesKept = 256;  // of a journal, besides as many as twice the links
const JournalGroups kGroups{"links", "1"};

std::string group_of(const std::vector<LinkChange>& changes) {
  DatalinkConf lines;
  std::string gone;
  for (const LinkChange& change : changes) {
    if (change.record)
      lines.tunnels.push_back(*change.record);
    else
      gone += fmt::format("# gone {}\n", change.name);
  }
  return JournalGroups::closed(gone + format_datalink_lines(lines));
}

}  // namespace

LinkFile::LinkFile(std::string path, Lasting lasting, std::string point)
    : path_(std::move(path)),
      journal_(path_ + ".journal"),
      lasting_(lasting),
      point_(std::move(point)),
      journal_point_(point_ + ".journal") {}

// One after the other, so that of two words about a link the later counts.
void LinkFile::apply(std::string_view group, DatalinkConf& conf) {
  constexpr std::string_view kGone = "# gone ";
  std::map<std::string, std::optional<TunnelRecord>> words;
  DatalinkConf lines = parse_datalink_conf(group);
  for (auto& record : lines.tunnels) words[record.name] = std::move(record);
  for (std::string_view rest = group; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.starts_with(kGone)) words.try_emplace(std::string(line.substr(kGone.size())));
  }
  std::erase_if(conf.tunnels, [&](const TunnelRecord& record) { return words.contains(record.name); });
  std::erase_if(conf.broken, [&](const BrokenLine& line) { return words.contains(line.name); });
  for (auto& [name, record] : words)
    if (record) conf.tunnels.push_back(std::move(*record));
  std::ranges::move(lines.broken, std::back_inserter(conf.broken));
  in_journal_ += words.size();
}

// Neither what a damaged change says of a link is believed, nor what was said of it before.
void LinkFile::doubt(std::string_view group, DatalinkConf& conf) const {
  DatalinkConf doubted = parse_datalink_conf(group);
  for (const auto& record : doubted.tunnels) {
    DatalinkConf one;
    one.tunnels.push_back(record);
    std::string line = format_datalink_lines(one);
    line.pop_back();
    doubted.broken.push_back({0, 0, std::move(line), record.name, static_cast<uint32_t>(record.id),
                              fmt::format("{}: a checksum does not fit", journal_)});
  }
  for (BrokenLine& line : doubted.broken) {
    std::erase_if(conf.tunnels, [&](const TunnelRecord& there) { return there.name == line.name; });
    conf.broken.push_back(std::move(line));
  }
}

Result<DatalinkConf> LinkFile::load() {
  TRY_ASSIGN(const auto text, read_file(path_));
  TRY_ASSIGN(const auto journal, read_file(journal_));
  if (journal && kGroups.is_of_another_version(*journal))
    return fail(
        EPROTONOSUPPORT,
        "{} was written by another version of Adit, which this one cannot read; start and stop that version once, "
        "which takes it up into {}",
        journal_, path_);
  DatalinkConf conf = text ? parse_datalink_conf(*text) : DatalinkConf{};
  in_file_ = conf.tunnels.size();
  in_journal_ = 0;
  std::string_view rest = journal ? std::string_view(*journal) : std::string_view();
  if (rest.starts_with(kGroups.first_line())) rest.remove_prefix(kGroups.first_line().size());
  while (!rest.empty()) {
    bool fits = false;
    const std::string_view group = JournalGroups::next(rest, fits);
    if (group.empty()) break;
    if (fits) {
      apply(group, conf);
      continue;
    }
    doubt(group, conf);
  }
  journal_whole_ = rest.empty();
  if (journal && !journal->empty()) in_journal_ = std::max<size_t>(in_journal_, 1);
  return conf;
}

// The file first: until the journal goes it says the same again.
Result<> LinkFile::write(const DatalinkConf& whole) {
  TRY(replace_file(path_, format_datalink_conf(whole), kMode, lasting_, point_));
  in_file_ = whole.tunnels.size();
  if (in_journal_ == 0 && journal_whole_) return {};
  TRY(remove_file(journal_));
  in_journal_ = 0;
  journal_whole_ = true;
  return {};
}

Result<> LinkFile::change(const std::vector<LinkChange>& changes, const std::function<DatalinkConf()>& whole) {
  if ((in_journal_ == 0 && in_file_ < kFew) || !journal_whole_) return write(whole());
  const std::string first = in_journal_ == 0 ? kGroups.first_line() : std::string();
  TRY(append_to_file({journal_, kMode, true, lasting_, journal_point_}, first + group_of(changes), journal_whole_));
  in_journal_ += changes.size();
  if (in_journal_ > 2 * in_file_ + kLinesKept) (void)write(whole());  // it is on disk already
  return {};
}

}  // namespace adit::engine
