// The Resolver of a running system: getaddrinfo, /etc/services, /etc/protocols, /etc/networks. Blocks while it asks
// DNS.
#pragma once

#include "config/resolver.h"

namespace adit::config {

class SystemResolver final : public Resolver {
 public:
  NameAnswer look_up(std::string_view name) const override;
  std::vector<net::Address> host(std::string_view name) const override;
  std::optional<net::Prefix> network(std::string_view name) const override;
  std::optional<uint16_t> service(std::string_view name) const override;
  std::optional<uint8_t> protocol(std::string_view name) const override;
  std::optional<std::string> host_name(const net::Address& address) const override;
  std::optional<std::string> service_name(uint16_t port) const override;
  std::optional<std::string> protocol_name(uint8_t number) const override;
};

}  // namespace adit::config
