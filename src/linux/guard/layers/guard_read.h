// The guard's tables as the kernel tells them: what a table is made of, and the elements of its sets. By nfnetlink.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "linux/guard/content/guard_chains.h"
#include "linux/guard/content/guard_content.h"
#include "linux/netlink/netlink_socket.h"

namespace adit::platform {

// All of a table but the elements that come and go, by content: no handles, no counts.
struct GuardShape {
  uint32_t flags = 0, owner = 0;              // owner: the port of the socket that it belongs to; 0: nobody's
  std::vector<uint8_t> comment;               // as user data
  std::map<std::string, std::string> chains;  // with hook, priority, policy and type
  std::map<std::string, std::vector<std::string>> rules;          // of each chain, in order
  std::map<std::string, std::string> sets;                        // with types and flags
  std::map<std::string, std::set<std::vector<uint8_t>>> members;  // of the sets that never change
  friend bool operator==(const GuardShape&, const GuardShape&) = default;
};

// nullopt: no such table.
Result<std::optional<GuardShape>> read_guard_shape(Netlink& nfnetlink, const std::string& table);
// The port of the socket that the table belongs to, 0: nobody's. nullopt: no such table.
Result<std::optional<uint32_t>> read_table_owner(Netlink& nfnetlink, const std::string& table);
// ENOENT: no such table or set. `counted`: by the elements' comments.
Result<std::vector<GuardElement>> read_guard_elements(Netlink& nfnetlink, const std::string& table,
                                                      const std::string& set,
                                                      std::map<std::string, Counted>* counted = nullptr);
// An attribute of an answer of nf_tables; null: it is not there.
const nlattr* nft_attribute(const nlmsghdr& answer, int type, size_t least = 0);

template <typename T>
bool missing(const Result<T>& result) {
  return !result && result.error().code == ENOENT;
}

}  // namespace adit::platform
