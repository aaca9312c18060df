// What stands on a link, and its end together with the link.
#include "base/store.h"
#include "host/addresses.h"

namespace adit::engine {

Result<> Addresses::may_delete(const std::string& link) const {
  for (const auto& [name, record] : records_)
    if (record.interface == link) return fail(EBUSY, "link busy; it has the address {}", name);
  return {};
}

std::vector<LinkUser::Obstacle> Addresses::standing_on(const std::string& link) const {
  std::vector<Obstacle> obstacles;
  for (const auto& [name, record] : records_)
    if (record.interface == link) obstacles.push_back({"the address " + name, "ipadm delete-addr " + name});
  return obstacles;
}

// The kernel first: what is in it and in no file would be nobody's after a crash.
Result<> Addresses::take_off(const std::string& link, Undo& undo) {
  undo.add([this, link, interfaces = interfaces_, records = records_] {
    interfaces_ = interfaces;
    records_ = records;
    if (auto saved = save(); !saved)
      context_.events.add(Severity::alert, EventKind::address_failed, link, saved.error().text);
    for (auto& [name, record] : records_)
      if (record.interface == link) record.placed.reset();
    link_ready(link);
  });
  for (auto& [name, record] : records_)
    if (record.interface == link) TRY(take_out(record));
  crash_point("addresses:taken");
  interfaces_.erase(link);
  std::erase_if(records_, [&](const auto& entry) { return entry.second.interface == link; });
  return save();
}

}  // namespace adit::engine
