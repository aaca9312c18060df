#include "engine/guard.h"

#include <algorithm>
#include <map>
#include <utility>

#include "engine/local_networks.h"
#include "engine/store.h"
#include "linux/mark.h"

namespace adit::engine {
namespace {

constexpr const char* kRoutesFile = "/etc/adit/guard.routes";
constexpr const char* kTableFile = "/etc/adit/guard.nft";
constexpr const char* kRunFile = "guard.routes";

bool link_scoped(const net::Prefix& network) {
  return network.address().is_link_local() || network.address().is_multicast() || network.address().is_loopback();
}

std::string joined(const std::vector<net::Prefix>& networks) {
  std::string text;
  for (const auto& network : networks) text += (text.empty() ? "" : ", ") + network.str();
  return text;
}

// A table that would change nothing need not stand, and then `nft` is not needed either.
bool says_nothing(const platform::Firewall& firewall) {
  return firewall.guarded.empty() && firewall.host_rules.empty() && firewall.model_v4 == platform::HostModel::weak &&
         firewall.model_v6 == platform::HostModel::weak;
}

}  // namespace

Result<GuardBook> Guard::load(const std::string& path) const {
  TRY_ASSIGN(const auto text, read_file(path));
  if (!text) return GuardBook{};
  auto book = GuardBook::parse(*text);
  if (!book)
    return fail(EINVAL,
                "{}: {}; without it aditd cannot know which networks to keep closed: repair it, or delete it if no "
                "secured tunnel needs it",
                path, book.error().text);
  return book;
}

Result<> Guard::restore() {
  starting_ = true;
  TRY_ASSIGN(book_, load(context_.in_root(kRoutesFile)));
  // What the last life of the daemon knew since the boot, temporary tunnels included. A killed daemon may have written
  // one file and not the other: both count.
  TRY_ASSIGN(const GuardBook since_boot, load(context_.in_run(kRunFile)));
  book_.merge(since_boot);
  for (const auto& network : book_.unreachable()) {
    if (auto added = context_.platform.add_route(guard_route(network)); !added && added.error().code != EEXIST)
      context_.events.add(Severity::alert, "guard.failed", network.str(),
                          fmt::format("{} has no unreachable route: {}", network.str(), added.error().text));
  }
  return {};
}

Result<> Guard::assert_table() {
  starting_ = false;
  return apply(book_);
}

void Guard::settle() {
  GuardBook next = book_;
  std::set<std::string> orphans;
  for (const auto& [network, guarded] : book_.networks()) {
    for (const auto& [tunnel, holder] : guarded.holders) {
      const auto view = links_.tunnel(tunnel);
      if (!view || !view->secured) orphans.insert(tunnel);
    }
  }
  for (const auto& tunnel : orphans) next.remove_tunnel(tunnel);
  if (auto opened = relax(next); !opened)
    context_.events.add(Severity::warning, "guard.failed", "", opened.error().text);

  const auto wanted = book_.unreachable();
  for (const auto family : {net::Family::v4, net::Family::v6}) {
    const auto routes = context_.platform.routes(family);
    if (!routes) continue;
    for (const auto& route : *routes) {
      if (route == guard_route(route.destination) && !wanted.contains(route.destination))
        (void)context_.platform.remove_route(route);
    }
  }
  reassert(true, false);
}

Result<> Guard::protect(const net::Prefix& network, const std::string& tunnel, GuardSource source) {
  const auto view = links_.tunnel(tunnel);
  if (!view || !view->secured) return {};
  return hold({{network, tunnel, source, view->temporary}});
}

Result<> Guard::hold(const std::vector<GuardHold>& holds) {
  GuardBook next = book_;
  for (const auto& hold : holds) {
    if (!link_scoped(hold.network)) next.add(hold);
  }
  return close(std::move(next));
}

Result<bool> Guard::release(const net::Prefix& network, const std::string& tunnel, GuardSource source) {
  TRY_ASSIGN(const auto opened, drop({{network, tunnel, source}}));
  return !opened.empty();
}

Result<std::vector<net::Prefix>> Guard::drop(const std::vector<Gone>& holds) {
  GuardBook next = book_;
  for (const auto& gone : holds) next.remove(gone.network, gone.tunnel, gone.source);
  return relax(std::move(next));
}

Result<> Guard::keep(const std::string& tunnel) {
  GuardBook next = book_;
  next.keep_tunnel(tunnel);
  return close(std::move(next));
}

Result<std::vector<net::Prefix>> Guard::forget(const std::string& tunnel) {
  GuardBook next = book_;
  next.remove_tunnel(tunnel);
  return relax(std::move(next));
}

Result<> Guard::hold_also(const std::string& from, const std::string& to) {
  GuardBook next = book_;
  next.copy_tunnel(from, to);
  return close(std::move(next));
}

void Guard::put_back(const GuardBook& book) {
  GuardBook both = book;
  both.merge(book_);
  Result<> done = close(both);
  if (done) {
    if (auto opened = relax(book); !opened) done = std::unexpected(opened.error());
  }
  if (!done) context_.events.add(Severity::warning, "guard.failed", "", done.error().text);
}

Result<> Guard::open(const net::Prefix& network) {
  if (!book_.holds(network)) return fail(ENOENT, "{} is not guarded", network.str());
  TRY_ASSIGN(const auto routes, context_.platform.routes(network.family()));
  TRY_ASSIGN(const auto interfaces, context_.platform.interfaces());
  for (const auto& route : routes) {
    if (route.destination != network.masked() || route.interface_index == 0) continue;
    const auto device = std::ranges::find(interfaces, route.interface_index, &platform::InterfaceInfo::index);
    const auto view = device == interfaces.end() ? std::nullopt : links_.tunnel(device->name);
    if (view && view->secured)
      return fail(EBUSY, "{} is routed over the secured tunnel {}: delete that route or the address first",
                  network.str(), view->name);
  }
  GuardBook next = book_;
  next.remove_network(network);
  TRY(relax(std::move(next)));
  return {};
}

std::vector<net::Prefix> Guard::newly_guarded(const GuardBook& next) const {
  std::vector<net::Prefix> added;
  for (const auto& [network, guarded] : next.networks()) {
    if (!book_.holds(network)) added.push_back(network);
  }
  return added;
}

// Those that `next` has and the present book has not; what was placed before a failure is in `placed`.
Result<> Guard::place_routes(const GuardBook& next, std::vector<net::Prefix>& placed) {
  const auto standing = book_.unreachable();
  for (const auto& network : next.unreachable()) {
    if (standing.contains(network)) continue;
    const auto added = context_.platform.add_route(guard_route(network));
    if (!added && added.error().code != EEXIST) return added;
    placed.push_back(network);
  }
  return {};
}

// Those that `before` had and the present book has not. A route that stays behind only closes; the next start takes it
// away.
void Guard::remove_routes(const GuardBook& before) {
  const auto wanted = book_.unreachable();
  for (const auto& network : before.unreachable()) {
    if (wanted.contains(network)) continue;
    if (auto removed = context_.platform.remove_route(guard_route(network)); !removed && removed.error().code != ESRCH)
      context_.events.add(Severity::warning, "guard.failed", network.str(), removed.error().text);
  }
}

// On disk first (a boot must find it), then the routes, then the table: the order that docs/model/tunnel.pml checks.
// The caller puts its route or address in after we return.
Result<> Guard::close(GuardBook next) {
  if (next == book_) return {};
  freeze_exceptions(next);
  const auto added = newly_guarded(next);
  TRY(save_or_restore(next));
  crash_point("guard:saved");
  std::vector<net::Prefix> placed;
  Result<> done = place_routes(next, placed);
  crash_point("guard:routed");
  if (done) done = apply(next);
  if (done) {
    crash_point("guard:closed");
    const GuardBook before = std::exchange(book_, std::move(next));
    remove_routes(before);
    for (const auto& network : added)
      context_.events.add(Severity::info, "guard.closed", network.str(), fmt::format("{} is guarded", network.str()));
    return {};
  }
  for (const auto& network : placed) (void)context_.platform.remove_route(guard_route(network));
  if (auto undone = save(book_); !undone)
    context_.events.add(Severity::warning, "guard.failed", "", undone.error().text);
  return fail(done.error().code, "cannot guard {}: {}; nothing was changed", joined(added), done.error().text);
}

Result<std::vector<net::Prefix>> Guard::relax(GuardBook next) {
  std::vector<net::Prefix> opened;
  if (next == book_) return opened;
  for (const auto& [network, guarded] : book_.networks()) {
    if (!next.holds(network)) opened.push_back(network);
  }
  // The files first: where no room is left on the disk nothing has opened yet.
  TRY(save_or_restore(next));
  crash_point("guard:relaxed");
  std::vector<net::Prefix> placed;
  Result<> done = place_routes(next, placed);
  if (done) done = apply(next);
  if (!done) {
    for (const auto& network : placed) (void)context_.platform.remove_route(guard_route(network));
    (void)save(book_);
    return std::unexpected(done.error());
  }
  const GuardBook before = std::exchange(book_, std::move(next));
  remove_routes(before);
  for (const auto& network : opened) {
    context_.events.add(Severity::info, "guard.opened", network.str(),
                        fmt::format("{} is no longer guarded", network.str()));
  }
  crash_point("guard:opened");
  return opened;
}

// The book is in three files: a disk that fills up between them leaves none of the new ones.
Result<> Guard::save_or_restore(const GuardBook& next) {
  auto saved = save(next);
  if (!saved) (void)save(book_);
  return saved;
}

Result<> Guard::save(const GuardBook& book) {
  const auto write = [](const std::string& path, const std::string& text, std::string& saved, Lasting lasting,
                        std::string_view point) -> Result<> {
    if (text == saved) return {};
    TRY(replace_file(path, text, 0644, lasting, point));
    saved = text;
    return {};
  };
  const GuardBook lasting = book.lasting();
  TRY(write(context_.in_root(kRoutesFile), lasting.text(), saved_routes_, Lasting::disk, "guard.routes"));
  TRY(write(context_.in_run(kRunFile), book.text(), saved_run_, Lasting::boot, "guard.run"));
  const auto at_boot = firewall(lasting);
  const std::string table = says_nothing(at_boot) ? std::string() : context_.platform.render_firewall(at_boot);
  return write(context_.in_root(kTableFile), table, saved_nft_, Lasting::disk, "guard.nft");
}

platform::Firewall Guard::firewall(const GuardBook& book) const {
  platform::Firewall firewall;
  firewall.mark = platform::kOuterMark;
  for (const auto& [network, guarded] : book.networks()) {
    platform::ProtectedNetwork item{network, {}};
    for (const auto& [tunnel, holder] : guarded.holders) item.tunnels.push_back(tunnel);
    firewall.guarded.push_back(std::move(item));
  }
  for (const auto* part : parts_) part->contribute(firewall);
  if (!firewall.guarded.empty()) firewall.local_networks = open_local_networks(book);
  const bool strong =
      firewall.model_v4 == platform::HostModel::strong || firewall.model_v6 == platform::HostModel::strong;
  if (strong && firewall.own_addresses.empty()) firewall.own_addresses = tunnel_addresses(context_.platform, links_);
  return firewall;
}

std::optional<platform::GuardRange> Guard::range_of(const net::Address& address) const {
  for (auto& range : platform::guard_ranges(firewall(book_), address.family()))
    if (range.first <= address && address <= range.last) return std::move(range);
  return std::nullopt;
}

Result<> Guard::apply(const GuardBook& book) {
  const auto whole = firewall(book);
  if (!says_nothing(whole)) {
    TRY(context_.platform.apply_firewall(whole));
    table_stands_ = true;
    return {};
  }
  if (!table_stands_) return {};
  TRY(context_.platform.remove_firewall());
  table_stands_ = false;
  return {};
}

Result<> Guard::reapply() {
  if (starting_) return {};
  TRY(apply(book_));
  return save(book_);
}

// A subnet of this host inside a guarded network stays reachable when it was there as the guard closed. One that comes
// later does not open a hole (a hostile DHCP server could make one), except in a guarded default route, which holds all
// there is.
std::vector<net::Prefix> Guard::open_local_networks(const GuardBook& book) const {
  std::vector<net::Prefix> open;
  for (const auto& local : local_networks(context_.platform, links_)) {
    const bool allowed = std::ranges::all_of(book.networks(), [&](const auto& item) {
      const auto& [network, guarded] = item;
      if (network.length() == 0 || !network.contains(local) || network.length() >= local.length()) return true;
      return std::ranges::find(guarded.except, local) != guarded.except.end();
    });
    if (allowed) open.push_back(local);
  }
  return open;
}

void Guard::freeze_exceptions(GuardBook& next) const {
  const auto added = newly_guarded(next);
  if (added.empty()) return;
  const auto locals = local_networks(context_.platform, links_);
  for (const auto& network : added) {
    std::vector<net::Prefix> inside;
    for (const auto& local : locals) {
      if (network.length() > 0 && network.length() < local.length() && network.contains(local)) inside.push_back(local);
    }
    next.set_except(network, std::move(inside));
  }
}

}  // namespace adit::engine
