#include "engine/guard_book.h"

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>

namespace adit::engine {
namespace {

constexpr std::array<std::pair<GuardSource, std::string_view>, 5> kNames{{{GuardSource::address, "address"},
                                                                          {GuardSource::route, "route"},
                                                                          {GuardSource::policy, "policy"},
                                                                          {GuardSource::seen, "seen"},
                                                                          {GuardSource::kept, "kept"}}};
constexpr std::string_view kHold = "#hold ", kExcept = "#except ";

std::optional<GuardSource> source_named(std::string_view name) {
  for (const auto& [source, text] : kNames) {
    if (text == name) return source;
  }
  return std::nullopt;
}

Result<> parse_hold(std::string_view rest, GuardBook& book) {
  std::istringstream words{std::string(rest)};
  std::string network, tunnel, lasting, source;
  words >> network >> tunnel >> lasting;
  TRY_ASSIGN(const net::Prefix prefix, net::Prefix::parse(network));
  if (lasting != "lasting" && lasting != "temporary")
    return fail(EINVAL, "'{}' is neither lasting nor temporary", lasting);
  bool any = false;
  while (words >> source) {
    const auto known = source_named(source);
    if (!known) return fail(EINVAL, "unknown reason '{}'", source);
    book.add({prefix, tunnel, *known, lasting == "temporary"});
    any = true;
  }
  if (!any) return fail(EINVAL, "no reason is given");
  return {};
}

Result<> parse_except(std::string_view rest, std::map<net::Prefix, std::vector<net::Prefix>>& except) {
  std::istringstream words{std::string(rest)};
  std::string network, inside;
  words >> network;
  TRY_ASSIGN(const net::Prefix prefix, net::Prefix::parse(network));
  while (words >> inside) {
    TRY_ASSIGN(const net::Prefix hole, net::Prefix::parse(inside));
    except[prefix].push_back(hole);
  }
  return {};
}

}  // namespace

std::string_view name_of(GuardSource source) {
  for (const auto& [known, text] : kNames) {
    if (known == source) return text;
  }
  return "unknown";
}

platform::Route guard_route(const net::Prefix& network) {
  platform::Route route;
  route.destination = network.masked();
  route.unreachable = true;
  route.metric = platform::kGuardMetric;
  route.protocol = platform::kRouteProtocol;
  return route;
}

bool GuardBook::add(const GuardHold& hold) {
  auto& holder = networks_[hold.network.masked()].holders[hold.tunnel];
  holder.temporary = hold.temporary;
  return holder.sources.insert(hold.source).second;
}

bool GuardBook::remove(const net::Prefix& network, const std::string& tunnel, GuardSource source) {
  const auto guarded = networks_.find(network.masked());
  if (guarded == networks_.end()) return false;
  const auto holder = guarded->second.holders.find(tunnel);
  if (holder == guarded->second.holders.end() || holder->second.sources.erase(source) == 0) return false;
  if (holder->second.sources.empty()) guarded->second.holders.erase(holder);
  if (guarded->second.holders.empty()) networks_.erase(guarded);
  return true;
}

void GuardBook::remove_tunnel(const std::string& tunnel) {
  for (auto network = networks_.begin(); network != networks_.end();) {
    auto& holders = network->second.holders;
    const auto holder = holders.find(tunnel);
    if (holder != holders.end()) {
      if (holder->second.sources.contains(GuardSource::kept))
        holder->second.sources = {GuardSource::kept};
      else
        holders.erase(holder);
    }
    network = holders.empty() ? networks_.erase(network) : std::next(network);
  }
}

void GuardBook::keep_tunnel(const std::string& tunnel) {
  for (auto& [network, guarded] : networks_) {
    const auto holder = guarded.holders.find(tunnel);
    if (holder != guarded.holders.end()) holder->second = {{GuardSource::kept}, false};
  }
}

void GuardBook::copy_tunnel(const std::string& from, const std::string& to) {
  for (auto& [network, guarded] : networks_) {
    const auto found = guarded.holders.find(from);
    if (found == guarded.holders.end()) continue;
    const GuardedNetwork::Holder holder = found->second;
    auto& target = guarded.holders[to];
    target.sources.insert(holder.sources.begin(), holder.sources.end());
    target.temporary = holder.temporary;
  }
}

void GuardBook::remove_network(const net::Prefix& network) {
  networks_.erase(network.masked());
}

void GuardBook::set_except(const net::Prefix& network, std::vector<net::Prefix> except) {
  const auto guarded = networks_.find(network.masked());
  if (guarded != networks_.end()) guarded->second.except = std::move(except);
}

bool GuardBook::holds(const net::Prefix& network, const std::string& tunnel, GuardSource source) const {
  const auto guarded = networks_.find(network.masked());
  if (guarded == networks_.end()) return false;
  const auto holder = guarded->second.holders.find(tunnel);
  return holder != guarded->second.holders.end() && holder->second.sources.contains(source);
}

bool GuardBook::holds(const net::Prefix& network, const std::string& tunnel) const {
  const auto guarded = networks_.find(network.masked());
  return guarded != networks_.end() && guarded->second.holders.contains(tunnel);
}

std::vector<net::Prefix> GuardBook::networks_of(const std::string& tunnel) const {
  std::vector<net::Prefix> found;
  for (const auto& [network, guarded] : networks_) {
    if (guarded.holders.contains(tunnel)) found.push_back(network);
  }
  return found;
}

std::vector<net::Prefix> GuardBook::networks_of(const std::string& tunnel, GuardSource source) const {
  std::vector<net::Prefix> found;
  for (const auto& [network, guarded] : networks_) {
    if (holds(network, tunnel, source)) found.push_back(network);
  }
  return found;
}

GuardBook GuardBook::lasting() const {
  GuardBook lasting;
  for (const auto& [network, guarded] : networks_) {
    GuardedNetwork kept{{}, guarded.except};
    for (const auto& [tunnel, holder] : guarded.holders) {
      if (!holder.temporary) kept.holders.emplace(tunnel, holder);
    }
    if (!kept.holders.empty()) lasting.networks_.emplace(network, std::move(kept));
  }
  return lasting;
}

void GuardBook::merge(const GuardBook& other) {
  for (const auto& [network, guarded] : other.networks_) {
    auto& mine = networks_[network];
    for (const auto& [tunnel, holder] : guarded.holders) {
      auto& target = mine.holders[tunnel];
      target.sources.insert(holder.sources.begin(), holder.sources.end());
      target.temporary = holder.temporary;
    }
    if (mine.except.empty()) mine.except = guarded.except;
  }
}

bool GuardBook::within_a_routed_network(const net::Prefix& network, const std::string& tunnel) const {
  for (int length = network.length() - 1; length >= 0; --length) {
    const auto wider = networks_.find(net::Prefix(network.address(), static_cast<uint8_t>(length)).masked());
    if (wider == networks_.end()) continue;
    const auto holder = wider->second.holders.find(tunnel);
    if (holder == wider->second.holders.end()) continue;
    for (const GuardSource source : {GuardSource::address, GuardSource::route, GuardSource::seen}) {
      if (holder->second.sources.contains(source)) return true;
    }
  }
  return false;
}

std::set<net::Prefix> GuardBook::unreachable() const {
  std::set<net::Prefix> routes;
  for (const auto& [network, guarded] : networks_) {
    const bool covered = std::ranges::all_of(guarded.holders, [&](const auto& item) {
      return item.second.sources == std::set{GuardSource::policy} && within_a_routed_network(network, item.first);
    });
    if (!covered) routes.insert(network);
  }
  return routes;
}

std::string GuardBook::text() const {
  const std::set<net::Prefix> routes = unreachable();
  std::string text =
      "# Adit: networks that may be reached only through their secured tunnels. Written by aditd, do not edit;\n"
      "# adit-guard.service loads it at boot with `ip -force -batch`.\n";
  for (const auto& [network, guarded] : networks_) {
    for (const auto& [tunnel, holder] : guarded.holders) {
      text += fmt::format("{}{} {} {}", kHold, network.str(), tunnel, holder.temporary ? "temporary" : "lasting");
      for (const GuardSource source : holder.sources) text += fmt::format(" {}", name_of(source));
      text += '\n';
    }
    if (!guarded.except.empty()) {
      text += fmt::format("{}{}", kExcept, network.str());
      for (const auto& hole : guarded.except) text += fmt::format(" {}", hole.str());
      text += '\n';
    }
    if (!routes.contains(network)) continue;
    text += fmt::format("route replace unreachable {} proto {} metric {}\n", network.str(), platform::kRouteProtocol,
                        platform::kGuardMetric);
  }
  return text;
}

Result<GuardBook> GuardBook::parse(std::string_view text) {
  GuardBook book;
  std::map<net::Prefix, std::vector<net::Prefix>> except;
  size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    Result<> read;
    if (line.starts_with(kHold))
      read = parse_hold(line.substr(kHold.size()), book);
    else if (line.starts_with(kExcept))
      read = parse_except(line.substr(kExcept.size()), except);
    if (!read) return fail(EINVAL, "line {}: {}", number, read.error().text);
  }
  for (auto& [network, holes] : except) book.set_except(network, std::move(holes));
  return book;
}

}  // namespace adit::engine
