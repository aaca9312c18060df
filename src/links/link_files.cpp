// Where links are remembered: datalink.conf for the next boot, links.cache in the run directory for the next daemon.
#include <algorithm>

#include "links/links.h"

namespace adit::engine {
namespace {

constexpr Seconds kUntilWritten{1};  // without a change: then datalink.conf takes up its journal

TunnelRecord undone_at_start(TunnelRecord record) {
  record.temporary = false;
  return record;
}

}  // namespace

std::optional<TunnelRecord> Links::stored_record(const std::string& name) const {
  std::optional<TunnelRecord> record;
  const auto found = tunnels_.find(name);
  if (found != tunnels_.end()) record = found->second.stored;
  if (record) record->had_policy = false;
  const auto resting = resting_.find(name);
  return record || resting == resting_.end() ? record : std::optional(resting->second);
}

std::optional<TunnelRecord> Links::active_record(const std::string& name) const {
  if (const auto half = half_made_.find(name); half != half_made_.end()) return undone_at_start(half->second);
  if (const auto left = left_over_.find(name); left != left_over_.end()) return undone_at_start(left->second);
  if (const auto found = tunnels_.find(name); found != tunnels_.end()) return found->second.active;
  const auto aside = std::ranges::find(aside_, name, &TunnelRecord::name);
  return aside == aside_.end() ? std::nullopt : std::optional(*aside);
}

DatalinkConf Links::stored_conf() const {
  DatalinkConf conf;
  conf.others = foreign_lines_;
  conf.broken = broken_lines_;
  for (const auto& [name, tunnel] : tunnels_)
    if (tunnel.stored) conf.tunnels.push_back(*stored_record(name));
  for (const auto& [name, record] : resting_) conf.tunnels.push_back(record);
  return conf;
}

DatalinkConf Links::active_conf() const {
  DatalinkConf conf;
  std::set<std::string> names;
  for (const auto& [name, tunnel] : tunnels_) names.insert(name);
  for (const auto& [name, record] : half_made_) names.insert(name);
  for (const auto& [name, record] : left_over_) names.insert(name);
  for (const TunnelRecord& record : aside_) names.insert(record.name);
  for (const std::string& name : names) conf.tunnels.push_back(*active_record(name));
  return conf;
}

Result<> Links::save_stored(const std::vector<std::string>& names) {
  std::vector<LinkChange> changes;
  changes.reserve(names.size());
  for (const std::string& name : names) changes.push_back({name, stored_record(name)});
  stored_at_ = context_.clock.now();
  return stored_file_.change(changes, [this] { return stored_conf(); });
}

Result<> Links::save_active(const std::vector<std::string>& names) {
  std::vector<LinkChange> changes;
  changes.reserve(names.size());
  for (const std::string& name : names) changes.push_back({name, active_record(name)});
  return active_file_.change(changes, [this] { return active_conf(); });
}

// Nobody has to read a journal to know which tunnels there are.
void Links::write_stored() {
  if (!stored_file_.owes() || context_.clock.now() - stored_at_ < kUntilWritten) return;
  stored_at_ = context_.clock.now();
  if (auto written = stored_file_.write(stored_conf()); !written)
    context_.events.add(Severity::warning, EventKind::link_not_saved, "", written.error().text);
}

// datalink.conf first: with it the change is done, and the serial tells the next daemon if links.cache is older.
Result<> Links::save_changed(Tunnel& tunnel, bool persistent) {
  if (persistent && tunnel.stored) {
    tunnel.active.serial = ++tunnel.stored->serial;
    TRY(save_stored({tunnel.active.name}));
  }
  return save_active({tunnel.active.name});
}

// A line that cannot be read takes its own tunnel away and no other. Of the tunnel it is about nothing is undone, since
// it was made whole; what an unreadable line of links.cache said of rules is taken to be that there were some.
Result<Links::Remembered> Links::remembered() {
  TRY_ASSIGN(const DatalinkConf stored, stored_file_.load());
  TRY_ASSIGN(const DatalinkConf active, active_file_.load());
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
        Severity::alert, EventKind::link_unreadable, line.name,
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
  tell_broken(stored_file_.path(), broken_lines_);
  tell_broken(active_file_.path(), remembered.lost);
  constexpr uint32_t kSaneId = 1U << 31U;
  for (const BrokenLine& line : broken_lines_)
    if (line.id < kSaneId) next_id_ = std::max(next_id_, line.id + 1);
  std::vector<TunnelRecord> records;
  records.reserve(remembered.tunnels.size());
  for (const auto& [record, kept] : remembered.tunnels) records.push_back(record);
  ask_names(records);
  for (auto& [record, kept] : remembered.tunnels) adopt(std::move(record), std::move(kept));
  for (const TunnelRecord& record : remembered.half_made) undo_half_made(record);
  return active_file_.write(active_conf());
}

}  // namespace adit::engine
