#include "spd/head_index.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace adit::spd {
namespace {

constexpr uint64_t kProtocolMask = 0xff, kLocalPortMask = 0xffff00, kRemotePortMask = 0xffff000000,
                   kTypeMask = 0xff0000000000, kCodeMask = 0xff000000000000;

uint64_t meta(uint8_t protocol, uint16_t local_port, uint16_t remote_port, uint8_t type, uint8_t code) {
  return uint64_t{protocol} | uint64_t{local_port} << 8 | uint64_t{remote_port} << 24 | uint64_t{type} << 40 |
         uint64_t{code} << 48;
}

void put_address(uint64_t* words, const net::Address& address) {
  words[0] = words[1] = 0;
  const ByteSpan bytes = address.bytes();
  std::memcpy(words, bytes.data(), bytes.size());
}

// The mask of a prefix, in the byte order of memory.
void put_mask(uint64_t* words, int16_t length) {
  uint8_t bytes[16] = {};
  for (int16_t bit = 0; bit < length; ++bit) bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] | 0x80 >> bit % 8);
  std::memcpy(words, bytes, sizeof bytes);
}

Key mask_of(const Shape& shape) {
  Key mask{};
  put_mask(&mask[0], shape.local_length);
  put_mask(&mask[2], shape.remote_length);
  if (shape.protocol) mask[4] |= kProtocolMask;
  if (shape.local_port) mask[4] |= kLocalPortMask;
  if (shape.remote_port) mask[4] |= kRemotePortMask;
  if (shape.icmp == IcmpKind::type || shape.icmp == IcmpKind::type_and_code) mask[4] |= kTypeMask;
  if (shape.icmp == IcmpKind::type_and_code) mask[4] |= kCodeMask;
  return mask;
}

Key operator&(const Key& key, const Key& mask) {
  return {key[0] & mask[0], key[1] & mask[1], key[2] & mask[2], key[3] & mask[3], key[4] & mask[4]};
}

Key key_of(const Selector& selector) {
  Key key{};
  if (selector.local) put_address(&key[0], selector.local->address());
  if (selector.remote) put_address(&key[2], selector.remote->address());
  key[4] = meta(selector.protocol.value_or(0), selector.local_port.value_or(0), selector.remote_port.value_or(0),
                selector.icmp ? selector.icmp->type : 0, selector.icmp ? selector.icmp->code : 0);
  return key;
}

uint64_t hash_of(const Key& key) {
  uint64_t hash = 0x243f6a8885a308d3ULL;
  for (const uint64_t word : key) {
    hash = (hash ^ word) * 0x9fb21c651e98df25ULL;
    hash ^= hash >> 29;
  }
  return hash ^ hash >> 32;
}

}  // namespace

Shape shape_of(const Selector& selector) {
  Shape shape;
  if (selector.local) shape.local_length = selector.local->length();
  if (selector.remote) shape.remote_length = selector.remote->length();
  shape.protocol = selector.protocol.has_value();
  shape.local_port = selector.local_port.has_value();
  shape.remote_port = selector.remote_port.has_value();
  if (!selector.icmp) return shape;
  const IcmpRange& icmp = *selector.icmp;
  if (icmp.type != icmp.type_end || (icmp.code != 255 && icmp.code != icmp.code_end))
    shape.icmp = IcmpKind::range;
  else
    shape.icmp = icmp.code == 255 ? IcmpKind::type : IcmpKind::type_and_code;
  return shape;
}

View view_of(const net::Flow& flow, Direction direction) {
  const bool out = direction == Direction::out;
  View view{
      .has_ports = flow.has_ports, .has_icmp = flow.has_icmp, .icmp_type = flow.icmp_type, .icmp_code = flow.icmp_code};
  put_address(&view.whole[0], out ? flow.source : flow.destination);
  put_address(&view.whole[2], out ? flow.destination : flow.source);
  view.whole[4] = meta(flow.protocol, out ? flow.source_port : flow.destination_port,
                       out ? flow.destination_port : flow.source_port, flow.icmp_type, flow.icmp_code);
  return view;
}

ShapeTable::ShapeTable(const Shape& shape) : shape_(shape), mask_(mask_of(shape)) {}

void ShapeTable::add(const Selector& selector, Rank rank) {
  if (entries_.empty() || rank.before(best_)) best_ = rank;
  entries_.push_back({key_of(selector) & mask_, rank, selector.icmp.value_or(IcmpRange{})});
}

void ShapeTable::seal() {
  std::ranges::sort(
      entries_, [](const Entry& a, const Entry& b) { return a.key != b.key ? a.key < b.key : a.rank.before(b.rank); });
  if (shape_.icmp != IcmpKind::range) {  // equal keys: the first hides the others
    const auto hidden = std::ranges::unique(entries_, {}, &Entry::key);
    entries_.erase(hidden.begin(), hidden.end());
  }
  entries_.shrink_to_fit();
  slots_.assign(std::bit_ceil(entries_.size() * 2 + 1), 0);
  for (uint32_t at = 0; at < entries_.size(); ++at)
    if (at == 0 || entries_[at].key != entries_[at - 1].key) slots_[slot_of(entries_[at].key)] = at + 1;
}

// Where a key stands, or the free slot where it would.
size_t ShapeTable::slot_of(const Key& key) const {
  const size_t last = slots_.size() - 1;
  size_t slot = hash_of(key) & last;
  while (slots_[slot] != 0 && entries_[slots_[slot] - 1].key != key) slot = (slot + 1) & last;
  return slot;
}

bool ShapeTable::icmp_matches(const Entry& entry, const View& view) const {
  if (shape_.icmp != IcmpKind::range) return true;
  const IcmpRange& range = entry.icmp;
  return view.icmp_type >= range.type && view.icmp_type <= range.type_end &&
         (range.code == 255 || (view.icmp_code >= range.code && view.icmp_code <= range.code_end));
}

bool ShapeTable::find(const View& view, Rank& found) const {
  if ((shape_.local_port || shape_.remote_port) && !view.has_ports) return false;
  if (shape_.icmp != IcmpKind::none && !view.has_icmp) return false;
  const Key key = view.whole & mask_;
  const uint32_t first = slots_[slot_of(key)];
  if (first == 0) return false;
  for (size_t at = first - 1; at < entries_.size() && entries_[at].key == key; ++at) {
    if (!icmp_matches(entries_[at], view)) continue;
    found = entries_[at].rank;
    return true;
  }
  return false;
}

void ShapeList::add(const Selector& selector, Rank rank) {
  const Shape shape = shape_of(selector);
  auto table = std::ranges::find(shapes_, shape, &ShapeTable::shape);
  if (table == shapes_.end()) table = shapes_.insert(shapes_.end(), ShapeTable(shape));
  table->add(selector, rank);
}

void ShapeList::seal() {
  for (ShapeTable& table : shapes_) table.seal();
  std::ranges::sort(shapes_, [](const ShapeTable& a, const ShapeTable& b) { return a.best().before(b.best()); });
}

bool ShapeList::find(const View& view, Rank& found) const {
  bool any = false;
  for (const ShapeTable& table : shapes_) {
    if (any && found.before(table.best())) break;
    Rank rank;
    if (!table.find(view, rank) || (any && !rank.before(found))) continue;
    found = rank;
    any = true;
  }
  return any;
}

}  // namespace adit::spd
