// Where links are remembered: datalink.conf for the next boot, links.cache in the run directory for the next daemon.
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
  const auto undo_at_start = [&](const TunnelRecord& record) {
    conf.tunnels.push_back(record);
    conf.tunnels.back().temporary = false;
  };
  for (const TunnelRecord& record : half_made_) undo_at_start(record);
  for (const auto& [name, record] : left_over_)
    if (!half.contains(name)) undo_at_start(record);
  return replace_file(context_.in_run(kActive), format_datalink_conf(conf), kMode, Lasting::boot, "links.cache");
}

Result<DatalinkConf> Links::load(const std::string& path) const {
  TRY_ASSIGN(const auto text, read_file(path));
  if (!text) return DatalinkConf{};
  auto conf = parse_datalink_conf(*text);
  if (!conf)
    return fail(EINVAL,
                "{}: {}; repair the line, or delete it: without the list of tunnels aditd does not start, and what the "
                "guard closes stays closed",
                path, conf.error().text);
  return conf;
}

// datalink.conf first: with it the change is done, and the serial tells the next daemon if links.cache is older.
Result<> Links::save_changed(Tunnel& tunnel, bool persistent) {
  if (persistent && tunnel.stored) {
    tunnel.active.serial = ++tunnel.stored->serial;
    TRY(save_stored());
  }
  return save_active();
}

Result<Links::Remembered> Links::remembered() const {
  TRY_ASSIGN(const DatalinkConf stored, load(context_.in_root(kStored)));
  TRY_ASSIGN(const DatalinkConf active, load(context_.in_run(kActive)));
  Remembered remembered{.foreign_lines = stored.others};
  std::map<std::string, const TunnelRecord*> since_boot;
  for (const auto& record : active.tunnels) since_boot.emplace(record.name, &record);
  for (const auto& record : stored.tunnels) {
    const auto left = since_boot.extract(record.name);
    const TunnelRecord* last = left.empty() ? nullptr : left.mapped();
    const bool whole = last && last->id == record.id && !last->temporary && last->serial == record.serial;
    remembered.tunnels.emplace_back(whole ? *last : record, record);
    if (last) remembered.tunnels.back().first.had_policy = last->had_policy;
  }
  for (const auto& [name, record] : since_boot) {
    if (record->temporary)
      remembered.tunnels.emplace_back(*record, std::nullopt);
    else
      remembered.half_made.push_back(*record);
  }
  return remembered;
}

Result<> Links::restore() {
  TRY_ASSIGN(Remembered remembered, Links::remembered());
  foreign_lines_ = std::move(remembered.foreign_lines);
  std::vector<TunnelRecord> records;
  for (const auto& [record, kept] : remembered.tunnels) records.push_back(record);
  ask_names(records);
  for (auto& [record, kept] : remembered.tunnels) adopt(std::move(record), std::move(kept));
  for (const TunnelRecord& record : remembered.half_made) undo_half_made(record);
  return save_active();
}

}  // namespace adit::engine
