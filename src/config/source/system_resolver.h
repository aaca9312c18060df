// The Resolver of a running system: getaddrinfo, /etc/services, /etc/protocols, /etc/networks. Blocks while it asks
// DNS.
#pragma once

#include <chrono>
#include <functional>
#include <map>

#include "config/source/resolver.h"

namespace adit::config {

class SystemResolver : public Resolver {
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

// For a listing: asks for each address once, and for no more of them after one that took longer than a second, as each
// does where no server answers. One thread.
class ListingResolver final : public SystemResolver {
 public:
  using Ask = std::function<std::optional<std::string>(const net::Address&)>;
  ListingResolver();
  ListingResolver(Ask ask, std::chrono::milliseconds patience) : ask_(std::move(ask)), patience_(patience) {}
  std::optional<std::string> host_name(const net::Address& address) const override;

 private:
  Ask ask_;
  std::chrono::milliseconds patience_;
  mutable std::map<net::Address, std::optional<std::string>> known_;
  mutable bool answered_in_time_ = true;
};

}  // namespace adit::config
