#include "linux/guard/content/guard_layout_near.h"

#include <algorithm>
#include <iterator>

namespace adit::platform {
namespace {

template <typename T>
std::set<T> without(const std::set<T>& these, const std::set<T>& others) {
  std::set<T> left;
  std::ranges::set_difference(these, others, std::inserter(left, left.end()));
  return left;
}

GuardNear::Elements without(const GuardNear::Elements& these, const GuardNear::Elements& others) {
  return {without(these.near, others.near), without(these.sole, others.sole)};
}

}  // namespace

uint8_t near_length(net::Family family, const std::set<uint8_t>& lengths) {
  if (lengths.empty()) return 0;
  const auto at = lengths.lower_bound(family == net::Family::v4 ? 16 : 32);
  return at == lengths.end() ? *lengths.rbegin() : *at;
}

net::Prefix GuardNear::beginning(const net::Prefix& key) const {
  return net::Prefix(key.address(), length_).masked();
}

GuardNear::Place& GuardNear::touch(const net::Prefix& beginning) {
  if (touched_.insert(beginning).second) put(beginning, before_);
  return places_[beginning];
}

void GuardNear::key(const net::Prefix& key, bool stands) {
  if (key.length() < length_) return;
  Place& place = touch(beginning(key));
  if (key.length() == length_)
    place.own = stands;
  else if (stands)
    place.longer.insert(key);
  else
    place.longer.erase(key);
}

void GuardNear::pass(const net::Prefix& key, int device, bool stands) {
  if (key.length() != length_) return;
  Place& place = touch(key);
  if (stands)
    place.devices.insert(device);
  else
    place.devices.erase(device);
}

void GuardNear::put(const net::Prefix& beginning, Elements& elements) const {
  const auto at = places_.find(beginning);
  if (at == places_.end()) return;
  const Place& place = at->second;
  if (place.own || !place.longer.empty()) elements.near.insert(beginning);
  if (!place.own || !place.longer.empty()) return;
  for (const int device : place.devices) elements.sole.emplace(beginning, device);
}

GuardNear::Step GuardNear::step() {
  Elements after;
  for (const auto& beginning : touched_) {
    put(beginning, after);
    const auto at = places_.find(beginning);
    if (!at->second.own && at->second.longer.empty() && at->second.devices.empty()) places_.erase(at);
  }
  touched_.clear();
  const Elements before = std::exchange(before_, {});
  return {without(before, after), without(after, before)};
}

GuardNear::Elements GuardNear::all() const {
  Elements elements;
  for (const auto& [beginning, place] : places_) put(beginning, elements);
  return elements;
}

}  // namespace adit::platform
