// The rules of the guard's nftables tables: the same whatever is closed, which only the sets' elements say. Pure.
#pragma once

#include <string>
#include <vector>

#include "linux/guard_content.h"
#include "linux/nft_message.h"

namespace adit::platform {

struct GuardChains {
  std::string table;
  uint32_t mark = 0, uid = 0;       // who sends outer packets
  bool ask_before_routing = false;  // a chain at prerouting, for routes that encapsulate past forward and postrouting
};

std::string guard_set_name(GuardSet set);
// Sets and chains with their rules, for a table that is there and empty.
std::vector<NetlinkMessage> guard_chain_messages(const GuardChains& chains);
// Elements of one set that come or go; as few messages as hold them. `counted`: an element's packets and bytes so far.
struct Counted {
  uint64_t packets = 0, bytes = 0;
};
void put_guard_elements(std::vector<NetlinkMessage>& messages, const std::string& table, GuardSet set, bool come,
                        const std::vector<GuardElement>& elements, const std::map<std::string, Counted>& counted = {});

}  // namespace adit::platform
