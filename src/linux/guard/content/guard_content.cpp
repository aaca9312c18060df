#include "linux/guard/content/guard_content.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include <fmt/format.h>

#include "base/bytes.h"

namespace adit::platform {
namespace {

using Bytes = std::vector<uint8_t>;

void append(Bytes& bytes, uint32_t value) {  // as the kernel has marks and interface indexes: in the host's order
  const size_t at = bytes.size();
  bytes.resize(at + sizeof value);
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

Bytes bytes_of(const net::Address& address) {
  return {address.bytes().begin(), address.bytes().end()};
}

Bytes number_key(uint32_t number) {
  Bytes key;
  append(key, number);
  return key;
}

GuardElement pass_element(const net::Prefix& key, int device) {
  GuardElement element{bytes_of(key.address()), {}, {}};
  append(element.key, static_cast<uint32_t>(device));
  return element;
}

void put_flow(GuardElements& elements, const OuterFlow& flow) {
  if (flow.local.family() != flow.remote.family()) return;
  GuardElement element{bytes_of(flow.local), {}, {}};
  element.key.insert(element.key.end(), flow.remote.bytes().begin(), flow.remote.bytes().end());
  elements[flow.local.is_v4() ? kFlow4Set : kFlow6Set].push_back(std::move(element));
}

constexpr uint32_t kMostKnown = 1 << 24;  // so that others cannot use up the numbers

uint32_t marks_of(const net::Prefix& network) {
  return (network.length() <= 1 ? kWideNetwork : 0) | (covers_link_network(network) ? kAroundLink : 0);
}

size_t side(net::Family family) {
  return family == net::Family::v4 ? 0 : 1;
}

void put_passes(const std::set<std::pair<net::Prefix, int>>& passes, GuardElements& elements) {
  for (const auto& [key, device] : passes)
    elements[pass_set_name(key.family(), key.length())].push_back(pass_element(key, device));
}

void put_near(net::Family family, uint8_t length, const GuardNear::Elements& these, GuardElements& elements) {
  for (const auto& key : these.near)
    elements[near_set_name(family, length)].push_back({bytes_of(key.address()), {}, {}});
  for (const auto& [key, device] : these.sole)
    elements[sole_set_name(family, length)].push_back(pass_element(key, device));
}

void put_witnesses(GuardElements& elements, uint32_t number, const net::Prefix& network) {
  for (const char* set : {kStoppedOutSet, kStoppedInSet})
    elements[set].push_back({number_key(number), {}, network.str()});
}

}  // namespace

GuardContent::GuardContent(const GuardPlan& plan, const GuardNumbers& numbers)
    : book_(plan.book), mark_(plan.mark), uid_(plan.uid) {
  std::set<uint32_t> taken;
  for (const auto& [network, number] : numbers) {
    const uint32_t plain = number & ~(kWideNetwork | kAroundLink);
    if (plain == 0 || plain > kMostKnown || number != (plain | marks_of(network)) || !taken.insert(plain).second)
      continue;
    known_[network] = number;
    last_number_ = std::max(last_number_, plain);
  }
  change({.generation = plan.generation,
          .close = plan.closed,
          .open = {},
          .inside = plan.inside,
          .not_inside = {},
          .flows = plan.flows,
          .not_flows = {},
          .peers = {},
          .not_peers = {}});
  known_.clear();
}

uint32_t GuardContent::new_number(const net::Prefix& network) {
  const auto known = known_.find(network);
  return known != known_.end() ? known->second : ++last_number_ | marks_of(network);
}

GuardNumbers GuardContent::numbers() const {
  GuardNumbers numbers;
  for (const auto& [network, one] : networks_) numbers.emplace(network, one.number);
  return numbers;
}

void GuardContent::close(const net::Prefix& network, const std::vector<int>& devices, LayoutStep& layout,
                         ElementStep& step) {
  auto at = networks_.find(network);
  if (at == networks_.end()) {
    at = networks_.emplace(network, Network{new_number(network), {}}).first;
    put_witnesses(step.come, at->second.number, network);
    layout_.close(network, layout);
  }
  at->second.devices = std::set<int>(devices.begin(), devices.end());
}

void GuardContent::open(const net::Prefix& network, LayoutStep& layout, ElementStep& step) {
  const auto at = networks_.find(network);
  if (at == networks_.end()) return;
  put_witnesses(step.gone, at->second.number, network);
  networks_.erase(at);
  layout_.open(network, layout);
}

ElementStep GuardContent::change(const GuardChange& change) {
  ElementStep step;
  LayoutStep layout;
  Networks before;
  const auto note = [&](const net::Prefix& network) {
    if (const auto at = networks_.find(network.masked()); at != networks_.end()) before.insert(*at);
  };
  for (const auto& [network, devices] : change.close) note(network);
  for (const auto& network : change.open) note(network);
  if (change.generation != generation_) {
    step.gone[kBookSet].push_back(book_element());
    generation_ = change.generation;
    step.come[kBookSet].push_back(book_element());
  }
  for (const auto& [network, devices] : change.close) close(network.masked(), devices, layout, step);
  for (const auto& network : change.open) open(network.masked(), layout, step);
  for (const auto& network : change.inside) layout_.add_inside(network.masked(), layout);
  for (const auto& network : change.not_inside) layout_.remove_inside(network.masked(), layout);
  put_keys(layout, before, step);
  const PassStep passes = this->passes(layout, before);
  put_passes(passes.gone, step.gone);
  put_passes(passes.come, step.come);
  for (const auto& one : layout.come) lengths_[side(one.key.family())].insert(one.key.length());
  for (const auto family : {net::Family::v4, net::Family::v6}) follow_near(family, layout, passes, step);
  for (const auto& flow : change.flows)
    if (flows_.insert(flow).second) put_flow(step.come, flow);
  for (const auto& flow : change.not_flows)
    if (flows_.erase(flow) != 0) put_flow(step.gone, flow);
  return step;
}

// A key that only changes its network stays in the set of keys all the time.
void GuardContent::put_keys(const LayoutStep& layout, const Networks& before, ElementStep& step) const {
  std::set<net::Prefix> gone, come;
  for (const auto& one : layout.gone) gone.insert(one.key);
  for (const auto& one : layout.come) come.insert(one.key);
  const auto put = [&](const std::set<LaidKey>& keys, const std::set<net::Prefix>& others, GuardElements& elements) {
    for (const auto& one : keys) {
      const net::Family family = one.key.family();
      const auto standing = networks_.find(one.network);
      const uint32_t number = !one.closed                   ? 0
                              : standing != networks_.end() ? standing->second.number
                                                            : before.at(one.network).number;
      Bytes value = number_key(0);  // why in the second word: guard_chains.cpp
      append(value, number);
      elements[net_map_name(family, one.key.length())].push_back({bytes_of(one.key.address()), value, {}});
      if (!others.contains(one.key))
        elements[hit_set_name(family, one.key.length())].push_back({bytes_of(one.key.address()), {}, {}});
    }
  };
  put(layout.gone, come, step.gone);
  put(layout.come, gone, step.come);
}

// What was so and stays so is in neither half.
GuardContent::PassStep GuardContent::passes(const LayoutStep& layout, const Networks& before) const {
  PassStep step;
  const auto put = [](Passes& passes, const LaidKey& one, const Networks& networks) {
    const auto at = networks.find(one.network);
    if (!one.closed || at == networks.end()) return false;
    for (const int device : at->second.devices) passes.emplace(one.key, device);
    return true;
  };
  for (const auto& one : layout.gone)
    if (!put(step.gone, one, before)) put(step.gone, one, networks_);
  for (const auto& one : layout.come) put(step.come, one, networks_);
  for (const auto& [network, was] : before) {
    const auto now = networks_.find(network);
    if (now == networks_.end() || now->second.devices == was.devices) continue;
    for (const auto& one : layout_.keys(network)) {
      if (layout.come.contains(one)) continue;
      put(step.gone, one, before);
      put(step.come, one, networks_);
    }
  }
  Passes both;
  std::ranges::set_intersection(step.gone, step.come, std::inserter(both, both.end()));
  for (const auto& one : both) {
    step.gone.erase(one);
    step.come.erase(one);
  }
  return step;
}

// Where keys of another length are near now, sets of another name are asked, which hold nothing yet: all of them comes.
// Those of before stay as they are: they go when no packet uses them any more (guard_mend.h).
void GuardContent::follow_near(net::Family family, const LayoutStep& layout, const PassStep& passes,
                               ElementStep& step) {
  GuardNear& near = near_[side(family)];
  const uint8_t length = near_length(family, lengths_[side(family)]);
  const bool again = near.length() != length;
  const LayoutStep keys = again ? LayoutStep{.gone = {}, .come = layout_.keys()} : layout;
  const PassStep its = again ? this->passes(keys, {}) : passes;
  if (again) near = GuardNear(length);
  for (const bool stands : {false, true}) {
    for (const auto& one : stands ? keys.come : keys.gone)
      if (one.key.family() == family) near.key(one.key, stands);
    for (const auto& [key, device] : stands ? its.come : its.gone)
      if (key.family() == family) near.pass(key, device, stands);
  }
  const GuardNear::Step changed = near.step();
  put_near(family, length, changed.gone, step.gone);
  put_near(family, length, changed.come, step.come);
}

GuardElements GuardContent::all() const {
  ElementStep step;
  GuardElements& elements = step.come;
  for (const auto family : {net::Family::v4, net::Family::v6}) {
    const auto& lengths = lengths_[side(family)];
    if (lengths.empty()) continue;
    const uint8_t length = near_length(family, lengths);
    elements[near_set_name(family, length)];
    elements[sole_set_name(family, length)];
    put_near(family, length, near_[side(family)].all(), elements);
    for (const uint8_t one : lengths) {
      elements[hit_set_name(family, one)];
      elements[pass_set_name(family, one)];
      elements[net_map_name(family, one)];
    }
  }
  for (const char* set : {kStoppedOutSet, kStoppedInSet, kFlow4Set, kFlow6Set}) elements[set];
  elements[kBookSet].push_back(book_element());
  const LayoutStep whole{.gone = {}, .come = layout_.keys()};
  put_keys(whole, {}, step);
  put_passes(passes(whole, {}).come, elements);
  for (const auto& [network, one] : networks_) put_witnesses(elements, one.number, network);
  for (const auto& flow : flows_) put_flow(elements, flow);
  return elements;
}

GuardElement GuardContent::book_element() const {
  GuardElement element{{}, {}, book_};
  append(element.key, static_cast<uint32_t>(generation_ >> 32));
  append(element.key, static_cast<uint32_t>(generation_));
  return element;
}

std::string hit_set_name(net::Family family, uint8_t length) {
  return fmt::format("hit{}_{}", family == net::Family::v4 ? 4 : 6, length);
}

std::string pass_set_name(net::Family family, uint8_t length) {
  return fmt::format("pass{}_{}", family == net::Family::v4 ? 4 : 6, length);
}

std::string near_set_name(net::Family family, uint8_t length) {
  return fmt::format("near{}_{}", family == net::Family::v4 ? 4 : 6, length);
}

std::string sole_set_name(net::Family family, uint8_t length) {
  return fmt::format("sole{}_{}", family == net::Family::v4 ? 4 : 6, length);
}

std::string net_map_name(net::Family family, uint8_t length) {
  return fmt::format("net{}_{}", family == net::Family::v4 ? 4 : 6, length);
}

uint32_t number_of(const std::vector<uint8_t>& key) {
  uint32_t number = 0;
  if (key.size() == sizeof number) std::memcpy(&number, key.data(), sizeof number);
  return number;
}

uint64_t generation_of(const std::vector<uint8_t>& key) {
  std::array<uint32_t, 2> halves{};
  if (key.size() != sizeof halves) return 0;
  std::memcpy(halves.data(), key.data(), sizeof halves);
  return uint64_t{halves[0]} << 32 | halves[1];
}

}  // namespace adit::platform
