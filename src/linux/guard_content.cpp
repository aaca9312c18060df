#include "linux/guard_content.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"

namespace adit::platform {
namespace {

using Bytes = std::vector<uint8_t>;

std::vector<GuardElement>& of(GuardElements& elements, GuardSet set) {
  return elements[static_cast<size_t>(set)];
}

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

GuardElement pass_element(uint32_t number, int device) {
  GuardElement element{number_key(number), false, {}, {}};
  append(element.key, static_cast<uint32_t>(device));
  return element;
}

void put_flow(GuardElements& elements, const OuterFlow& flow) {
  if (flow.local.family() != flow.remote.family()) return;
  GuardElement element{bytes_of(flow.local), false, {}, {}};
  element.key.insert(element.key.end(), flow.remote.bytes().begin(), flow.remote.bytes().end());
  of(elements, flow.local.is_v4() ? GuardSet::flow4 : GuardSet::flow6).push_back(std::move(element));
}

constexpr uint32_t kMostKnown = 1 << 24;  // so that others cannot use up the numbers

uint32_t wide(const net::Prefix& network) {
  return network.length() <= 1 ? kWideNetwork : 0;
}

void put_witnesses(GuardElements& elements, uint32_t number, const net::Prefix& network) {
  for (const auto set : {GuardSet::stopped_out, GuardSet::stopped_in})
    of(elements, set).push_back({number_key(number), false, {}, network.str()});
}

}  // namespace

GuardContent::GuardContent(const GuardPlan& plan, const GuardNumbers& numbers)
    : book_(plan.book), mark_(plan.mark), uid_(plan.uid) {
  std::set<uint32_t> taken;
  for (const auto& [network, number] : numbers) {
    const uint32_t plain = number & ~kWideNetwork;
    if (plain == 0 || plain > kMostKnown || number != (plain | wide(network)) || !taken.insert(plain).second) continue;
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
  return known != known_.end() ? known->second : ++last_number_ | wide(network);
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
  const std::set<int> wanted(devices.begin(), devices.end());
  for (const int device : at->second.devices)
    if (!wanted.contains(device)) of(step.gone, GuardSet::pass).push_back(pass_element(at->second.number, device));
  for (const int device : wanted)
    if (!at->second.devices.contains(device))
      of(step.come, GuardSet::pass).push_back(pass_element(at->second.number, device));
  at->second.devices = wanted;
}

void GuardContent::open(const net::Prefix& network, LayoutStep& layout, ElementStep& step) {
  const auto at = networks_.find(network);
  if (at == networks_.end()) return;
  for (const int device : at->second.devices)
    of(step.gone, GuardSet::pass).push_back(pass_element(at->second.number, device));
  put_witnesses(step.gone, at->second.number, network);
  networks_.erase(at);
  layout_.open(network, layout);
}

ElementStep GuardContent::change(const GuardChange& change) {
  ElementStep step;
  LayoutStep layout;
  std::map<net::Prefix, uint32_t> numbers;  // of networks that go: their ranges have them still
  for (const auto& network : change.open)
    if (const auto at = networks_.find(network.masked()); at != networks_.end()) numbers[at->first] = at->second.number;
  if (change.generation != generation_) {
    of(step.gone, GuardSet::book).push_back(book_element());
    generation_ = change.generation;
    of(step.come, GuardSet::book).push_back(book_element());
  }
  for (const auto& [network, devices] : change.close) close(network.masked(), devices, layout, step);
  for (const auto& network : change.open) open(network.masked(), layout, step);
  for (const auto& network : change.inside) layout_.add_inside(network.masked(), layout);
  for (const auto& network : change.not_inside) layout_.remove_inside(network.masked(), layout);
  put_ranges(layout.gone, numbers, step.gone);
  put_ranges(layout.come, numbers, step.come);
  for (const auto& flow : change.flows)
    if (flows_.insert(flow).second) put_flow(step.come, flow);
  for (const auto& flow : change.not_flows)
    if (flows_.erase(flow) != 0) put_flow(step.gone, flow);
  return step;
}

void GuardContent::put_ranges(const std::set<ClosedRange>& ranges, const std::map<net::Prefix, uint32_t>& numbers,
                              GuardElements& elements) const {
  for (const auto& range : ranges) {
    const auto standing = networks_.find(range.network);
    const uint32_t number = standing != networks_.end() ? standing->second.number : numbers.at(range.network);
    auto& set = of(elements, range.first.is_v4() ? GuardSet::net4 : GuardSet::net6);
    Bytes value = number_key(0);  // why in the second word: guard_chains.cpp
    append(value, number);
    set.push_back({bytes_of(range.first), false, value, {}});
    if (const auto behind = address_behind(range.last)) set.push_back({bytes_of(*behind), true, {}, {}});
  }
}

GuardElements GuardContent::all() const {
  GuardElements elements;
  of(elements, GuardSet::book).push_back(book_element());
  for (const auto family : {net::Family::v4, net::Family::v6}) {
    const auto ranges = layout_.ranges(family);
    put_ranges({ranges.begin(), ranges.end()}, {}, elements);
  }
  for (const auto& [network, one] : networks_) {
    put_witnesses(elements, one.number, network);
    for (const int device : one.devices) of(elements, GuardSet::pass).push_back(pass_element(one.number, device));
  }
  for (const auto& flow : flows_) put_flow(elements, flow);
  return elements;
}

GuardElement GuardContent::book_element() const {
  GuardElement element{{}, false, {}, book_};
  append(element.key, static_cast<uint32_t>(generation_ >> 32));
  append(element.key, static_cast<uint32_t>(generation_));
  return element;
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
