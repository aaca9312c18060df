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

class Resolver {
 public:
  virtual ~Resolver() = default;

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
