#include "linux/nft_elements.h"

#include <linux/if.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cstring>

#include "linux/nft_render.h"

namespace adit::platform {
namespace {

constexpr uint8_t kCommentTag = 0;        // in an element's user data, as nft writes and lists it
constexpr size_t kElementsAMessage = 12;  // of at most 200 bytes, in a message of 4096

uint16_t nf_tables(int message) {
  return static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

void put_key(NetlinkMessage& message, int type, const std::vector<uint8_t>& key) {
  nlattr* nest = message.begin_nest(type | NLA_F_NESTED);
  message.put(NFTA_DATA_VALUE, key.data(), key.size());
  message.end_nest(nest);
}

std::vector<uint8_t> key_of(const net::Address& address) {
  return {address.bytes().begin(), address.bytes().end()};
}

// ipv4_addr . ifname or ipv6_addr . ifname: one behind the other, the name filled with zeros.
std::vector<uint8_t> key_of(const net::Address& address, const std::string& interface) {
  std::vector<uint8_t> key = key_of(address);
  key.insert(key.end(), interface.begin(), interface.end());
  key.resize(address.bytes().size() + IFNAMSIZ);
  return key;
}

void put_comment(NetlinkMessage& message, const std::string& comment) {
  std::vector<uint8_t> data{kCommentTag, static_cast<uint8_t>(comment.size() + 1)};
  data.insert(data.end(), comment.begin(), comment.end());
  data.push_back(0);
  message.put(NFTA_SET_ELEM_USERDATA, data.data(), data.size());
}

// A range of an interval set is two elements: where it starts, and where it has ended. The counter is the set's own
// doing.
void put_witness(NetlinkMessage& message, const GuardRange& range, bool adding) {
  nlattr* start = message.begin_nest(NFTA_LIST_ELEM | NLA_F_NESTED);
  put_key(message, NFTA_SET_ELEM_KEY, key_of(range.first));
  if (adding) put_comment(message, range.network.str());
  message.end_nest(start);
  const auto behind = next_address(range.last);
  if (!behind) return;
  nlattr* end = message.begin_nest(NFTA_LIST_ELEM | NLA_F_NESTED);
  put_key(message, NFTA_SET_ELEM_KEY, key_of(*behind));
  message.put_u32(NFTA_SET_ELEM_FLAGS, host_to_be(uint32_t{NFT_SET_ELEM_INTERVAL_END}));
  message.end_nest(end);
}

void put_pass(NetlinkMessage& message, const GuardRange& range, const std::string& tunnel) {
  nlattr* element = message.begin_nest(NFTA_LIST_ELEM | NLA_F_NESTED);
  put_key(message, NFTA_SET_ELEM_KEY, key_of(range.first, tunnel));
  put_key(message, NFTA_SET_ELEM_KEY_END, key_of(range.last, tunnel));
  message.end_nest(element);
}

class Transaction {
 public:
  void element_changes(const GuardDifference& difference) {
    for (const bool adding : {false, true}) {
      const auto& ranges = adding ? difference.come : difference.gone;
      if (ranges.empty()) continue;
      const char* family = ranges.front().first.is_v4() ? "4" : "6";
      passes("guard_pass" + std::string(family), ranges, adding);
      witnesses("guard_out" + std::string(family), ranges, adding);
      witnesses("guard_in" + std::string(family), ranges, adding);
    }
  }
  Result<> run(Netlink& nfnetlink) { return messages_.empty() ? Result<>{} : nfnetlink.transact(messages_); }

 private:
  template <typename Put>
  void message(const std::string& set, bool adding, const Put& put) {
    const auto flags = static_cast<uint16_t>(adding ? NLM_F_CREATE : 0);
    NetlinkMessage& one = messages_.emplace_back(nf_tables(adding ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM), flags);
    one.header<nfgenmsg>()->nfgen_family = NFPROTO_INET;
    one.put_string(NFTA_SET_ELEM_LIST_TABLE, kTableName);
    one.put_string(NFTA_SET_ELEM_LIST_SET, set);
    nlattr* list = one.begin_nest(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED);
    put(one);
    one.end_nest(list);
  }
  void passes(const std::string& set, const std::vector<GuardRange>& ranges, bool adding) {
    for (const auto& range : ranges)
      for (const auto& tunnel : range.tunnels)
        message(set, adding, [&](NetlinkMessage& one) { put_pass(one, range, tunnel); });
  }
  void witnesses(const std::string& set, const std::vector<GuardRange>& ranges, bool adding) {
    for (size_t start = 0; start < ranges.size(); start += kElementsAMessage)
      message(set, adding, [&](NetlinkMessage& one) {
        for (size_t i = start; i < std::min(start + kElementsAMessage, ranges.size()); ++i)
          put_witness(one, ranges[i], adding);
      });
  }
  std::vector<NetlinkMessage> messages_;
};

}  // namespace

Result<> change_guard_elements(Netlink& nfnetlink, const std::vector<GuardDifference>& differences) {
  Transaction transaction;
  for (const auto& difference : differences) transaction.element_changes(difference);
  return transaction.run(nfnetlink);
}

}  // namespace adit::platform
