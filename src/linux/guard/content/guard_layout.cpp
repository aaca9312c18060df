#include "linux/guard/content/guard_layout.h"

#include <algorithm>

#include "base/check.h"

namespace adit::platform {
namespace {

size_t side(net::Family family) {
  return family == net::Family::v4 ? 0 : 1;
}

net::Prefix known(const char* text) {
  const auto prefix = net::Prefix::parse(text);
  CHECK(prefix.has_value());
  return *prefix;
}

net::Prefix around(const net::Prefix& network, uint8_t length) {
  return net::Prefix(network.address(), length).masked();
}

std::set<net::Prefix> keys_of(const net::Prefix& network) {
  const uint8_t length = laid_length(network.length());
  const auto start = network.address().bytes();
  std::set<net::Prefix> keys;
  for (unsigned i = 0; i < 1U << (length - network.length()); ++i) {  // the bits between lie in one byte
    std::array<uint8_t, 16> bytes{};
    std::ranges::copy(start, bytes.begin());
    if (i != 0) bytes[(length - 1) / 8] |= static_cast<uint8_t>(i << (7 - (length - 1) % 8));
    keys.emplace(net::Address::from_bytes(network.family(), bytes.data()), length);
  }
  return keys;
}

// What a step has undone of itself is in neither of its halves.
void note(std::set<LaidKey>& here, std::set<LaidKey>& other, const LaidKey& key) {
  if (other.erase(key) == 0) here.insert(key);
}

}  // namespace

bool GuardLayout::has(const net::Prefix& network, Why why) const {
  const auto at = networks_.find(network);
  return at != networks_.end() && (at->second & why);
}

void GuardLayout::set(const net::Prefix& network, Why why, bool on) {
  uint8_t& bits = networks_[network];
  bits = static_cast<uint8_t>(on ? bits | why : bits & ~why);
  if (bits == 0) networks_.erase(network);
  if (why == kClosed) closed_[side(network.family())][network.length()] += on ? 1 : -1U;
  if (why == kInside && on) inside_.insert(network);
  if (why == kInside && !on) inside_.erase(network);
}

void GuardLayout::mark(const net::Prefix& network, Why why, bool on, LayoutStep& step) {
  if (has(network, why) == on) return;
  std::set<net::Prefix> keys = keys_of(network);
  if (why == kClosed)
    for (const auto& inside : inside_)
      if (inside.length() > network.length() && network.contains(inside)) keys.merge(keys_of(inside));
  std::set<LaidKey> before, after;
  for (const auto& key : keys)
    if (const auto one = decided(key)) before.insert(*one);
  set(network, why, on);
  for (const auto& key : keys)
    if (const auto one = decided(key)) after.insert(*one);
  for (const auto& one : before)
    if (!after.contains(one)) note(step.gone, step.come, one);
  for (const auto& one : after)
    if (!before.contains(one)) note(step.come, step.gone, one);
}

bool GuardLayout::in_a_closed_one(const net::Prefix& network) const {
  const auto& lengths = closed_[side(network.family())];
  for (uint8_t length = 0; length < network.length(); ++length)
    if (lengths[length] != 0 && has(around(network, length), kClosed)) return true;
  return false;
}

std::optional<LaidKey> GuardLayout::decided(const net::Prefix& key) const {
  for (int length = key.length(); length >= 0 && laid_length(static_cast<uint8_t>(length)) == key.length(); --length) {
    const net::Prefix network = around(key, static_cast<uint8_t>(length));
    if (has(network, kClosed)) return LaidKey{key, network, true};
    if (has(network, kInside))
      return in_a_closed_one(network) ? std::optional(LaidKey{key, network, false}) : std::nullopt;
  }
  return std::nullopt;
}

std::set<LaidKey> GuardLayout::keys() const {
  std::set<LaidKey> all;
  for (const auto& [network, why] : networks_)
    for (const auto& key : keys_of(network))
      if (const auto one = decided(key)) all.insert(*one);
  return all;
}

std::set<LaidKey> GuardLayout::keys(const net::Prefix& network) const {
  std::set<LaidKey> its;
  for (const auto& key : keys_of(network))
    if (const auto one = decided(key); one && one->network == network) its.insert(*one);
  return its;
}

const std::vector<net::Prefix>& link_networks(net::Family family) {
  static const std::vector<net::Prefix> v4{known("0.0.0.0/8"), known("127.0.0.0/8"), known("224.0.0.0/24"),
                                           known("255.255.255.255/32")};
  static const std::vector<net::Prefix> v6{known("::/128"), known("::1/128"), known("fe80::/10"), known("ff01::/16"),
                                           known("ff02::/16")};
  return family == net::Family::v4 ? v4 : v6;
}

bool covers_link_network(const net::Prefix& network) {
  return std::ranges::any_of(link_networks(network.family()), [&](const net::Prefix& link) {
    return link.length() > network.length() && network.contains(link);
  });
}

}  // namespace adit::platform
