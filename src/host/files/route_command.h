// The words after `route add`, `delete`, `change` or `get` (links-and-addresses.md §4), as an operator types them and
// as a line of /etc/inet/static_routes keeps them. Words in, a destination out; no side effects.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "net/address.h"

namespace adit::engine {

struct RouteCommand {
  net::Prefix destination;  // with the host bits as typed
  bool host = false;
  std::string destination_text;  // as typed, with its mask: what messages echo
  std::string gateway_text;
  std::optional<net::Address> gateway;
  bool gateway_is_interface = false;     // -interface
  std::optional<std::string> interface;  // -ifp
  std::optional<net::Address> source;    // -setsrc
  bool reject = false, blackhole = false;
  std::vector<std::string> words;  // as typed: what the file keeps

  [[nodiscard]] net::Family family() const { return destination.family(); }
  [[nodiscard]] std::string net_or_host() const { return (host ? "host " : "net ") + destination_text; }
};

// EINVAL: what is wrong and what was expected. `needs_gateway`: false for delete and get. Unlike illumos, nothing is
// looked up: destination and gateway are literals, `default`, or (with -interface) an interface's name or address.
Result<RouteCommand> parse_route_command(std::span<const std::string> words, bool needs_gateway);

}  // namespace adit::engine
