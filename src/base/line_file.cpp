#include "base/line_file.h"

#include <fmt/format.h>

#include <list>
#include <unordered_map>

#include "base/journal_groups.h"

namespace adit {
namespace {

constexpr mode_t kMode = 0644;
constexpr size_t kFew = 64;         // lines, up to which the file is written with each change
constexpr size_t kLinesKept = 256;  // of a journal, besides as many as twice those of the file
const JournalGroups kGroups{"lines", "1"};

// Each line of a text; the last one may lack its line feed.
void each_line(std::string_view text, const auto& visit) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    visit(line);
  }
}

// In order, and each found by what it says.
class Listing {
 public:
  explicit Listing(std::string_view text) {
    each_line(text, [&](std::string_view line) { add(line); });
  }
  void add(std::string_view line) {
    lines_.emplace_back(line);
    places_.emplace(lines_.back(), std::prev(lines_.end()));
  }
  void erase(std::string_view line) {
    const auto [first, last] = places_.equal_range(line);
    std::vector<Place> gone;
    for (auto at = first; at != last; ++at) gone.push_back(at->second);
    places_.erase(first, last);
    for (const Place place : gone) lines_.erase(place);
  }
  [[nodiscard]] LineFile::Lines all() const { return {lines_.begin(), lines_.end()}; }

 private:
  using Place = std::list<std::string>::iterator;
  std::list<std::string> lines_;
  std::unordered_multimap<std::string_view, Place> places_;
};

}  // namespace

LineFile::LineFile(std::string path, Lasting lasting, std::string point)
    : path_(std::move(path)),
      journal_(path_ + ".journal"),
      lasting_(lasting),
      point_(std::move(point)),
      journal_point_(point_ + ".journal") {}

void LineFile::look() {
  struct stat now{};
  seen_ = ::stat(path_.c_str(), &now) == 0 ? std::optional(now) : std::nullopt;
}

bool LineFile::touched() const {
  struct stat now{};
  if (::stat(path_.c_str(), &now) != 0) return seen_.has_value();
  return !seen_ || seen_->st_ino != now.st_ino || seen_->st_size != now.st_size ||
         seen_->st_mtim.tv_sec != now.st_mtim.tv_sec || seen_->st_mtim.tv_nsec != now.st_mtim.tv_nsec;
}

// A line that comes again, because the file took it up before the journal went, stands once.
Result<LineFile::Lines> LineFile::load(bool* damaged) {
  look();
  TRY_ASSIGN(const auto text, read_file(path_));
  TRY_ASSIGN(const auto journal, read_file(journal_));
  if (journal && kGroups.is_of_another_version(*journal))
    return fail(
        EPROTONOSUPPORT,
        "{} was written by another version of Adit, which this one cannot read; start and stop that version once, "
        "which takes it up into {}",
        journal_, path_);
  Listing lines(text ? std::string_view(*text) : std::string_view());
  in_journal_ = 0;
  std::string_view rest = journal ? std::string_view(*journal) : std::string_view();
  if (rest.starts_with(kGroups.first_line())) rest.remove_prefix(kGroups.first_line().size());
  while (!rest.empty()) {
    bool fits = false;
    const std::string_view group = JournalGroups::next(rest, fits);
    if (group.empty()) break;
    if (!fits && damaged != nullptr) *damaged = true;
    if (!fits) continue;
    each_line(group, [&](std::string_view line) {
      const std::string_view says = line.substr(std::min<size_t>(line.size(), 2));
      lines.erase(says);
      if (line.starts_with("+ ")) lines.add(says);
      ++in_journal_;
    });
  }
  journal_whole_ = rest.empty();
  if (journal && !journal->empty()) in_journal_ = std::max<size_t>(in_journal_, 1);
  Lines all = lines.all();
  in_file_ = all.size();
  return all;
}

// The file first: until the journal goes it says the same again.
Result<> LineFile::write(const Lines& whole) {
  std::string text;
  for (const std::string& line : whole) text += line + "\n";
  TRY(replace_file(path_, text, kMode, lasting_, point_));
  in_file_ = whole.size();
  look();
  if (in_journal_ == 0 && journal_whole_) return {};
  TRY(remove_file(journal_));
  in_journal_ = 0;
  journal_whole_ = true;
  return {};
}

Result<> LineFile::change(const Change& change, const std::function<Result<Lines>()>& whole) {
  const auto write_whole = [&]() -> Result<> {
    TRY_ASSIGN(const Lines lines, whole());
    return write(lines);
  };
  if (change.gone.empty() && change.come.empty()) return {};
  if ((in_journal_ == 0 && in_file_ < kFew) || !journal_whole_) return write_whole();
  std::string group;
  for (const std::string& line : change.gone) group += fmt::format("- {}\n", line);
  for (const std::string& line : change.come) group += fmt::format("+ {}\n", line);
  const std::string first = in_journal_ == 0 ? kGroups.first_line() : std::string();
  TRY(append_to_file({journal_, kMode, true, lasting_, journal_point_}, first + JournalGroups::closed(group),
                     journal_whole_));
  in_journal_ += change.gone.size() + change.come.size();
  if (in_journal_ > 2 * in_file_ + kLinesKept) (void)write_whole();  // it is on disk already
  return {};
}

}  // namespace adit
