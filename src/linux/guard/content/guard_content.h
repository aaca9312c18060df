// What stands in the guard's nftables tables beside their rules: the elements of their sets, made from a plan. One
// network more or less gives the few elements that go and come. Pure; one thread.
#pragma once

#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "linux/guard/content/guard_layout.h"
#include "linux/guard/content/guard_layout_near.h"
#include "linux/platform/guard_plan.h"

namespace adit::platform {

// By which lengths of keys closed networks are looked up.
using GuardLengths = std::array<std::set<uint8_t>, 2>;  // IPv4, IPv6

// Sets that every table has. For each length of keys three more: hit4_24 (the keys), pass4_24 (key . interface
// index: this device may carry it) and net4_24 (the keys -> 0 . the number of their network, 0 for what is inside).
// For near_length() two more: near4_24 and sole4_24 (guard_layout_near.h).
constexpr const char* kStoppedOutSet = "stopped_out";  // number, with a counter and the network as a comment: what was
constexpr const char* kStoppedInSet = "stopped_in";    // stopped on its way there, and from there
constexpr const char* kFlow4Set = "flow4";             // local . remote: outer packets
constexpr const char* kFlow6Set = "flow6";
constexpr const char* kBookSet = "book";  // generation, with the book's root as a comment
std::string hit_set_name(net::Family family, uint8_t length);
std::string pass_set_name(net::Family family, uint8_t length);
std::string near_set_name(net::Family family, uint8_t length);
std::string sole_set_name(net::Family family, uint8_t length);
std::string net_map_name(net::Family family, uint8_t length);

// Marks the number of a network that covers half of all addresses or more: what a link needs to live (DHCP, neighbour
// discovery, IKE with peers not known yet) still passes there.
constexpr uint32_t kWideNetwork = 0x80000000;
// Marks the number of a network around one of link_networks(), which pass.
constexpr uint32_t kAroundLink = 0x40000000;

struct GuardElement {
  std::vector<uint8_t> key;
  std::vector<uint8_t> data;  // of a map
  std::string comment;
  friend auto operator<=>(const GuardElement&, const GuardElement&) = default;
};
using GuardElements = std::map<std::string, std::vector<GuardElement>>;  // by set

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
  [[nodiscard]] GuardElements all() const;  // with every set that there is to be
  // Only more by changes, so that rules need not follow whatever comes and goes.
  [[nodiscard]] const GuardLengths& lengths() const { return lengths_; }

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
  using Networks = std::map<net::Prefix, Network>;
  void close(const net::Prefix& network, const std::vector<int>& devices, LayoutStep& layout, ElementStep& step);
  void open(const net::Prefix& network, LayoutStep& layout, ElementStep& step);
  // `before`: networks that this step changes, as they were.
  void put_keys(const LayoutStep& layout, const Networks& before, ElementStep& step) const;
  using Passes = std::set<std::pair<net::Prefix, int>>;  // key, device
  struct PassStep {
    Passes gone, come;
  };
  [[nodiscard]] PassStep passes(const LayoutStep& layout, const Networks& before) const;
  void follow_near(net::Family family, const LayoutStep& layout, const PassStep& passes, ElementStep& step);
  [[nodiscard]] uint32_t new_number(const net::Prefix& network);
  [[nodiscard]] GuardElement book_element() const;

  std::string book_;
  uint64_t generation_ = 0;
  uint32_t mark_ = 0, uid_ = 0;
  GuardLayout layout_;
  GuardLengths lengths_;
  std::array<GuardNear, 2> near_;
  Networks networks_;
  std::set<OuterFlow> flows_;
  GuardNumbers known_;  // before their networks are there
  uint32_t last_number_ = 0;
};

// The number in the key of an element that counts; 0: none is.
uint32_t number_of(const std::vector<uint8_t>& key);
// The generation in the key of the book's element.
uint64_t generation_of(const std::vector<uint8_t>& key);

}  // namespace adit::platform
