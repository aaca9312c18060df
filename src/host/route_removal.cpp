// Routes that lead into a tunnel, and their end together with it.
#include "base/store.h"
#include "host/routes.h"

namespace adit::engine {

// Into it by its gateway, now; or by its name, now or when the tunnel comes.
bool Routes::leads_into(const Wanted& wanted, const std::string& link) {
  if (wanted.placed) return wanted.tunnel == link;
  return wanted.command.interface == link ||
         (wanted.command.gateway_is_interface && wanted.command.gateway_text == link);
}

std::vector<LinkUser::Obstacle> Routes::standing_on(const std::string& link) const {
  std::vector<Obstacle> obstacles;
  for (const Wanted& wanted : wanted_) {
    if (!leads_into(wanted, link)) continue;
    std::string words;
    for (const std::string& word : wanted.command.words) words += " " + word;
    obstacles.push_back({"the route to " + wanted.command.destination_text,
                         fmt::format("adit route{} delete{}", wanted.persistent ? " -p" : "", words)});
  }
  return obstacles;
}

Result<> Routes::take_off(const std::string& link, Undo& undo) {
  std::vector<RouteCommand> stored;
  for (const Wanted& wanted : wanted_)
    if (wanted.persistent && leads_into(wanted, link)) stored.push_back(wanted.command);
  if (!stored.empty()) {
    TRY_ASSIGN(const std::string text, file_.take_out(stored));
    undo.add([this, text] {
      if (auto back = file_.put_back(text); !back)
        context_.events.add(Severity::alert, EventKind::route_failed, "", back.error().text);
    });
    crash_point("routes:unstored");
  }
  undo.add([this, before = wanted_] {
    wanted_ = before;
    reassert();
  });
  for (const Wanted& wanted : wanted_) {
    if (!leads_into(wanted, link) || !wanted.placed) continue;
    auto removed = context_.platform.remove_route(*wanted.placed);
    if (!removed && removed.error().code != ESRCH && removed.error().code != ENODEV) return removed;
    context_.steps.route_removed(wanted.placed->destination, link);
  }
  std::erase_if(wanted_, [&](const Wanted& wanted) { return leads_into(wanted, link); });
  return {};
}

}  // namespace adit::engine
