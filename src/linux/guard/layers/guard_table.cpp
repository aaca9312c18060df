#include "linux/guard/layers/guard_table.h"

#include <netinet/in.h>

#include <linux/membarrier.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

namespace adit::platform {
namespace {

constexpr int kTries = 5;  // to be alone with the kernel

// One without an owner, which others left under the name while no guardian lived, is nobody's and is made anew.
bool held_by_nobody_else(const GuardLook& look, const GuardShape& wanted) {
  return wanted.owner == 0 || !look.shape || look.shape->owner == 0 || look.shape->owner == wanted.owner;
}

// Until no packet is on its way any more that entered a hook before now: the kernel's own readers' grace period.
void wait_for_packets() {
  const bool waited = sysconf(_SC_NPROCESSORS_ONLN) > 1 && syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0;
  if (!waited) std::this_thread::sleep_for(std::chrono::milliseconds(200));
}

}  // namespace

// --- the kernel's count of transactions

Result<uint32_t> NftGeneration::now(Netlink& nfnetlink) {
  NetlinkMessage message = nft_message(NFT_MSG_GETGEN, 0);
  uint32_t generation = 0;
  TRY(nfnetlink.query(message, [&](const nlmsghdr& answer) {
    generation = host_to_be(attribute_u32(nft_attribute(answer, NFTA_GEN_ID), 0));
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

GuardTable::GuardTable(Kind kind, NftGeneration& generation, Netlink netlink)
    : kind_(kind), generation_(&generation), netlink_(std::move(netlink)) {
  name_ = kind == Kind::owned     ? kOwnedTable
          : kind == Kind::lasting ? kLastingTable
                                  : fmt::format("adit-beside-{}", netlink_.port());
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
  TRY(learn_shape(chains(content, ask_before_routing)));
  for (int attempt = 0; attempt < kTries; ++attempt) {
    TRY_ASSIGN(const uint32_t generation, NftGeneration::now(netlink_));
    TRY_ASSIGN(GuardMend wanted, look(content));
    if (!wanted.in_place) break;
    const auto done = mend(wanted, generation);
    if (done) {
      made_ = true;
      return {};
    }
    const int code = done.error().code;  // the first: somebody came between
    if (code != ERESTART && code != ENOENT && code != EEXIST && code != EBUSY)
      return fail(code, "cannot make table inet {}: {}", name(), done.error().text);
  }
  return make_again(content, ask_before_routing);
}

GuardChains GuardTable::chains(const GuardContent& content, bool ask_before_routing) const {
  return {.table = name(),
          .flags = kind_ == Kind::lasting ? 0 : uint32_t{NFT_TABLE_F_OWNER},
          .mark = content.mark(),
          .uid = content.uid(),
          .lengths = content.lengths(),
          .ask_before_routing = ask_before_routing};
}

// The kernel tells rules in its own words. So it is given them once in a table that is not hooked anywhere.
Result<> GuardTable::learn_shape(const GuardChains& chains) {
  if (form_ == chains) return {};
  GuardChains form = chains;
  form.table = fmt::format("adit-form-{}", netlink_.port());
  form.flags = NFT_TABLE_F_OWNER | NFT_TABLE_F_DORMANT;
  std::vector<NetlinkMessage> messages = all_of(guard_parts(form));
  TRY(transact(messages));
  auto shape = read_guard_shape(netlink_, form.table);
  messages.clear();
  messages.push_back(nft_table(NFT_MSG_DELTABLE, form.table));
  TRY(transact(messages));
  TRY(shape);
  if (!*shape) return fail(ENOENT, "table inet {} went away while it was looked at", form.table);
  shape_ = std::move(**shape);
  shape_.flags = chains.flags;
  shape_.owner = chains.flags & NFT_TABLE_F_OWNER ? netlink_.port() : 0;
  form_ = chains;
  return {};
}

Result<GuardMend> GuardTable::look(const GuardContent& content) {
  GuardLook look;
  TRY_ASSIGN(look.shape, read_guard_shape(netlink_, name()));
  if (!held_by_nobody_else(look, shape_))
    return fail(EPERM, "table inet {} is held by another guardian (or this one lacks CAP_NET_ADMIN)", name());
  const GuardElements wanted = content.all();
  for (const auto& [set, elements] : wanted) {
    if (!look.shape) break;
    const bool out = set == kStoppedOutSet, counts = out || set == kStoppedInSet;
    std::map<std::string, Counted> counted;
    auto there = read_guard_elements(netlink_, name(), set, counts ? &counted : nullptr);
    if (missing(there)) continue;
    TRY(there);
    look.elements[set] = std::move(*there);
    if (counts) counts_[out ? 0 : 1] = std::move(counted);
  }
  return mend_guard_table(name(), look, shape_, guard_parts(*form_), wanted, counts_);
}

Result<> GuardTable::mend(GuardMend& mend, uint32_t generation) {
  if (!mend.first.empty()) TRY(transact(mend.first, generation));
  if (mend.then.empty()) return {};
  wait_for_packets();
  return transact(mend.then);
}

// Nothing of the table can be kept. What a packet on its way may miss of it, it meets beside it.
Result<> GuardTable::make_again(const GuardContent& content, bool ask_before_routing) {
  std::optional<GuardTable> beside;
  if (kind_ != Kind::beside) {
    auto made = open(Kind::beside, *generation_);
    if (made && made->replace(content, ask_before_routing)) {
      beside.emplace(std::move(*made));
      wait_for_packets();
    }
  }
  std::vector<NetlinkMessage> messages;
  messages.push_back(nft_table(NFT_MSG_NEWTABLE, name()));  // so that the next never fails
  messages.push_back(nft_table(NFT_MSG_DELTABLE, name()));
  for (auto& message : mend_guard_table(name(), {}, shape_, guard_parts(*form_), content.all(), counts_).first)
    messages.push_back(std::move(message));
  if (const auto done = transact(messages); !done)
    return fail(done.error().code, "cannot make table inet {}: {}", name(), done.error().text);
  made_ = true;
  if (!beside) return {};
  wait_for_packets();
  return beside->remove();
}

Result<> GuardTable::transact(std::vector<NetlinkMessage>& messages, std::optional<uint32_t> generation) {
  TRY(generation_->ours(netlink_, [&] { return netlink_.transact(messages, generation); }));
  return {};
}

Result<> GuardTable::change(const ElementStep& step, const GuardContent& content, bool ask_before_routing) {
  if (!form_) return replace(content, ask_before_routing);
  if (*form_ != chains(content, ask_before_routing))
    return grow(step, content, ask_before_routing) ? Result<>{} : replace(content, ask_before_routing);
  std::vector<NetlinkMessage> messages;
  for (const bool come : {false, true})
    for (const auto& [set, elements] : come ? step.come : step.gone)
      put_guard_elements(messages, name(), set, come, elements);
  if (messages.empty()) return {};
  const auto done = transact(messages);
  if (done) return {};
  const int code = done.error().code;
  if (code == ENOENT || code == EEXIST || code == EBUSY) return replace(content, ask_before_routing);
  return fail(code, "cannot change table inet {}: {}", name(), done.error().text);
}

// A network of a length that none had: other chains and more sets, and of the elements only what the step says.
// Whatever is not as it was made is left to replace().
Result<> GuardTable::grow(const ElementStep& step, const GuardContent& content, bool ask_before_routing) {
  const GuardShape before = shape_;
  TRY(learn_shape(chains(content, ask_before_routing)));
  TRY_ASSIGN(const uint32_t generation, NftGeneration::now(netlink_));
  GuardLook look{.shape = {}, .elements = step.gone};
  TRY_ASSIGN(look.shape, read_guard_shape(netlink_, name()));
  if (look.shape != before) return fail(ERESTART, "table inet {} is not as it was made", name());
  GuardElements wanted = step.come;
  for (const auto& [set, gone] : step.gone) wanted[set];
  GuardMend steps = mend_guard_table(name(), look, shape_, guard_parts(*form_), wanted, counts_);
  if (!steps.in_place) return fail(ERESTART, "table inet {} cannot be changed in place", name());
  return mend(steps, generation);
}

Result<> GuardTable::remove() {
  TRY_ASSIGN(const bool standing, there());
  if (!standing) return {};
  std::vector<NetlinkMessage> messages;
  messages.push_back(nft_table(NFT_MSG_NEWTABLE, name()));
  messages.push_back(nft_table(NFT_MSG_DELTABLE, name()));
  const auto done = transact(messages);
  if (!done) return fail(done.error().code, "cannot remove table inet {}: {}", name(), done.error().text);
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

Result<std::string> GuardTable::fault(const GuardContent& content) {
  TRY_ASSIGN(const auto shape_now, read_guard_shape(netlink_, name()));
  if (!shape_now) return std::string("is gone");
  if (!form_) return std::string("is not known to be ours");
  if (*shape_now != shape_) return std::string("has other rules, chains or flags");
  for (auto& [set, sorted] : content.all()) {
    TRY_ASSIGN(auto there_now, read_guard_elements(netlink_, name(), set));
    std::ranges::sort(sorted);
    std::ranges::sort(there_now);
    if (sorted != there_now) return fmt::format("has other elements in set {}", set);
  }
  return std::string();
}

Result<std::optional<FoundGuard>> GuardTable::found() {
  FoundGuard found;
  const auto book = read_guard_elements(netlink_, name(), kBookSet);
  if (missing(book)) return std::nullopt;
  TRY(book);
  if (book->empty()) return std::nullopt;
  for (const auto& element : *book) {
    found.book = element.comment;
    found.generation = generation_of(element.key);
  }
  const auto networks = read_guard_elements(netlink_, name(), kStoppedOutSet);
  if (missing(networks)) return found;
  TRY(networks);
  for (const auto& element : *networks)
    if (const auto network = net::Prefix::parse(element.comment)) found.networks.insert(network->masked());
  return found;
}

Result<GuardNumbers> GuardTable::numbers() {
  GuardNumbers numbers;
  const auto there = read_guard_elements(netlink_, name(), kStoppedOutSet);
  if (missing(there)) return numbers;
  TRY(there);
  for (const auto& element : *there)
    if (const auto network = net::Prefix::parse(element.comment))
      numbers.emplace(network->masked(), number_of(element.key));
  return numbers;
}

// --- counting

Result<> GuardTable::count() {
  for (const bool out : {true, false}) {
    std::map<std::string, Counted> counted;
    const auto read = read_guard_elements(netlink_, name(), out ? kStoppedOutSet : kStoppedInSet, &counted);
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
  all.reserve(sums.size());
  for (const auto& [key, sum] : sums) all.push_back(sum);
  return all;
}

}  // namespace adit::platform
