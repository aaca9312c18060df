// What stands on a link, and its end together with the link.
#include "base/store.h"
#include "host/addresses.h"

namespace adit::engine {

Result<> Addresses::may_delete(const std::string& link) const {
  for (const auto& [name, record] : on(link)) return fail(EBUSY, "link busy; it has the address {}", name);
  return {};
}

std::vector<LinkUser::Obstacle> Addresses::standing_on(const std::string& link) const {
  std::vector<Obstacle> obstacles;
  for (const auto& [name, record] : on(link)) obstacles.push_back({"the address " + name, "ipadm delete-addr " + name});
  return obstacles;
}

// The kernel first: what is in it and in no file would be nobody's after a crash.
Result<> Addresses::take_off(const std::string& link, Undo& undo) {
  const auto plumbed = interfaces_.find(link);
  undo.add([this, link, interface = plumbed == interfaces_.end() ? std::nullopt : std::optional(plumbed->second),
            records = Objects(on(link).begin(), on(link).end())] {
    if (interface) interfaces_.insert_or_assign(link, *interface);
    for (const auto& [name, record] : records) records_.insert_or_assign(name, record);
    if (auto saved = save({link}); !saved)
      context_.events.add(Severity::alert, EventKind::address_failed, link, saved.error().text);
    for (auto& [name, record] : on(link)) record.placed.reset();
    link_ready(link);
  });
  for (auto& [name, record] : on(link)) TRY(take_out(record));
  crash_point("addresses:taken");
  interfaces_.erase(link);
  records_.erase(on(link).begin(), on(link).end());
  return save({link});
}

}  // namespace adit::engine
