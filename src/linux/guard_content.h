// What stands in the guard's nftables tables beside their rules: the elements of their sets, made from a plan. One
// network more or less gives the few elements that go and come. Pure; one thread.
#pragma once

#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "linux/guard_layout.h"
#include "linux/guard_plan.h"

namespace adit::platform {

enum class GuardSet : uint8_t {
  net4,         // interval map: closed addresses -> 0 . the number of their network
  net6,         //
  pass,         // number . interface index: this device may carry it
  stopped_out,  // number, with a counter and the network as a comment: what was stopped on its way there
  stopped_in,   // and from there
  flow4,        // local . remote: outer packets
  flow6,        //
  book,         // generation, with the book's root as a comment
};
constexpr size_t kGuardSets = 8;

// Marks the number of a network that covers half of all addresses or more: what a link needs to live (DHCP, neighbour
// discovery, IKE with peers not known yet) still passes there.
constexpr uint32_t kWideNetwork = 0x80000000;

struct GuardElement {
  std::vector<uint8_t> key;
  bool end = false;           // of an interval, exclusive
  std::vector<uint8_t> data;  // of a map
  std::string comment;
  friend auto operator<=>(const GuardElement&, const GuardElement&) = default;
};
using GuardElements = std::array<std::vector<GuardElement>, kGuardSets>;  // by GuardSet

struct ElementStep {
  GuardElements gone, come;
};

// By which number the elements name each network.
using GuardNumbers = std::map<net::Prefix, uint32_t>;

class GuardContent {
 public:
  // `numbers`: as networks are called already, by a table that stands; what makes no sense of them is left out.
  explicit GuardContent(const GuardPlan& plan, const GuardNumbers& numbers = {});

  // Goes on to what the plan is after `change`.
  ElementStep change(const GuardChange& change);
  [[nodiscard]] GuardElements all() const;

  [[nodiscard]] GuardNumbers numbers() const;

  [[nodiscard]] bool empty() const { return networks_.empty(); }  // nothing is closed
  [[nodiscard]] const std::string& book() const { return book_; }
  [[nodiscard]] uint32_t mark() const { return mark_; }
  [[nodiscard]] uint32_t uid() const { return uid_; }

 private:
  struct Network {
    uint32_t number;
    std::set<int> devices;
  };
  void close(const net::Prefix& network, const std::vector<int>& devices, LayoutStep& layout, ElementStep& step);
  void open(const net::Prefix& network, LayoutStep& layout, ElementStep& step);
  void put_ranges(const std::set<ClosedRange>& ranges, const std::map<net::Prefix, uint32_t>& numbers,
                  GuardElements& elements) const;
  [[nodiscard]] uint32_t new_number(const net::Prefix& network);
  [[nodiscard]] GuardElement book_element() const;

  std::string book_;
  uint64_t generation_ = 0;
  uint32_t mark_ = 0, uid_ = 0;
  GuardLayout layout_;
  std::map<net::Prefix, Network> networks_;
  std::set<OuterFlow> flows_;
  GuardNumbers known_;  // before their networks are there
  uint32_t last_number_ = 0;
};

// The number in the key of an element that counts; 0: none is.
uint32_t number_of(const std::vector<uint8_t>& key);
// The generation in the key of the book's element.
uint64_t generation_of(const std::vector<uint8_t>& key);

}  // namespace adit::platform
