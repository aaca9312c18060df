#include "config/source/system_resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <memory>

#include "net/protocol.h"

namespace adit::config {
namespace {

net::Address address_of(const sockaddr* from) {
  if (from->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, from, sizeof v4);
    return net::Address::from_v4(reinterpret_cast<const uint8_t*>(&v4.sin_addr));
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, from, sizeof v6);
  return net::Address::from_v6(v6.sin6_addr.s6_addr);
}

// A classful network number, as /etc/networks has it: 10 or 192.168.5.
net::Prefix classful(uint32_t number) {
  uint8_t length = 32;
  while (number != 0 && (number & 0xff000000) == 0) number <<= 8;
  if (number < 0x80000000)
    length = 8;
  else if (number < 0xc0000000)
    length = 16;
  else if (number < 0xe0000000)
    length = 24;
  return net::Prefix(net::Address::v4(number), length).masked();
}

NameAnswer host_answer(std::string_view name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* list = nullptr;
  NameAnswer answer;
  const int error = ::getaddrinfo(std::string(name).c_str(), nullptr, &hints, &list);
  answer.refused = error == EAI_NONAME;
  if (error != 0) return answer;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(list, ::freeaddrinfo);
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    if (at->ai_family != AF_INET && at->ai_family != AF_INET6) continue;
    const net::Address address = address_of(at->ai_addr);
    if (std::ranges::find(answer.addresses, address) == answer.addresses.end()) answer.addresses.push_back(address);
  }
  return answer;
}

}  // namespace

std::vector<net::Address> SystemResolver::host(std::string_view name) const {
  return host_answer(name).addresses;
}

NameAnswer SystemResolver::look_up(std::string_view name) const {
  NameAnswer answer = host_answer(name);
  if (!answer.resolves()) answer.network = network(name);
  return answer;
}

std::optional<net::Prefix> SystemResolver::network(std::string_view name) const {
  const netent* entry = ::getnetbyname(std::string(name).c_str());
  if (entry == nullptr || entry->n_addrtype != AF_INET) return std::nullopt;
  return classful(entry->n_net);
}

std::optional<uint16_t> SystemResolver::service(std::string_view name) const {
  const servent* entry = ::getservbyname(std::string(name).c_str(), nullptr);
  if (entry == nullptr) return std::nullopt;
  return ntohs(static_cast<uint16_t>(entry->s_port));
}

std::optional<uint8_t> SystemResolver::protocol(std::string_view name) const {
  if (const auto known = net::protocol_number(name)) return known;  // a system without /etc/protocols knows them too
  const protoent* entry = ::getprotobyname(std::string(name).c_str());
  if (entry == nullptr || entry->p_proto < 0 || entry->p_proto > 255) return std::nullopt;
  return static_cast<uint8_t>(entry->p_proto);
}

std::optional<std::string> SystemResolver::host_name(const net::Address& address) const {
  sockaddr_storage storage{};
  socklen_t length = 0;
  if (address.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    std::memcpy(&v4->sin_addr, address.bytes().data(), 4);
    length = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    v6->sin6_family = AF_INET6;
    std::memcpy(&v6->sin6_addr, address.bytes().data(), 16);
    length = sizeof *v6;
  }
  char name[NI_MAXHOST];
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&storage), length, name, sizeof name, nullptr, 0, NI_NAMEREQD) !=
      0)
    return std::nullopt;
  return name;
}

std::optional<std::string> SystemResolver::service_name(uint16_t port) const {
  const servent* entry = ::getservbyport(htons(port), nullptr);
  if (entry == nullptr) return std::nullopt;
  return entry->s_name;
}

std::optional<std::string> SystemResolver::protocol_name(uint8_t number) const {
  if (const auto known = net::protocol_name(number); !known.empty()) return std::string(known);
  const protoent* entry = ::getprotobynumber(number);
  if (entry == nullptr) return std::nullopt;
  return entry->p_name;
}

ListingResolver::ListingResolver()
    : ListingResolver([this](const net::Address& address) { return SystemResolver::host_name(address); },
                      std::chrono::seconds(1)) {}

std::optional<std::string> ListingResolver::host_name(const net::Address& address) const {
  if (const auto found = known_.find(address); found != known_.end()) return found->second;
  if (!answered_in_time_) return std::nullopt;
  const auto start = std::chrono::steady_clock::now();
  auto name = ask_(address);
  answered_in_time_ = std::chrono::steady_clock::now() - start < patience_;
  return known_.emplace(address, std::move(name)).first->second;
}

}  // namespace adit::config
