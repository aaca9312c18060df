// A Resolver that a test fills by hand.
#pragma once

#include <map>

#include "config/source/resolver.h"

namespace adit::config {

class FakeResolver final : public Resolver {
 public:
  std::map<std::string, std::vector<net::Address>, std::less<>> hosts;
  std::map<std::string, net::Prefix, std::less<>> networks;
  std::map<std::string, uint16_t, std::less<>> services{{"domain", 53}, {"ssh", 22}, {"https", 443}};
  std::map<std::string, uint8_t, std::less<>> protocols{
      {"icmp", 1}, {"tcp", 6}, {"udp", 17}, {"gre", 47}, {"ipv6-icmp", 58}};

  std::vector<net::Address> host(std::string_view name) const override {
    return find(hosts, name).value_or(std::vector<net::Address>{});
  }
  std::optional<net::Prefix> network(std::string_view name) const override { return find(networks, name); }
  std::optional<uint16_t> service(std::string_view name) const override { return find(services, name); }
  std::optional<uint8_t> protocol(std::string_view name) const override { return find(protocols, name); }
  std::optional<std::string> host_name(const net::Address& address) const override {
    for (const auto& [name, addresses] : hosts)
      if (addresses.front() == address) return name;
    return std::nullopt;
  }
  std::optional<std::string> service_name(uint16_t port) const override { return name_of(services, port); }
  std::optional<std::string> protocol_name(uint8_t number) const override { return name_of(protocols, number); }

 private:
  template <typename Value>
  static std::optional<Value> find(const std::map<std::string, Value, std::less<>>& map, std::string_view name) {
    const auto found = map.find(name);
    return found == map.end() ? std::nullopt : std::optional(found->second);
  }
  template <typename Value>
  static std::optional<std::string> name_of(const std::map<std::string, Value, std::less<>>& map, Value value) {
    for (const auto& [name, one] : map)
      if (one == value) return name;
    return std::nullopt;
  }
};

}  // namespace adit::config
