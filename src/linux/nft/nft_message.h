// What nf_tables is told, as netlink messages: tables, chains, sets, elements, and rules made of the kernel's own
// expressions. For nfnetlink's batch (Netlink::transact); all for family inet. No I/O.
#pragma once

#include <netinet/in.h>  // before the kernel's, which gives way to it

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <span>
#include <string>
#include <vector>

#include "linux/netlink/netlink_socket.h"

namespace adit::platform {

uint16_t nft_type(int message);  // NFT_MSG_*
NetlinkMessage nft_message(int message, uint16_t flags, size_t room = NetlinkMessage::kUsualRoom);

NetlinkMessage nft_table(int message, const std::string& table);
// `comment`: shown by `nft list`; `flags`: NFT_TABLE_F_*.
NetlinkMessage nft_new_table(const std::string& table, uint32_t flags, const std::string& comment);
NetlinkMessage nft_new_chain(const std::string& table, const std::string& chain);
NetlinkMessage nft_new_base_chain(const std::string& table, const std::string& chain, uint32_t hook, int priority);

struct NftSetForm {
  std::string name;
  uint32_t flags = 0;                      // NFT_SET_*
  uint32_t key_type = 0, key_bytes = 0;    // the type as nft numbers it, so that it can list them
  uint32_t data_type = 0, data_bytes = 0;  // of a map
  bool counters = false;                   // each element has one, which counts look-ups that find it
};
NetlinkMessage nft_new_set(const std::string& table, const NftSetForm& form, uint32_t id);

// The user data in which nft keeps a comment. At most kMostComment bytes are kept; an element takes 253.
constexpr size_t kMostComment = 250;
std::vector<uint8_t> nft_comment(const std::string& text);
std::string nft_comment_of(const nlattr* userdata);  // empty: none

// Registers that a key is built in from front to back, 4 bytes each, numbered as the kernel dumps them.
constexpr uint32_t nft_register(unsigned word) {
  return word % 4 == 0 ? NFT_REG_1 + word / 4 : NFT_REG32_00 + word;
}

// A rule under construction. Each expression must hold for the next to be looked at.
class NftRule {
 public:
  NftRule(const std::string& table, const std::string& chain);

  NftRule& meta(uint32_t key, unsigned word);
  NftRule& payload(uint32_t base, uint32_t offset, uint32_t bytes, unsigned word);
  NftRule& ipv6_fragment_offset(unsigned word);  // 2 bytes; does not hold without a fragment header
  NftRule& fib(uint32_t result, uint32_t flags, unsigned word);
  NftRule& mask(unsigned word, std::span<const uint8_t> bits);
  NftRule& equal(unsigned word, std::span<const uint8_t> value) { return compare(NFT_CMP_EQ, word, value); }
  NftRule& unequal(unsigned word, std::span<const uint8_t> value) { return compare(NFT_CMP_NEQ, word, value); }
  NftRule& at_least(unsigned word, std::span<const uint8_t> value) { return compare(NFT_CMP_GTE, word, value); }
  NftRule& at_most(unsigned word, std::span<const uint8_t> value) { return compare(NFT_CMP_LTE, word, value); }
  NftRule& in_set(const std::string& set, unsigned word);
  NftRule& not_in_set(const std::string& set, unsigned word);
  NftRule& map(const std::string& set, unsigned word, unsigned into);  // does not hold for what the map does not know
  NetlinkMessage verdict(int code, const std::string& chain = {});     // the last call: the rule is given away
  NetlinkMessage no_verdict();

 private:
  template <typename Put>
  NftRule& expression(const char* name, const Put& put);
  NftRule& compare(uint32_t operation, unsigned word, std::span<const uint8_t> value);
  void data(int type, std::span<const uint8_t> value);
  NetlinkMessage message_;
  nlattr* expressions_;
};

}  // namespace adit::platform
