// Lookup by tuple space (Srinivasan, Suri, Varghese 1999): the rules of one direction and family fall into shapes, a
// shape being which selectors a rule has and how long its prefixes are; within a shape a rule is found by one hash
// probe.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "net/flow.h"
#include "spd/rule.h"

namespace adit::spd {

enum class IcmpKind : uint8_t { none, type, type_and_code, range };

struct Shape {
  int16_t local_length = -1, remote_length = -1;  // -1: the rule has no such address
  bool protocol = false, local_port = false, remote_port = false;
  IcmpKind icmp = IcmpKind::none;
  friend bool operator==(const Shape&, const Shape&) = default;
};

Shape shape_of(const Selector& selector);

// What is compared, as five words: local address, remote address, the rest. Zero where the shape has nothing.
using Key = std::array<uint64_t, 5>;

// A packet as a head sees it: local and remote sorted out by direction.
struct View {
  Key whole{};
  bool has_ports = false, has_icmp = false;
  uint8_t icmp_type = 0, icmp_code = 0;
};
View view_of(const net::Flow& flow, Direction direction);

// The rules of one shape. `Rank` orders rules: higher priority, then earlier place.
struct Rank {
  uint32_t priority = 0;
  uint32_t place = 0;
  [[nodiscard]] bool before(const Rank& other) const {
    return priority != other.priority ? priority > other.priority : place < other.place;
  }
};

class ShapeTable {
 public:
  explicit ShapeTable(const Shape& shape);
  // REQUIRES: rules of this shape only, added before seal.
  void add(const Selector& selector, Rank rank);
  void seal();

  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] Rank best() const { return best_; }
  // The best rule here that matches; false: none.
  bool find(const View& view, Rank& found) const;

 private:
  struct Entry {
    Key key{};
    Rank rank;
    IcmpRange icmp;
  };
  [[nodiscard]] bool icmp_matches(const Entry& entry, const View& view) const;
  [[nodiscard]] size_t slot_of(const Key& key) const;

  Shape shape_;
  Key mask_{};
  Rank best_;
  std::vector<Entry> entries_;   // sorted by key, then rank, when sealed
  std::vector<uint32_t> slots_;  // open addressing: 1 + first entry of a key; 0: free
};

// All shapes of one direction and family, those with the highest priority first.
class ShapeList {
 public:
  void add(const Selector& selector, Rank rank);
  void seal();
  // The best matching rule; false: none.
  bool find(const View& view, Rank& found) const;

 private:
  std::vector<ShapeTable> shapes_;
};

}  // namespace adit::spd
