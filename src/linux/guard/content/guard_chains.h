// The rules of the guard's nftables tables: the same whatever is closed, which only the sets' elements say. Pure.
#pragma once

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "linux/guard/content/guard_content.h"
#include "linux/nft/nft_message.h"

namespace adit::platform {

struct GuardChains {
  std::string table;
  uint32_t flags = 0;               // NFT_TABLE_F_*
  uint32_t mark = 0, uid = 0;       // who sends outer packets
  GuardLengths lengths;             // of the keys by which closed networks are looked up
  bool ask_before_routing = false;  // chains at prerouting and output, for routes that encapsulate past the others
  friend bool operator==(const GuardChains&, const GuardChains&) = default;
};

// A table by its parts, in the order in which they can be made; each under its own name, rules under their chain's.
struct GuardParts {
  using Named = std::vector<std::pair<std::string, NetlinkMessage>>;
  NetlinkMessage table;
  Named sets, members, chains, rules;
};
GuardParts guard_parts(const GuardChains& chains);
// Sets whose members never change.
constexpr std::array<const char*, 2> kGuardFixedSets{"ports", "errors4"};

// Elements of one set that come or go; as few messages as hold them. `counted`: an element's packets and bytes so far.
struct Counted {
  uint64_t packets = 0, bytes = 0;
};
void put_guard_elements(std::vector<NetlinkMessage>& messages, const std::string& table, const std::string& set,
                        bool come, const std::vector<GuardElement>& elements,
                        const std::map<std::string, Counted>& counted = {});

}  // namespace adit::platform
