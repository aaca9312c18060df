// Which networks are closed but for their tunnels, and who wants it so: the guard's memory as a plain value with a text
// form.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/seams.h"
#include "linux/platform.h"
#include "net/address.h"

namespace adit::engine {

struct GuardHold {  // one reason to guard one network
  net::Prefix network;
  std::string tunnel;
  GuardSource source = GuardSource::route;
  bool temporary = false;  // the tunnel is: forgotten at boot
  friend bool operator==(const GuardHold&, const GuardHold&) = default;
};

struct GuardedNetwork {
  struct Holder {
    std::set<GuardSource> sources;
    bool temporary = false;
    friend bool operator==(const Holder&, const Holder&) = default;
  };
  std::map<std::string, Holder> holders;  // by tunnel; never empty
  std::vector<net::Prefix> except;        // the host's own networks inside, as they were when the network was closed
  friend bool operator==(const GuardedNetwork&, const GuardedNetwork&) = default;
};

class GuardBook {
 public:
  bool add(const GuardHold& hold);  // false: it is there. The network is masked.
  bool remove(const net::Prefix& network, const std::string& tunnel, GuardSource source);  // false: it was not
  void remove_tunnel(const std::string& tunnel);                                           // all its holds but `kept`
  void keep_tunnel(const std::string& tunnel);                       // all its holds become `kept`, and last over boots
  void copy_tunnel(const std::string& from, const std::string& to);  // `to` holds what `from` holds, too
  void remove_network(const net::Prefix& network);
  void set_except(const net::Prefix& network, std::vector<net::Prefix> except);

  [[nodiscard]] bool holds(const net::Prefix& network) const { return networks_.contains(network.masked()); }
  [[nodiscard]] bool holds(const net::Prefix& network, const std::string& tunnel, GuardSource source) const;
  [[nodiscard]] bool holds(const net::Prefix& network, const std::string& tunnel) const;
  [[nodiscard]] std::vector<net::Prefix> networks_of(const std::string& tunnel) const;
  [[nodiscard]] std::vector<net::Prefix> networks_of(const std::string& tunnel, GuardSource source) const;
  [[nodiscard]] const std::map<net::Prefix, GuardedNetwork>& networks() const { return networks_; }
  [[nodiscard]] bool empty() const { return networks_.empty(); }
  // The networks that get an unreachable route. Not those which only a rule names while a wider network is routed into
  // the same tunnel: the wider one's route closes them too, and one of their own, being more specific, would close the
  // tunnel.
  [[nodiscard]] std::set<net::Prefix> unreachable() const;

  // Without the holds of temporary tunnels: what a boot shall find.
  [[nodiscard]] GuardBook lasting() const;
  // Everything of `other` too.
  void merge(const GuardBook& other);

  // The text is also what `ip -force -batch` loads at boot: the book is in its comments.
  [[nodiscard]] std::string text() const;
  // EINVAL names the line. Unknown comments are skipped.
  static Result<GuardBook> parse(std::string_view text);

  friend bool operator==(const GuardBook&, const GuardBook&) = default;

 private:
  [[nodiscard]] bool within_a_routed_network(const net::Prefix& network, const std::string& tunnel) const;
  std::map<net::Prefix, GuardedNetwork> networks_;
};

platform::Route guard_route(const net::Prefix& network);
std::string_view name_of(GuardSource source);

}  // namespace adit::engine
