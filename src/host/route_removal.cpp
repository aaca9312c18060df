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

// ---- where to find them

Routes::All::iterator Routes::keep(Wanted wanted) {
  const net::Prefix destination = wanted.command.destination.masked();
  const auto at = wanted_.emplace(destination, std::move(wanted));
  note(at->second);
  return at;
}

void Routes::note(const Wanted& wanted) {
  const net::Prefix destination = wanted.command.destination.masked();
  if (!wanted.placed) waiting_.insert(destination);
  if (const auto tunnel = links_.tunnel(wanted.tunnel); tunnel && !tunnel->secured) before_others_.insert(destination);
  if (!wanted.tunnel.empty()) towards_[wanted.tunnel].insert(destination);
  if (wanted.command.interface) towards_[*wanted.command.interface].insert(destination);
  if (wanted.command.gateway_is_interface) towards_[wanted.command.gateway_text].insert(destination);
  if (wanted.command.source) sources_.insert(*wanted.command.source);
}

Routes::All::iterator Routes::forget(All::iterator at) {
  const net::Prefix destination = at->first;
  std::vector<std::string> links{at->second.tunnel, at->second.command.gateway_text};
  if (at->second.command.interface) links.push_back(*at->second.command.interface);
  const auto next = wanted_.erase(at);
  if (wanted_.contains(destination)) return next;
  waiting_.erase(destination);
  before_others_.erase(destination);
  for (const std::string& link : links) {
    const auto found = towards_.find(link);
    if (found == towards_.end()) continue;
    found->second.erase(destination);
    if (found->second.empty()) towards_.erase(found);
  }
  return next;
}

std::ranges::subrange<Routes::All::iterator> Routes::to(const net::Prefix& destination) {
  const auto [first, last] = wanted_.equal_range(destination.masked());
  return {first, last};
}

std::ranges::subrange<Routes::All::const_iterator> Routes::to(const net::Prefix& destination) const {
  const auto [first, last] = wanted_.equal_range(destination.masked());
  return {first, last};
}

std::vector<Routes::All::iterator> Routes::leading_into(const std::string& link) {
  std::vector<All::iterator> all;
  const auto found = towards_.find(link);
  if (found == towards_.end()) return all;
  for (const net::Prefix& destination : found->second) {
    const auto range = to(destination);
    for (auto at = range.begin(); at != range.end(); ++at)
      if (leads_into(at->second, link)) all.push_back(at);
  }
  return all;
}

// ---- what stands on a link

std::vector<LinkUser::Obstacle> Routes::standing_on(const std::string& link) const {
  std::vector<Obstacle> obstacles;
  const auto found = towards_.find(link);
  if (found == towards_.end()) return obstacles;
  for (const net::Prefix& destination : found->second)
    for (const auto& [prefix, wanted] : to(destination)) {
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
  std::vector<Wanted> before;
  for (const auto at : leading_into(link)) {
    before.push_back(at->second);
    if (at->second.persistent) stored.push_back(at->second.command);
  }
  if (!stored.empty()) {
    stored_at_ = context_.clock.now();
    TRY_ASSIGN(const auto lines, file_.take_out(stored));
    undo.add([this, lines] {
      if (auto back = file_.put_back(lines); !back)
        context_.events.add(Severity::alert, EventKind::route_failed, "", back.error().text);
    });
    crash_point("routes:unstored");
  }
  undo.add([this, link, before] {
    for (const auto at : leading_into(link)) forget(at);
    for (const Wanted& wanted : before) keep(wanted);
    if (!before.empty()) reassert();
  });
  for (const Wanted& wanted : before) {
    if (!wanted.placed) continue;
    auto removed = context_.platform.remove_route(*wanted.placed);
    if (!removed && removed.error().code != ESRCH && removed.error().code != ENODEV) return removed;
    context_.steps.route_removed(wanted.placed->destination, link);
  }
  for (const auto at : leading_into(link)) forget(at);
  return {};
}

}  // namespace adit::engine
