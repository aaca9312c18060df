#include "linux/nft/nft_message.h"

#include <netinet/in.h>

#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cstring>

namespace adit::platform {
namespace {

constexpr uint8_t kCommentTag = 0;  // in user data, as nft writes and lists it
constexpr uint8_t kFragmentHeader = 44;
constexpr size_t kRuleRoom = 8192;

template <typename Put>
void nest(NetlinkMessage& message, int type, const Put& put) {
  nlattr* attribute = message.begin_nest(type | NLA_F_NESTED);
  put();
  message.end_nest(attribute);
}

}  // namespace

uint16_t nft_type(int message) {
  return static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

NetlinkMessage nft_message(int message, uint16_t flags, size_t room) {
  NetlinkMessage made(nft_type(message), flags, room);
  made.header<nfgenmsg>()->nfgen_family = NFPROTO_INET;
  return made;
}

NetlinkMessage nft_table(int message, const std::string& table) {
  NetlinkMessage made = nft_message(message, message == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);
  made.put_string(NFTA_TABLE_NAME, table);
  return made;
}

NetlinkMessage nft_new_table(const std::string& table, uint32_t flags, const std::string& comment) {
  NetlinkMessage made = nft_table(NFT_MSG_NEWTABLE, table);
  made.put_be32(NFTA_TABLE_FLAGS, flags);
  const auto data = nft_comment(comment);
  made.put(NFTA_TABLE_USERDATA, data.data(), data.size());
  return made;
}

NetlinkMessage nft_new_chain(const std::string& table, const std::string& chain) {
  NetlinkMessage made = nft_message(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
  made.put_string(NFTA_CHAIN_TABLE, table);
  made.put_string(NFTA_CHAIN_NAME, chain);
  return made;
}

NetlinkMessage nft_new_base_chain(const std::string& table, const std::string& chain, uint32_t hook, int priority) {
  NetlinkMessage made = nft_new_chain(table, chain);
  nest(made, NFTA_CHAIN_HOOK, [&] {
    made.put_be32(NFTA_HOOK_HOOKNUM, hook);
    made.put_be32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(priority));
  });
  made.put_be32(NFTA_CHAIN_POLICY, NF_ACCEPT);
  made.put_string(NFTA_CHAIN_TYPE, "filter");
  return made;
}

NetlinkMessage nft_new_set(const std::string& table, const NftSetForm& form, uint32_t id) {
  NetlinkMessage made = nft_message(NFT_MSG_NEWSET, NLM_F_CREATE);
  made.put_string(NFTA_SET_TABLE, table);
  made.put_string(NFTA_SET_NAME, form.name);
  made.put_be32(NFTA_SET_FLAGS, form.flags);
  made.put_be32(NFTA_SET_KEY_TYPE, form.key_type);
  made.put_be32(NFTA_SET_KEY_LEN, form.key_bytes);
  if (form.data_bytes != 0) {
    made.put_be32(NFTA_SET_DATA_TYPE, form.data_type);
    made.put_be32(NFTA_SET_DATA_LEN, form.data_bytes);
  }
  made.put_be32(NFTA_SET_ID, id);
  if (form.counters) nest(made, NFTA_SET_EXPR, [&] { made.put_string(NFTA_EXPR_NAME, "counter"); });
  return made;
}

std::vector<uint8_t> nft_comment(const std::string& text) {
  const size_t size = std::min(text.size(), kMostComment);
  std::vector<uint8_t> data{kCommentTag, static_cast<uint8_t>(size + 1)};
  data.insert(data.end(), text.begin(), text.begin() + static_cast<ptrdiff_t>(size));
  data.push_back(0);
  return data;
}

std::string nft_comment_of(const nlattr* userdata) {
  if (!userdata) return {};
  const auto* bytes = static_cast<const uint8_t*>(nla_data(userdata));
  const auto size = static_cast<size_t>(nla_len(userdata));
  if (size < 3 || bytes[0] != kCommentTag || bytes[1] < 1 || size < size_t{2} + bytes[1]) return {};
  const auto* text = reinterpret_cast<const char*>(bytes + 2);
  return {text, strnlen(text, bytes[1])};
}

NftRule::NftRule(const std::string& table, const std::string& chain)
    : message_(nft_message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, kRuleRoom)) {
  message_.put_string(NFTA_RULE_TABLE, table);
  message_.put_string(NFTA_RULE_CHAIN, chain);
  expressions_ = message_.begin_nest(NFTA_RULE_EXPRESSIONS | NLA_F_NESTED);
}

template <typename Put>
NftRule& NftRule::expression(const char* name, const Put& put) {
  nest(message_, NFTA_LIST_ELEM, [&] {
    message_.put_string(NFTA_EXPR_NAME, name);
    nest(message_, NFTA_EXPR_DATA, put);
  });
  return *this;
}

void NftRule::data(int type, std::span<const uint8_t> value) {
  nest(message_, type, [&] { message_.put(NFTA_DATA_VALUE, value.data(), value.size()); });
}

NftRule& NftRule::meta(uint32_t key, unsigned word) {
  return expression("meta", [&] {
    message_.put_be32(NFTA_META_DREG, nft_register(word));
    message_.put_be32(NFTA_META_KEY, key);
  });
}

NftRule& NftRule::payload(uint32_t base, uint32_t offset, uint32_t bytes, unsigned word) {
  return expression("payload", [&] {
    message_.put_be32(NFTA_PAYLOAD_DREG, nft_register(word));
    message_.put_be32(NFTA_PAYLOAD_BASE, base);
    message_.put_be32(NFTA_PAYLOAD_OFFSET, offset);
    message_.put_be32(NFTA_PAYLOAD_LEN, bytes);
  });
}

NftRule& NftRule::ipv6_fragment_offset(unsigned word) {
  return expression("exthdr", [&] {
    message_.put_be32(NFTA_EXTHDR_DREG, nft_register(word));
    message_.put_u8(NFTA_EXTHDR_TYPE, kFragmentHeader);
    message_.put_be32(NFTA_EXTHDR_OFFSET, 2);
    message_.put_be32(NFTA_EXTHDR_LEN, 2);
  });
}

NftRule& NftRule::fib(uint32_t result, uint32_t flags, unsigned word) {
  return expression("fib", [&] {
    message_.put_be32(NFTA_FIB_DREG, nft_register(word));
    message_.put_be32(NFTA_FIB_RESULT, result);
    message_.put_be32(NFTA_FIB_FLAGS, flags);
  });
}

NftRule& NftRule::mask(unsigned word, std::span<const uint8_t> bits) {
  return expression("bitwise", [&] {
    message_.put_be32(NFTA_BITWISE_SREG, nft_register(word));
    message_.put_be32(NFTA_BITWISE_DREG, nft_register(word));
    message_.put_be32(NFTA_BITWISE_LEN, static_cast<uint32_t>(bits.size()));
    data(NFTA_BITWISE_MASK, bits);
    data(NFTA_BITWISE_XOR, std::vector<uint8_t>(bits.size(), 0));
  });
}

NftRule& NftRule::compare(uint32_t operation, unsigned word, std::span<const uint8_t> value) {
  return expression("cmp", [&] {
    message_.put_be32(NFTA_CMP_SREG, nft_register(word));
    message_.put_be32(NFTA_CMP_OP, operation);
    data(NFTA_CMP_DATA, value);
  });
}

NftRule& NftRule::in_set(const std::string& set, unsigned word) {
  return expression("lookup", [&] {
    message_.put_string(NFTA_LOOKUP_SET, set);
    message_.put_be32(NFTA_LOOKUP_SREG, nft_register(word));
  });
}

NftRule& NftRule::not_in_set(const std::string& set, unsigned word) {
  return expression("lookup", [&] {
    message_.put_string(NFTA_LOOKUP_SET, set);
    message_.put_be32(NFTA_LOOKUP_SREG, nft_register(word));
    message_.put_be32(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
  });
}

NftRule& NftRule::map(const std::string& set, unsigned word, unsigned into) {
  return expression("lookup", [&] {
    message_.put_string(NFTA_LOOKUP_SET, set);
    message_.put_be32(NFTA_LOOKUP_SREG, nft_register(word));
    message_.put_be32(NFTA_LOOKUP_DREG, nft_register(into));
  });
}

NetlinkMessage NftRule::verdict(int code, const std::string& chain) {
  expression("immediate", [&] {
    message_.put_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    nest(message_, NFTA_IMMEDIATE_DATA, [&] {
      nest(message_, NFTA_DATA_VERDICT, [&] {
        message_.put_be32(NFTA_VERDICT_CODE, static_cast<uint32_t>(code));
        if (!chain.empty()) message_.put_string(NFTA_VERDICT_CHAIN, chain);
      });
    });
  });
  return no_verdict();
}

NetlinkMessage NftRule::no_verdict() {
  message_.end_nest(expressions_);
  return std::move(message_);
}

}  // namespace adit::platform
