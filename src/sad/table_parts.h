// What sad/table.cpp keeps: SAs by name for inbound packets, and by outer pair and inner selectors for outbound ones.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/persistent_map.h"
#include "sad/sa_sequence.h"
#include "sad/table.h"

namespace adit::sad {

struct InboundKey {
  Spi spi{};
  SaType type = SaType::esp;
  net::Address destination;
  friend bool operator==(const InboundKey&, const InboundKey&) = default;
};

struct PairKey {  // outer pair, in outbound direction
  net::Address source, destination;
  SaType type = SaType::esp;
  friend bool operator==(const PairKey&, const PairKey&) = default;
};

struct SelectKey {
  PairKey pair;
  std::optional<InnerSelector> inner;  // prefixes masked
  friend bool operator==(const SelectKey&, const SelectKey&) = default;
};

struct KeyHash {
  size_t operator()(const InboundKey& key) const;
  size_t operator()(const PairKey& key) const;
  size_t operator()(const SelectKey& key) const;
};

// Which parts of a flow an inner selector looks at: flows are masked to a shape, then found by hash.
struct Shape {
  bool any = true;  // no inner selectors at all
  net::Family family = net::Family::v4;
  uint8_t source_length = 0, destination_length = 0;
  bool protocol = false, source_port = false, destination_port = false;
  friend bool operator==(const Shape&, const Shape&) = default;
};

struct Strength {  // what an alternative asks about
  crypto::EncrAlg encr = crypto::EncrAlg::none;
  crypto::AuthAlg auth = crypto::AuthAlg::none;
  uint16_t encr_bits = 0, auth_bits = 0;
  friend bool operator==(const Strength&, const Strength&) = default;
};

// The SAs of one key, by strength. The pointers are owned by Parts::by_name.
struct SaList {
  struct Group {
    Strength strength;
    SaSequence sas;
  };
  std::vector<Group> groups;
};

struct ShapeCount {
  Shape shape;
  uint32_t count = 0;
};
using Shapes = std::vector<ShapeCount>;

struct Table::Parts {
  PersistentMap<InboundKey, std::shared_ptr<Sa>, KeyHash> by_name;
  PersistentMap<PairKey, Shapes, KeyHash> shapes;
  PersistentMap<SelectKey, std::shared_ptr<const SaList>, KeyHash> lists;
  uint32_t any_source = 0;  // pairs without a source: mostly there are none, and nobody looks for them
};

}  // namespace adit::sad
