// Names of hosts, networks, services and protocols, both ways. Injected, so that a test needs no resolver and the
// engine decides whether a policy may wait for one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"

namespace adit::config {

// What is known of a host or network name.
struct NameAnswer {
  std::vector<net::Address> addresses;  // without doubles
  std::optional<net::Prefix> network;   // of a network name; only when it is no host's
  bool refused = false;                 // nothing, and that is the resolver's word: not for want of one

  [[nodiscard]] bool resolves() const { return !addresses.empty() || network.has_value(); }
  friend bool operator==(const NameAnswer&, const NameAnswer&) = default;
};

class Resolver {
 public:
  virtual ~Resolver() = default;

  // What host() and network() say, in one question. May block; the engine asks it from threads of their own.
  virtual NameAnswer look_up(std::string_view name) const {
    NameAnswer answer{.addresses = host(name)};
    if (answer.addresses.empty()) answer.network = network(name);
    return answer;
  }
  // An entry whose name does not resolve is no error: it stands, closed, until the name does.
  [[nodiscard]] virtual bool entries_may_wait() const { return false; }

  // Every address of a host, without doubles; empty: no such name.
  virtual std::vector<net::Address> host(std::string_view name) const = 0;
  // nullopt: no such network.
  virtual std::optional<net::Prefix> network(std::string_view name) const = 0;
  // Host order; nullopt: no such service.
  virtual std::optional<uint16_t> service(std::string_view name) const = 0;
  virtual std::optional<uint8_t> protocol(std::string_view name) const = 0;

  // For listings; nullopt: no name.
  virtual std::optional<std::string> host_name(const net::Address& address) const = 0;
  virtual std::optional<std::string> service_name(uint16_t port) const = 0;
  virtual std::optional<std::string> protocol_name(uint8_t number) const = 0;
};

}  // namespace adit::config
