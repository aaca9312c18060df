#include "linux/guard/layers/guard_read.h"

#include <netinet/in.h>

#include <linux/netfilter/nfnetlink.h>

#include <cstring>

namespace adit::platform {
namespace {

const nlattr* inner(const nlattr* nest, int type) {
  return nest ? nla_find(static_cast<const nlattr*>(nla_data(nest)), nla_len(nest), type) : nullptr;
}

std::string text_of(const nlattr* attribute) {
  if (!attribute) return {};
  const auto* text = static_cast<const char*>(nla_data(attribute));
  return {text, strnlen(text, static_cast<size_t>(nla_len(attribute)))};
}

std::vector<uint8_t> bytes_of(const nlattr* attribute) {
  if (!attribute) return {};
  const auto* bytes = static_cast<const uint8_t*>(nla_data(attribute));
  return {bytes, bytes + nla_len(attribute)};
}

uint32_t be32_of(const nlattr* attribute) {
  return host_to_be(attribute_u32(attribute, 0));
}

uint64_t be64_of(const nlattr* attribute) {
  return attribute && nla_len(attribute) >= 8 ? load_be64(static_cast<const uint8_t*>(nla_data(attribute))) : 0;
}

// The attributes that say what an object is, one behind the other; not those that count.
std::string described(const nlmsghdr& answer, std::initializer_list<int> types) {
  std::string text;
  for (const int type : types) {
    const nlattr* found = nft_attribute(answer, type);
    const auto size = static_cast<uint32_t>(found ? nla_len(found) : -1);
    text.append(reinterpret_cast<const char*>(&size), sizeof size);
    if (found) text.append(static_cast<const char*>(nla_data(found)), size);
  }
  return text;
}

const nlattr* counter_of(const nlattr* element) {
  const nlattr* expression = inner(element, NFTA_SET_ELEM_EXPR);
  if (!expression) expression = inner(inner(element, NFTA_SET_ELEM_EXPRESSIONS), NFTA_LIST_ELEM);
  return inner(expression, NFTA_EXPR_DATA);
}

GuardElement element_of(const nlattr* attributes) {
  GuardElement element;
  element.key = bytes_of(inner(inner(attributes, NFTA_SET_ELEM_KEY), NFTA_DATA_VALUE));
  element.data = bytes_of(inner(inner(attributes, NFTA_SET_ELEM_DATA), NFTA_DATA_VALUE));
  element.comment = nft_comment_of(inner(attributes, NFTA_SET_ELEM_USERDATA));
  return element;
}

NetlinkMessage question(int message, int table_attribute, const std::string& table) {
  NetlinkMessage made = nft_message(message, NLM_F_DUMP);
  made.put_string(table_attribute, table);
  return made;
}

// Every object of one kind in that table of family inet.
Result<> each_of(Netlink& nfnetlink, int message, int table_attribute, const std::string& table,
                 const std::function<void(const nlmsghdr&)>& each, const std::function<void()>& restart) {
  NetlinkMessage asked = question(message, table_attribute, table);
  return nfnetlink.query(
      asked,
      [&](const nlmsghdr& answer) {
        const auto* header = static_cast<const nfgenmsg*>(nlmsg_data(&answer));
        if (header->nfgen_family == NFPROTO_INET && text_of(nft_attribute(answer, table_attribute)) == table)
          each(answer);
      },
      restart);
}

Result<> read_chains(Netlink& nfnetlink, const std::string& table, GuardShape& shape) {
  TRY(each_of(
      nfnetlink, NFT_MSG_GETCHAIN, NFTA_CHAIN_TABLE, table,
      [&](const nlmsghdr& answer) {
        const std::string name = text_of(nft_attribute(answer, NFTA_CHAIN_NAME));
        shape.rules[name];
        shape.chains[name] = described(answer, {NFTA_CHAIN_HOOK, NFTA_CHAIN_POLICY, NFTA_CHAIN_TYPE, NFTA_CHAIN_FLAGS});
      },
      [&] {
        shape.chains.clear();
        shape.rules.clear();
      }));
  return each_of(
      nfnetlink, NFT_MSG_GETRULE, NFTA_RULE_TABLE, table,
      [&](const nlmsghdr& answer) {
        shape.rules[text_of(nft_attribute(answer, NFTA_RULE_CHAIN))].push_back(
            described(answer, {NFTA_RULE_EXPRESSIONS}));
      },
      [&] {
        for (auto& [chain, rules] : shape.rules) rules.clear();
      });
}

Result<> read_sets(Netlink& nfnetlink, const std::string& table, GuardShape& shape) {
  TRY(each_of(
      nfnetlink, NFT_MSG_GETSET, NFTA_SET_TABLE, table,
      [&](const nlmsghdr& answer) {
        shape.sets[text_of(nft_attribute(answer, NFTA_SET_NAME))] =
            described(answer, {NFTA_SET_FLAGS, NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN, NFTA_SET_DATA_TYPE,
                               NFTA_SET_DATA_LEN, NFTA_SET_TIMEOUT});
      },
      [&] { shape.sets.clear(); }));
  for (const std::string set : kGuardFixedSets) {
    const auto there = read_guard_elements(nfnetlink, table, set);
    if (missing(there)) continue;
    TRY(there);
    auto& members = shape.members[set];
    for (const auto& element : *there) members.insert(element.key);
  }
  return {};
}

}  // namespace

const nlattr* nft_attribute(const nlmsghdr& answer, int type, size_t least) {
  return find_attribute(answer, sizeof(nfgenmsg), type, least);
}

Result<std::optional<GuardShape>> read_guard_shape(Netlink& nfnetlink, const std::string& table) {
  GuardShape shape;
  NetlinkMessage message = nft_message(NFT_MSG_GETTABLE, 0);
  message.put_string(NFTA_TABLE_NAME, table);
  const auto asked = nfnetlink.query(message, [&](const nlmsghdr& answer) {
    shape.flags = be32_of(nft_attribute(answer, NFTA_TABLE_FLAGS));
    shape.owner = be32_of(nft_attribute(answer, NFTA_TABLE_OWNER));
    shape.comment = bytes_of(nft_attribute(answer, NFTA_TABLE_USERDATA));
  });
  if (missing(asked)) return std::nullopt;
  TRY(asked);
  TRY(read_chains(nfnetlink, table, shape));
  TRY(read_sets(nfnetlink, table, shape));
  return shape;
}

Result<std::optional<uint32_t>> read_table_owner(Netlink& nfnetlink, const std::string& table) {
  NetlinkMessage message = nft_message(NFT_MSG_GETTABLE, 0);
  message.put_string(NFTA_TABLE_NAME, table);
  std::optional<uint32_t> owner;
  const auto asked = nfnetlink.query(
      message, [&](const nlmsghdr& answer) { owner = be32_of(nft_attribute(answer, NFTA_TABLE_OWNER)); });
  if (!missing(asked)) TRY(asked);
  return owner;
}

Result<std::vector<GuardElement>> read_guard_elements(Netlink& nfnetlink, const std::string& table,
                                                      const std::string& set, std::map<std::string, Counted>* counted) {
  NetlinkMessage message = question(NFT_MSG_GETSETELEM, NFTA_SET_ELEM_LIST_TABLE, table);
  message.put_string(NFTA_SET_ELEM_LIST_SET, set);
  std::vector<GuardElement> all;
  TRY(nfnetlink.query(
      message,
      [&](const nlmsghdr& answer) {
        const nlattr* list = nft_attribute(answer, NFTA_SET_ELEM_LIST_ELEMENTS);
        if (!list) return;
        int left = nla_len(list);
        for (auto* one = static_cast<nlattr*>(nla_data(list)); nla_ok(one, left); one = nla_next(one, &left)) {
          all.push_back(element_of(one));
          if (!counted) continue;
          const nlattr* counter = counter_of(one);
          (*counted)[all.back().comment] = {be64_of(inner(counter, NFTA_COUNTER_PACKETS)),
                                            be64_of(inner(counter, NFTA_COUNTER_BYTES))};
        }
      },
      [&] {
        all.clear();
        if (counted) counted->clear();
      }));
  return all;
}

}  // namespace adit::platform
