#include "linux/guard/layers/guard_mend.h"

#include <algorithm>
#include <set>

namespace adit::platform {
namespace {

std::vector<GuardElement> without(std::vector<GuardElement> these, std::vector<GuardElement> others) {
  std::ranges::sort(these);
  std::ranges::sort(others);
  std::vector<GuardElement> left;
  std::ranges::set_difference(these, others, std::back_inserter(left));
  return left;
}

class Mending {
 public:
  Mending(const std::string& table, const GuardShape& there, const GuardShape& wanted)
      : table_(table), there_(there), wanted_(wanted) {}

  void shape(GuardParts& parts);
  void elements(const GuardElements& there, const GuardElements& wanted, const GuardCounts& counts);
  GuardMend done() && { return std::move(mend_); }

 private:
  NetlinkMessage about(int message, int table_attribute, int name_attribute, const std::string& name) const {
    NetlinkMessage made = nft_message(message, 0);
    made.put_string(table_attribute, table_);
    made.put_string(name_attribute, name);
    return made;
  }
  void take(GuardParts::Named& named, const std::set<std::string>& names) {
    for (auto& [name, message] : named)
      if (names.contains(name)) mend_.first.push_back(std::move(message));
  }
  std::set<std::string> chains_to_fill() const;
  bool keeps(const std::map<std::string, std::string>& there, const std::map<std::string, std::string>& wanted) const {
    return std::ranges::all_of(there, [&](const auto& one) {
      const auto same = wanted.find(one.first);
      return same == wanted.end() || same->second == one.second;
    });
  }

  const std::string& table_;
  const GuardShape& there_;
  const GuardShape& wanted_;
  GuardMend mend_;
};

template <typename T>
std::set<std::string> lacking(const std::map<std::string, T>& there, const std::map<std::string, T>& wanted) {
  std::set<std::string> names;
  for (const auto& [name, what] : wanted)
    if (!there.contains(name)) names.insert(name);
  return names;
}

std::set<std::string> Mending::chains_to_fill() const {
  std::set<std::string> names;
  for (const auto& [name, rules] : wanted_.rules)
    if (const auto now = there_.rules.find(name); now == there_.rules.end() || now->second != rules) names.insert(name);
  return names;
}

void Mending::shape(GuardParts& parts) {
  mend_.in_place = keeps(there_.chains, wanted_.chains) && keeps(there_.sets, wanted_.sets);
  if (!mend_.in_place) return;
  const auto fill = chains_to_fill();
  for (const auto& [name, rules] : there_.rules) {
    const bool foreign = !wanted_.rules.contains(name);
    if (!rules.empty() && (foreign || fill.contains(name)))
      mend_.first.push_back(about(NFT_MSG_DELRULE, NFTA_RULE_TABLE, NFTA_RULE_CHAIN, name));
  }
  take(parts.sets, lacking(there_.sets, wanted_.sets));
  std::set<std::string> other_members;
  for (const auto& [name, members] : wanted_.members) {
    const auto now = there_.members.find(name);
    if (now != there_.members.end() && now->second == members) continue;
    other_members.insert(name);
    if (now != there_.members.end())
      mend_.first.push_back(about(NFT_MSG_DELSETELEM, NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET, name));
  }
  take(parts.members, other_members);
  take(parts.chains, lacking(there_.chains, wanted_.chains));
  take(parts.rules, fill);
  for (const auto& name : lacking(wanted_.sets, there_.sets))
    mend_.then.push_back(about(NFT_MSG_DELSET, NFTA_SET_TABLE, NFTA_SET_NAME, name));
  for (const auto& name : lacking(wanted_.chains, there_.chains))
    mend_.then.push_back(about(NFT_MSG_DELCHAIN, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, name));
}

void Mending::elements(const GuardElements& there, const GuardElements& wanted, const GuardCounts& counts) {
  std::vector<NetlinkMessage> come;
  for (const auto& [set, elements] : wanted) {
    const auto now = there.find(set);
    static const std::vector<GuardElement> kNone;
    static const std::map<std::string, Counted> kNotCounted;
    const auto& standing = now == there.end() ? kNone : now->second;
    const auto& counted = set == kStoppedOutSet ? counts[0] : set == kStoppedInSet ? counts[1] : kNotCounted;
    put_guard_elements(mend_.first, table_, set, false, without(standing, elements));
    put_guard_elements(come, table_, set, true, without(elements, standing), counted);
  }
  for (auto& message : come) mend_.first.push_back(std::move(message));
}

}  // namespace

std::vector<NetlinkMessage> all_of(GuardParts parts) {
  std::vector<NetlinkMessage> all;
  all.push_back(std::move(parts.table));
  for (auto* named : {&parts.sets, &parts.members, &parts.chains, &parts.rules})
    for (auto& [name, message] : *named) all.push_back(std::move(message));
  return all;
}

GuardMend mend_guard_table(const std::string& table, const GuardLook& look, const GuardShape& wanted, GuardParts parts,
                           const GuardElements& elements, const GuardCounts& counts) {
  GuardShape there = look.shape.value_or(GuardShape{});
  Mending mending(table, there, wanted);
  mending.shape(parts);
  mending.elements(look.elements, elements, counts);
  GuardMend mend = std::move(mending).done();
  if (!look.shape) {
    mend.first.insert(mend.first.begin(), std::move(parts.table));
    return mend;
  }
  mend.in_place &= there.flags == wanted.flags && there.owner == wanted.owner && there.comment == wanted.comment;
  return mend;
}

}  // namespace adit::platform
