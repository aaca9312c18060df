// The way from a table as it is to the table as it should be, in place: base chains stay hooked where they are, and
// what need not change is not touched. Pure.
//
// Why in place: a packet on its way holds the list of hooks of a moment ago. In a chain that is deleted it meets no
// rules any more, and a chain that was added since is not in its list; so a table that is deleted and added again in
// one transaction lets that packet through. A chain that stays has the rules of before or of after, never none.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "linux/guard/content/guard_chains.h"
#include "linux/guard/layers/guard_read.h"

namespace adit::platform {

struct GuardMend {
  bool in_place = true;               // false: the table must be deleted and made again
  std::vector<NetlinkMessage> first;  // one transaction
  std::vector<NetlinkMessage> then;   // and one for what is left over, once no packet uses it any more
};

using GuardCounts = std::array<std::map<std::string, Counted>, 2>;  // out, in; by network

struct GuardLook {
  std::optional<GuardShape> shape;  // nullopt: there is no table
  GuardElements elements;
};

// All parts, in their order.
std::vector<NetlinkMessage> all_of(GuardParts parts);

// `parts` are those of `wanted`; `counts`: what elements that come had counted.
GuardMend mend_guard_table(const std::string& table, const GuardLook& look, const GuardShape& wanted, GuardParts parts,
                           const GuardElements& elements, const GuardCounts& counts);

}  // namespace adit::platform
