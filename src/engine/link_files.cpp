// Where links are remembered: datalink.conf for the next boot, links.cache in the run directory for the next daemon.
#include "engine/links.h"
#include "engine/store.h"

namespace adit::engine {
namespace {
constexpr const char* kStored = "/etc/dladm/datalink.conf";
constexpr const char* kActive = "links.cache";
}  // namespace

Result<> Links::save_stored() const {
  DatalinkConf conf;
  conf.others = foreign_lines_;
  for (const auto& [name, tunnel] : tunnels_) {
    if (!tunnel.stored) continue;
    conf.tunnels.push_back(*tunnel.stored);
    conf.tunnels.back().had_policy = false;
  }
  return replace_file(context_.in_root(kStored), format_datalink_conf(conf), 0644, Lasting::disk, "datalink.conf");
}

// A tunnel that is not yet made (or renamed) whole stands here as a persistent one: a daemon that finds it here and not
// in datalink.conf undoes it.
Result<> Links::save_active(const TunnelRecord* half_made) const {
  DatalinkConf conf;
  for (const auto& [name, tunnel] : tunnels_) {
    if (half_made == nullptr || tunnel.active.name != half_made->name) conf.tunnels.push_back(tunnel.active);
  }
  if (half_made != nullptr) {
    conf.tunnels.push_back(*half_made);
    conf.tunnels.back().temporary = false;
  }
  return replace_file(context_.in_run(kActive), format_datalink_conf(conf), 0644, Lasting::boot, "links.cache");
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

Result<> Links::restore() {
  TRY_ASSIGN(const DatalinkConf stored, load(context_.in_root(kStored)));
  TRY_ASSIGN(const DatalinkConf active, load(context_.in_run(kActive)));
  foreign_lines_ = stored.others;
  std::map<std::string, const TunnelRecord*> since_boot;
  for (const auto& record : active.tunnels) since_boot.emplace(record.name, &record);

  for (const auto& record : stored.tunnels) {
    const auto changed = since_boot.extract(record.name);
    const bool same = !changed.empty() && changed.mapped()->id == record.id && !changed.mapped()->temporary;
    adopt(same ? *changed.mapped() : record, record);
  }
  for (const auto& [name, record] : since_boot) {
    if (record->temporary)
      adopt(*record, std::nullopt);
    else
      undo_half_made(*record);
  }
  return save_active();
}

}  // namespace adit::engine
