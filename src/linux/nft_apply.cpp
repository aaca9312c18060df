#include "linux/nft_apply.h"

#include <linux/netlink.h>

#include <set>

#include "linux/nft_elements.h"
#include "linux/nft_program.h"
#include "linux/nft_render.h"

namespace adit::platform {
namespace {

// What nft prints of the table; nullopt: there is none.
Result<std::optional<nlohmann::json>> list_table() {
  const auto answer = run_nft({"-j", "list", "table", "inet", kTableName}, {});
  if (!answer && answer.error().code == ENOENT && answer.error().text.starts_with("nft refuses")) return std::nullopt;
  if (!answer) return std::unexpected(answer.error());
  auto listing = nlohmann::json::parse(answer->output, nullptr, false);
  if (listing.is_discarded()) return fail(EIO, "nft printed what is not JSON");
  return listing;
}

// Equal but for the networks and what decides about them.
bool same_rules(const Firewall& a, const Firewall& b) {
  return a.host_rules == b.host_rules && a.model_v4 == b.model_v4 && a.model_v6 == b.model_v6 &&
         a.own_addresses == b.own_addresses && a.mark == b.mark;
}

}  // namespace

Result<> NftTable::apply(const Firewall& firewall) {
  Ranges ranges{guard_ranges(firewall, net::Family::v4), guard_ranges(firewall, net::Family::v6)};
  const auto changed = change_elements(firewall, ranges);
  if (!changed || !*changed) return replace(firewall, std::move(ranges));  // also when it is not what we took it for
  accept(firewall, std::move(ranges));
  return {};
}

Result<bool> NftTable::change_elements(const Firewall& firewall, const Ranges& ranges) {
  if (!trusted_ || !applied_ || !same_rules(*applied_, firewall)) return false;
  std::vector<GuardDifference> differences;
  for (size_t family = 0; family < ranges.size(); ++family) {
    auto difference = guard_difference(applied_ranges_[family], ranges[family]);
    if (!difference) return false;
    differences.push_back(std::move(*difference));
  }
  if (!nfnetlink_) {
    TRY_ASSIGN(Netlink opened, Netlink::open(NETLINK_NETFILTER));
    own_port_(opened.port());
    nfnetlink_ = std::move(opened);
  }
  TRY(change_guard_elements(*nfnetlink_, differences));
  return true;
}

Result<> NftTable::replace(const Firewall& firewall, Ranges ranges) {
  TRY_ASSIGN(auto counts, counted());
  const auto answer = run_nft({"-j", "-f", "-"}, render_table(firewall));
  if (!answer) return fail(answer.error().code, "the guard was not changed: {}", answer.error().text);
  own_port_(static_cast<uint32_t>(answer->process));
  before_ = std::move(counts);
  accept(firewall, std::move(ranges));
  return {};
}

void NftTable::accept(const Firewall& firewall, Ranges ranges) {
  applied_ = firewall;
  applied_ranges_ = std::move(ranges);
  trusted_ = true;
  std::set<net::Prefix> networks;
  for (const auto& guarded : firewall.guarded) networks.insert(guarded.network.masked());
  std::erase_if(before_, [&](const auto& count) { return !networks.contains(count.first.first); });
}

Result<> NftTable::remove() {
  applied_.reset();
  trusted_ = false;
  before_.clear();
  TRY_ASSIGN(const NftAnswer answer, run_nft({"-j", "-f", "-"}, render_removal()));
  own_port_(static_cast<uint32_t>(answer.process));
  return {};
}

Result<bool> NftTable::stands() {
  if (!applied_) return false;
  TRY_ASSIGN(const auto listing, list_table());
  trusted_ = listing && table_shape(*listing) == table_shape(nlohmann::json::parse(render_table(*applied_)));
  return trusted_;
}

Result<NftTable::Counts> NftTable::counted() {
  TRY_ASSIGN(const auto listing, list_table());
  Counts counts = before_;
  if (!listing) return counts;
  for (const LeakCount& leak : read_leaks(*listing)) {
    LeakCount& sum = counts[{leak.network, leak.outbound}];
    sum = {leak.network, leak.outbound, sum.packets + leak.packets, sum.bytes + leak.bytes};
  }
  return counts;
}

Result<std::vector<LeakCount>> NftTable::leaks() {
  TRY_ASSIGN(const auto counts, counted());
  std::vector<LeakCount> leaks;
  for (const auto& [key, leak] : counts) leaks.push_back(leak);
  return leaks;
}

}  // namespace adit::platform
