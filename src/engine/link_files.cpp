// Where links are remembered: datalink.conf for the next boot, links.cache in the run directory for the next daemon.
#include <algorithm>

#include "base/store.h"
#include "engine/links.h"

namespace adit::engine {
namespace {
constexpr const char* kStored = "/etc/dladm/datalink.conf";
constexpr const char* kActive = "links.cache";
constexpr mode_t kMode = 0600;  // the property ipsec stands in it: a policy is not told to everybody
}  // namespace

Result<> Links::save_stored() const {
  DatalinkConf conf;
  conf.others = foreign_lines_;
  conf.broken = broken_lines_;
  for (const auto& [name, tunnel] : tunnels_) {
    if (!tunnel.stored) continue;
    conf.tunnels.push_back(*tunnel.stored);
    conf.tunnels.back().had_policy = false;
  }
  for (const auto& [name, record] : resting_) conf.tunnels.push_back(record);
  return replace_file(context_.in_root(kStored), format_datalink_conf(conf), kMode, Lasting::disk, "datalink.conf");
}

Result<> Links::save_active() const {
  DatalinkConf conf;
  std::unordered_map<std::string_view, bool> half;
  for (const TunnelRecord& record : half_made_) half.emplace(record.name, true);
  for (const auto& [name, tunnel] : tunnels_) {
    if (!half.contains(name)) conf.tunnels.push_back(tunnel.active);
  }
  for (const TunnelRecord& record : aside_) conf.tunnels.push_back(record);
  const auto undo_at_start = [&](const TunnelRecord& record) {
    conf.tunnels.push_back(record);
    conf.tunnels.back().temporary = false;
  };
  for (const TunnelRecord& record : half_made_) undo_at_start(record);
  for (const auto& [name, record] : left_over_)
    if (!half.contains(name)) undo_at_start(record);
  return replace_file(context_.in_run(kActive), format_datalink_conf(conf), kMode, Lasting::boot, "links.cache");
}

Result<DatalinkConf> Links::load(const std::string& path) {
  TRY_ASSIGN(const auto text, read_file(path));
  return text ? parse_datalink_conf(*text) : DatalinkConf{};
}

// datalink.conf first: with it the change is done, and the serial tells the next daemon if links.cache is older.
Result<> Links::save_changed(Tunnel& tunnel, bool persistent) {
  if (persistent && tunnel.stored) {
    tunnel.active.serial = ++tunnel.stored->serial;
    TRY(save_stored());
  }
  return save_active();
}

// A line that cannot be read takes its own tunnel away and no other. Of the tunnel it is about nothing is undone, since
// it was made whole; what an unreadable line of links.cache said of rules is taken to be that there were some.
Result<Links::Remembered> Links::remembered() const {
  TRY_ASSIGN(const DatalinkConf stored, load(context_.in_root(kStored)));
  TRY_ASSIGN(const DatalinkConf active, load(context_.in_run(kActive)));
  Remembered remembered{.foreign_lines = stored.others, .broken_lines = stored.broken, .lost = active.broken};
  std::map<std::string, const TunnelRecord*> since_boot;
  for (const auto& record : active.tunnels) since_boot.emplace(record.name, &record);
  const auto may_be_about = [](const std::vector<BrokenLine>& lines, const std::string& name) {
    return std::ranges::any_of(lines, [&](const BrokenLine& line) { return line.name.empty() || line.name == name; });
  };
  for (const auto& record : stored.tunnels) {
    const auto left = since_boot.extract(record.name);
    const TunnelRecord* last = left.empty() ? nullptr : left.mapped();
    const bool whole = last && last->id == record.id && !last->temporary && last->serial == record.serial;
    remembered.tunnels.emplace_back(whole ? *last : record, record);
    remembered.tunnels.back().first.had_policy = last ? last->had_policy : may_be_about(active.broken, record.name);
  }
  for (const auto& [name, record] : since_boot) {
    if (record->temporary)
      remembered.tunnels.emplace_back(*record, std::nullopt);
    else if (may_be_about(stored.broken, name))
      remembered.aside.push_back(*record);
    else
      remembered.half_made.push_back(*record);
  }
  return remembered;
}

void Links::tell_broken(const std::string& path, const std::vector<BrokenLine>& lines) const {
  for (const BrokenLine& line : lines)
    context_.events.add(
        Severity::alert, "link.unreadable", line.name,
        fmt::format("{}:{}:{}: {}; {} is not there, and what the guard closes for it stays closed; repair the line and "
                    "start aditd again{}",
                    path, line.line, line.column, line.why, line.name.empty() ? "its tunnel" : line.name,
                    line.name.empty() ? ", or delete it"
                                      : fmt::format(", or delete it with 'dladm delete-iptun {}'", line.name)));
}

const BrokenLine* Links::broken_line_of(const std::string& name) const {
  const auto found = std::ranges::find(broken_lines_, name, &BrokenLine::name);
  return found == broken_lines_.end() ? nullptr : &*found;
}

Result<> Links::restore() {
  TRY_ASSIGN(Remembered remembered, Links::remembered());
  foreign_lines_ = std::move(remembered.foreign_lines);
  broken_lines_ = std::move(remembered.broken_lines);
  aside_ = std::move(remembered.aside);
  tell_broken(context_.in_root(kStored), broken_lines_);
  tell_broken(context_.in_run(kActive), remembered.lost);
  constexpr uint32_t kSaneId = 1U << 31U;
  for (const BrokenLine& line : broken_lines_)
    if (line.id < kSaneId) next_id_ = std::max(next_id_, line.id + 1);
  std::vector<TunnelRecord> records;
  for (const auto& [record, kept] : remembered.tunnels) records.push_back(record);
  ask_names(records);
  for (auto& [record, kept] : remembered.tunnels) adopt(std::move(record), std::move(kept));
  for (const TunnelRecord& record : remembered.half_made) undo_half_made(record);
  return save_active();
}

}  // namespace adit::engine
