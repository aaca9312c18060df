// route and netstat -rn: the routes that operators made through Adit, the kernel's table, and /etc/inet/static_routes.
// A gateway that is the peer of an address on a tunnel makes a route into that tunnel; the guard hears of it first
// (I7).
#pragma once

#include <algorithm>
#include <map>
#include <ranges>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "control/seams.h"
#include "host/files/route_command.h"
#include "host/files/static_routes.h"

namespace adit::engine {

// What `route` prints: illumos prints one line for the table and one for the file, and each may fail by itself.
struct RouteLine {
  std::string text;
  bool failed = false;
};
struct RouteReport {
  std::vector<RouteLine> lines;
  std::vector<std::string> notes;
  [[nodiscard]] bool failed() const { return std::ranges::any_of(lines, &RouteLine::failed); }
};

struct RouteRow {                                      // netstat -rn
  std::string destination, gateway, flags, interface;  // destination: `default` or with its length
  bool v6 = false, ours = false, persistent = false, guard = false;
  uint32_t metric = 0, table = 0;
};

struct RouteAnswer {
  std::string route_to, destination, mask, gateway, interface, flags;
  uint32_t mtu = 0;
};  // route get

class Routes final : public LinkUser {
 public:
  Routes(const Context& context, const LinkView& links, GuardDoor& guard);

  // Start: adopts what an earlier aditd left in the kernel, then adds the file's. A route whose gateway is not there
  // yet waits for it. Failures go to the event log.
  void restore();
  // Somebody changed routes, addresses or links: puts back what is gone, the guard first.
  void reassert();
  [[nodiscard]] bool owes() const { return owes_; }  // something could not be put back: reassert again by and by
  void place_waiting();                              // an address came: routes that waited for their gateway
  void give_way();  // what was closed may hold a route that stands before the guard's: it moves behind
  void source_gone(const net::Address& address);  // the kernel takes routes away with the address they send from
  [[nodiscard]] bool wants(const platform::Route& route) const;  // put it there
  void tick();
  void write_stored();  // the file takes up its journal

  // ---- LinkUser: routes do not keep a link from going; they go with it, the file's wait for its return.
  Result<> may_delete(const std::string&) const override { return {}; }
  [[nodiscard]] std::vector<Obstacle> standing_on(const std::string& link) const override;
  Result<> take_off(const std::string& link, Undo& undo) override;
  void link_ready(const std::string& link) override;
  void link_gone(const std::string& link) override;
  void link_renamed(const std::string& from, const std::string& to) override;

  // ---- route. `words` as RouteCommand. An error: refused, nothing changed. Else the report says what came of table
  // and file. force: over the refusals that guard against slips (decision 7). ELOOP: the tunnel would carry itself.
  Result<RouteReport> add(std::span<const std::string> words, bool persistent, bool force);
  Result<RouteReport> remove(std::span<const std::string> words, bool persistent);
  Result<RouteReport> change(std::span<const std::string> words, bool force);
  Result<RouteAnswer> get(std::span<const std::string> words) const;
  // Every route that was made by `route add` goes from the table; the file stays.
  Result<RouteReport> flush(std::optional<net::Family> family);
  Result<std::vector<std::string>> persistent_lines();  // route -p show

  // all: the guard's entries and the host's own addresses too.
  Result<std::vector<RouteRow>> table(std::optional<net::Family> family, bool all) const;

 private:
  struct Wanted {
    RouteCommand command;
    std::optional<platform::Route> placed;  // in the kernel
    std::string tunnel;                     // the tunnel that it leads into, when placed
    bool persistent = false;                // stands in the file: waits while its gateway is away
  };

  using All = std::multimap<net::Prefix, Wanted>;  // by destination; of equals the older first

  All::iterator keep(Wanted wanted);
  All::iterator forget(All::iterator at);
  void note(const Wanted& wanted);  // whenever it was placed, or is not any more
  [[nodiscard]] std::ranges::subrange<All::iterator> to(const net::Prefix& destination);
  [[nodiscard]] std::ranges::subrange<All::const_iterator> to(const net::Prefix& destination) const;
  [[nodiscard]] std::vector<All::iterator> leading_into(const std::string& link);

  // ---- route_resolve.cpp
  Result<platform::Route> resolve(const RouteCommand& command) const;
  Result<std::string> interface_of_gateway(const RouteCommand& command) const;
  Result<std::vector<platform::AddressInfo>> addresses_about(const net::Address& gateway, bool as_interface) const;
  Result<> refuse_slips(const RouteCommand& command, const platform::Route& route) const;
  Result<> refuse_self_carriage(const platform::Route& route) const;
  Result<> carries_itself_now(const platform::Route& route) const;
  [[nodiscard]] std::string interface_name(int index) const;

  // By a command: what it closed it may open again when the kernel refuses the route. Put back: nothing opens,
  // whatever fails.
  enum class By : uint8_t { command, put_back };
  Result<> guard_and_place(Wanted& wanted, const platform::Route& route, By by);  // guard, then kernel
  Result<bool> unplace(Wanted& wanted);  // kernel, then guard: true when the network is open
  Result<> unplace(Wanted& wanted, std::vector<std::string>& notes);
  [[nodiscard]] bool stands_before_others(const std::string& interface, const net::Prefix& destination) const;
  [[nodiscard]] bool is_operators(const platform::Route& route) const;
  void place_waiting(bool direct);
  static bool leads_into(const Wanted& wanted, const std::string& link);
  void adopt();
  All::iterator find(const RouteCommand& command, bool any_gateway);
  Result<> remove_foreign(const RouteCommand& command);
  Result<RouteLine> write_added(const RouteCommand& command, bool added_now);

  const Context& context_;
  const LinkView& links_;
  GuardDoor& guard_;
  StaticRoutes file_;
  All wanted_;
  // Where to look, so that a question costs what it is about: what is not there any more may still stand here.
  std::map<std::string, std::set<net::Prefix>> towards_;  // by link: destinations of what leads, or would lead, into it
  std::set<net::Prefix> waiting_, before_others_;
  std::set<net::Address> sources_;
  bool owes_ = false;
  MonoTime stored_at_{};
};

}  // namespace adit::engine
