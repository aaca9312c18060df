// netstat -rn and route get: the kernel's tables in the words of links-and-addresses.md §5.
#include <algorithm>
#include <map>

#include "host/routes.h"
#include "linux/platform/mark.h"

namespace adit::engine {
namespace {

using net::Family;
using net::Prefix;
using platform::Route;

constexpr uint32_t kMainTable = 254;

std::string destination_of(const Prefix& prefix) {
  if (prefix.length() == 0) return "default";
  return prefix.is_host() ? prefix.address().str() : prefix.str();
}

std::string flags_of(const Route& route) {
  std::string flags = route.linkdown ? "" : "U";
  if (route.gateway) flags += 'G';
  if (route.destination.is_host()) flags += 'H';
  if (route.unreachable) flags += 'R';
  if (route.blackhole) flags += 'B';
  if (route.preferred_source && route.protocol == platform::kRouteProtocol) flags += 'S';
  return flags;
}

std::string mask_of(const Prefix& prefix) {
  if (prefix.length() == 0) return "default";
  if (!prefix.address().is_v4()) return fmt::format("/{}", prefix.length());
  return net::Address::v4(prefix.length() == 0 ? 0 : ~uint32_t{0} << (32 - prefix.length())).str();
}

}  // namespace

Result<std::vector<RouteRow>> Routes::table(std::optional<Family> family, bool all) const {
  TRY_ASSIGN(const auto interfaces, context_.platform.interfaces());
  TRY_ASSIGN(const auto addresses, context_.platform.addresses());
  std::map<int, std::string> names;
  for (const auto& interface : interfaces) names[interface.index] = interface.name;
  std::map<int, std::vector<platform::AddressInfo>> addresses_of;
  for (const auto& address : addresses) addresses_of[address.interface_index].push_back(address);
  const auto own_address = [&](const Route& route) -> std::string {
    for (const auto& address : addresses_of[route.interface_index])
      if (address.local.family() == route.destination.family()) return address.local.address().str();
    return {};
  };
  // An address of the host itself, which the kernel lists beside the networks: with `all` only, as on illumos.
  const auto leads_home = [&](const Route& route) {
    return route.destination.is_host() && !route.gateway &&
           std::ranges::any_of(addresses_of[route.interface_index], [&](const platform::AddressInfo& address) {
             return address.local.address() == route.destination.address();
           });
  };
  std::vector<std::pair<Prefix, RouteRow>> rows;
  for (const Family each : {Family::v4, Family::v6}) {
    if (family && *family != each) continue;
    TRY_ASSIGN(const auto routes, context_.platform.routes(each));
    for (const Route& route : routes) {
      const bool ours_to_list = route.table == kMainTable || route.table == platform::kGuardTable;
      const auto known = to(route.destination);
      const auto wanted = std::ranges::find_if(known, [&](const auto& item) {
        const auto& ours = item.second.placed;
        return ours && ours->gateway == route.gateway && ours->table == route.table &&
               ours->interface_index == route.interface_index && route.metric != platform::kCopyMetric;
      });
      const bool guard = route.table == platform::kGuardTable && wanted == known.end();
      if (!ours_to_list || ((guard || leads_home(route)) && !all)) continue;
      RouteRow row{.destination = destination_of(route.destination),
                   .flags = flags_of(route),
                   .interface = names[route.interface_index],
                   .v6 = each == Family::v6,
                   .guard = guard,
                   .metric = route.metric,
                   .table = route.table};
      row.gateway = route.gateway ? route.gateway->str() : route.interface_index == 0 ? "" : own_address(route);
      row.ours = wanted != known.end();
      row.persistent = row.ours && wanted->second.persistent;
      rows.emplace_back(route.destination, std::move(row));
    }
  }
  std::ranges::stable_sort(rows, {}, [](const auto& entry) { return std::tuple(entry.second.v6, entry.first); });
  std::vector<RouteRow> result;
  result.reserve(rows.size());
  for (auto& [prefix, row] : rows) result.push_back(std::move(row));
  return result;
}

Result<RouteAnswer> Routes::get(std::span<const std::string> words) const {
  TRY_ASSIGN(const RouteCommand command, parse_route_command(words, false));
  const auto way = context_.platform.lookup_route(command.destination.address(), 0);
  if (!way)
    return fail(way.error().code, "writing to routing socket: {}",
                way.error().code == ENETUNREACH ? "not in table" : way.error().text);
  Prefix matched = way->destination;  // a kernel that answers with the host itself: the table has the network
  if (matched.is_host()) {
    TRY_ASSIGN(const auto routes, context_.platform.routes(command.family()));
    std::optional<Prefix> longest;
    for (const Route& route : routes)
      if ((route.table == kMainTable || route.table == platform::kGuardTable) &&
          route.interface_index == way->interface_index && route.gateway == way->gateway &&
          route.destination.contains(command.destination.address()) &&
          (!longest || route.destination.length() > longest->length()))
        longest = route.destination;
    matched = longest.value_or(matched);
  }
  RouteAnswer answer{.route_to = command.destination.address().str(),
                     .destination = matched.length() == 0 ? "default" : matched.address().str(),
                     .mask = matched.is_host() ? "" : mask_of(matched),
                     .gateway = way->gateway ? way->gateway->str() : ""};
  answer.flags = std::string("<UP") + (way->gateway ? ",GATEWAY" : "") + (matched.is_host() ? ",HOST" : "") + ",DONE>";
  const auto interfaces = context_.platform.interfaces();
  if (!interfaces) return answer;
  for (const auto& interface : *interfaces) {
    if (interface.index != way->interface_index) continue;
    answer.interface = interface.name;
    answer.mtu = interface.mtu;
  }
  return answer;
}

}  // namespace adit::engine
