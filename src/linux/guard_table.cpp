#include "linux/guard_table.h"

#include <netinet/in.h>

#include <linux/netfilter/nfnetlink.h>

#include <algorithm>

namespace adit::platform {
namespace {

constexpr int kTries = 5;  // to be alone with the kernel
constexpr const char* kComment = "Adit's: leave it out when saving rules";

// Attributes of a netlink answer behind nfgenmsg, and of nests: as the kernel made them.
const nlattr* attribute(const nlmsghdr& answer, int type, size_t least = 0) {
  return find_attribute(answer, sizeof(nfgenmsg), type, least);
}

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

uint64_t be64_of(const nlattr* attribute) {
  return attribute && nla_len(attribute) >= 8 ? load_be64(static_cast<const uint8_t*>(nla_data(attribute))) : 0;
}

// The attributes that say what an object is, one behind the other; not those that count.
std::string described(const nlmsghdr& answer, std::initializer_list<int> types) {
  std::string text;
  for (const int type : types) {
    const nlattr* found = attribute(answer, type);
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
  const uint32_t flags = host_to_be(attribute_u32(inner(attributes, NFTA_SET_ELEM_FLAGS), 0));
  element.end = flags & NFT_SET_ELEM_INTERVAL_END;
  return element;
}

NetlinkMessage question(int message, int table_attribute, const std::string& table) {
  NetlinkMessage made = nft_message(message, NLM_F_DUMP);
  made.put_string(table_attribute, table);
  return made;
}

template <typename T>
bool missing(const Result<T>& result) {
  return !result && result.error().code == ENOENT;
}

}  // namespace

// --- the kernel's count of transactions

Result<uint32_t> NftGeneration::now(Netlink& nfnetlink) {
  NetlinkMessage message = nft_message(NFT_MSG_GETGEN, 0);
  uint32_t generation = 0;
  TRY(nfnetlink.query(message, [&](const nlmsghdr& answer) {
    generation = host_to_be(attribute_u32(attribute(answer, NFTA_GEN_ID), 0));
  }));
  return generation;
}

Result<bool> NftGeneration::ours(Netlink& nfnetlink, const std::function<Result<>()>& transaction) {
  TRY_ASSIGN(const uint32_t before, now(nfnetlink));
  TRY(transaction());
  TRY_ASSIGN(const uint32_t after, now(nfnetlink));
  const bool alone = after == before + 1;
  if (trusted_) trusted_ = alone && *trusted_ == before ? std::optional(after) : std::nullopt;
  return alone;
}

Result<bool> NftGeneration::undisturbed(Netlink& nfnetlink) {
  if (!trusted_) return false;
  TRY_ASSIGN(const uint32_t generation, now(nfnetlink));
  return generation == *trusted_;
}

// --- making

Result<GuardTable> GuardTable::open(Kind kind, NftGeneration& generation) {
  auto netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) return fail(netlink.error().code, "this kernel has no nftables: {}", netlink.error().text);
  return GuardTable(kind, generation, std::move(*netlink));
}

Result<> GuardTable::is_not_anothers(const std::string& book) {
  if (kind_ != Kind::lasting || made_) return {};
  TRY_ASSIGN(const auto before, found());
  if (before && before->book != book)
    return fail(EBUSY,
                "the guard in this network namespace is that of the Adit with root {}; stop that one and let it open "
                "its networks first",
                before->book.empty() ? "/" : before->book);
  return {};
}

Result<> GuardTable::replace(const GuardContent& content, bool ask_before_routing) {
  if (content.book().size() > kMostComment)
    return fail(ENAMETOOLONG, "{}: the root's name is too long to be kept in the kernel", content.book());
  TRY(is_not_anothers(content.book()));
  TRY(count());
  shape_.clear();
  for (int attempt = 0; attempt < kTries; ++attempt) {
    bool alone = false;
    TRY(replace_once(content, ask_before_routing, alone));
    if (alone) return {};
  }
  return {};  // it stands; whether others have changed it since, fault() cannot say and has it replaced again
}

Result<> GuardTable::replace_once(const GuardContent& content, bool ask_before_routing, bool& alone) {
  std::vector<NetlinkMessage> messages;
  messages.push_back(nft_table(NFT_MSG_NEWTABLE, name()));  // so that the next never fails
  messages.push_back(nft_table(NFT_MSG_DELTABLE, name()));
  messages.push_back(nft_new_table(name(), kind_ == Kind::owned ? NFT_TABLE_F_OWNER : 0, kComment));
  for (auto& message : guard_chain_messages({name(), content.mark(), content.uid(), ask_before_routing}))
    messages.push_back(std::move(message));
  const GuardElements elements = content.all();
  for (size_t i = 0; i < kGuardSets; ++i) {
    const auto set = static_cast<GuardSet>(i);
    static const std::map<std::string, Counted> kNone;
    const auto& counted = set == GuardSet::stopped_out ? counts_[0] : set == GuardSet::stopped_in ? counts_[1] : kNone;
    put_guard_elements(messages, name(), set, true, elements[i], counted);
  }
  std::optional<std::string> made;
  TRY_ASSIGN(const bool undisturbed, generation_->ours(netlink_, [&]() -> Result<> {
    auto done = netlink_.transact(messages);
    if (!done && done.error().code == EPERM && kind_ == Kind::owned)
      return fail(EPERM, "table inet {} is held by another guardian (or this one lacks CAP_NET_ADMIN)", name());
    if (!done) return fail(done.error().code, "cannot make table inet {}: {}", name(), done.error().text);
    TRY_ASSIGN(made, shape());
    return {};
  }));
  made_ = true;
  alone = undisturbed;
  if (alone && made) shape_ = *made;
  return {};
}

Result<> GuardTable::change(const ElementStep& step, const GuardContent& content, bool ask_before_routing) {
  std::vector<NetlinkMessage> messages;
  for (const bool come : {false, true})
    for (size_t i = 0; i < kGuardSets; ++i)
      put_guard_elements(messages, name(), static_cast<GuardSet>(i), come, (come ? step.come : step.gone)[i]);
  if (messages.empty()) return {};
  const auto done = generation_->ours(netlink_, [&] { return netlink_.transact(messages); });
  if (done) return {};
  const int code = done.error().code;
  if (code == ENOENT || code == EEXIST || code == EBUSY) return replace(content, ask_before_routing);
  return fail(code, "cannot change table inet {}: {}", name(), done.error().text);
}

Result<> GuardTable::remove() {
  TRY_ASSIGN(const bool standing, there());
  if (!standing) return {};
  std::vector<NetlinkMessage> messages;
  messages.push_back(nft_table(NFT_MSG_NEWTABLE, name()));
  messages.push_back(nft_table(NFT_MSG_DELTABLE, name()));
  const auto done = generation_->ours(netlink_, [&] { return netlink_.transact(messages); });
  if (!done) return fail(done.error().code, "cannot remove table inet {}: {}", name(), done.error().text);
  shape_.clear();
  counts_ = {};
  made_ = false;
  return {};
}

// --- looking

Result<bool> GuardTable::there() {
  NetlinkMessage message = nft_message(NFT_MSG_GETTABLE, 0);
  message.put_string(NFTA_TABLE_NAME, name());
  const auto asked = netlink_.query(message, {});
  if (missing(asked)) return false;
  TRY(asked);
  return true;
}

Result<std::optional<std::string>> GuardTable::shape() {
  std::string text;
  NetlinkMessage table = nft_message(NFT_MSG_GETTABLE, 0);
  table.put_string(NFTA_TABLE_NAME, name());
  const auto asked = netlink_.query(table, [&](const nlmsghdr& answer) {
    text += described(answer, {NFTA_TABLE_FLAGS, NFTA_TABLE_USERDATA, NFTA_TABLE_HANDLE});
  });
  if (missing(asked)) return std::nullopt;
  TRY(asked);
  const auto gather = [&](int question_type, int table_attribute, std::initializer_list<int> types) -> Result<> {
    NetlinkMessage message = question(question_type, table_attribute, name());
    std::string part;
    TRY(netlink_.query(
        message,
        [&](const nlmsghdr& answer) {
          const auto* header = static_cast<const nfgenmsg*>(nlmsg_data(&answer));
          if (header->nfgen_family != NFPROTO_INET || text_of(attribute(answer, table_attribute)) != name()) return;
          part += described(answer, types);
        },
        [&] { part.clear(); }));
    text += part;
    return {};
  };
  TRY(gather(
      NFT_MSG_GETCHAIN, NFTA_CHAIN_TABLE,
      {NFTA_CHAIN_NAME, NFTA_CHAIN_HANDLE, NFTA_CHAIN_HOOK, NFTA_CHAIN_POLICY, NFTA_CHAIN_TYPE, NFTA_CHAIN_FLAGS}));
  TRY(gather(NFT_MSG_GETRULE, NFTA_RULE_TABLE, {NFTA_RULE_CHAIN, NFTA_RULE_HANDLE, NFTA_RULE_EXPRESSIONS}));
  TRY(gather(NFT_MSG_GETSET, NFTA_SET_TABLE,
             {NFTA_SET_NAME, NFTA_SET_HANDLE, NFTA_SET_FLAGS, NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN, NFTA_SET_DATA_TYPE,
              NFTA_SET_DATA_LEN, NFTA_SET_TIMEOUT}));
  for (const char* fixed : {"ports", "errors4"}) {
    auto members = elements(fixed);
    if (missing(members)) continue;
    TRY(members);
    std::ranges::sort(*members);
    for (const auto& member : *members) text.append(member.key.begin(), member.key.end());
    text += '|';
  }
  return text;
}

Result<std::vector<GuardElement>> GuardTable::elements(const std::string& set,
                                                       std::map<std::string, Counted>* counted) {
  NetlinkMessage message = question(NFT_MSG_GETSETELEM, NFTA_SET_ELEM_LIST_TABLE, name());
  message.put_string(NFTA_SET_ELEM_LIST_SET, set);
  std::vector<GuardElement> all;
  TRY(netlink_.query(
      message,
      [&](const nlmsghdr& answer) {
        const nlattr* list = attribute(answer, NFTA_SET_ELEM_LIST_ELEMENTS);
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

Result<std::string> GuardTable::fault(const GuardContent& content) {
  TRY_ASSIGN(const auto shape_now, shape());
  if (!shape_now) return std::string("is gone");
  if (shape_.empty()) return std::string("is not known to be ours");
  if (*shape_now != shape_) return std::string("has other rules, chains or flags");
  const GuardElements wanted = content.all();
  for (size_t i = 0; i < kGuardSets; ++i) {
    const std::string set = guard_set_name(static_cast<GuardSet>(i));
    TRY_ASSIGN(auto there_now, elements(set));
    auto sorted = wanted[i];
    std::ranges::sort(sorted);
    std::ranges::sort(there_now);
    if (sorted != there_now) return fmt::format("has other elements in set {}", set);
  }
  return std::string();
}

Result<std::optional<FoundGuard>> GuardTable::found() {
  FoundGuard found;
  const auto book = elements("book");
  if (missing(book)) return std::nullopt;
  TRY(book);
  if (book->empty()) return std::nullopt;
  for (const auto& element : *book) {
    found.book = element.comment;
    found.generation = generation_of(element.key);
  }
  const auto networks = elements(guard_set_name(GuardSet::stopped_out));
  if (missing(networks)) return found;
  TRY(networks);
  for (const auto& element : *networks)
    if (const auto network = net::Prefix::parse(element.comment)) found.networks.insert(network->masked());
  return found;
}

// --- counting

Result<> GuardTable::count() {
  for (const bool out : {true, false}) {
    std::map<std::string, Counted> counted;
    const auto read = elements(guard_set_name(out ? GuardSet::stopped_out : GuardSet::stopped_in), &counted);
    if (missing(read)) return {};  // somebody took the table: what was read last goes on
    TRY(read);
    counts_[out ? 0 : 1] = std::move(counted);
  }
  return {};
}

Result<std::vector<LeakCount>> GuardTable::leaks() {
  TRY(count());
  std::vector<LeakCount> all;
  for (const bool out : {true, false})
    for (const auto& [text, counted] : counts_[out ? 0 : 1])
      if (const auto network = net::Prefix::parse(text)) all.push_back({*network, out, counted.packets, counted.bytes});
  return all;
}

std::vector<LeakCount> sum_of_leaks(const std::vector<std::vector<LeakCount>>& tables) {
  std::map<std::pair<net::Prefix, bool>, LeakCount> sums;
  for (const auto& leaks : tables)
    for (const auto& leak : leaks) {
      LeakCount& sum = sums[{leak.network, leak.outbound}];
      sum = {leak.network, leak.outbound, sum.packets + leak.packets, sum.bytes + leak.bytes};
    }
  std::vector<LeakCount> all;
  for (const auto& [key, sum] : sums) all.push_back(sum);
  return all;
}

}  // namespace adit::platform
