#include "linux/guard/layers/guard_layers.h"

#include <linux/netlink.h>

#include <algorithm>

#include "linux/guard/layers/guard_read.h"
#include "linux/guard/layers/guard_watch.h"
#include "linux/netlink/netlink_links.h"

namespace adit::platform {

Result<std::unique_ptr<GuardLayers>> GuardLayers::open(bool owner, bool switched_off) {
  auto generation = std::make_unique<NftGeneration>();
  TRY_ASSIGN(GuardTable lasting, GuardTable::open(GuardTable::Kind::lasting, *generation));
  TRY_ASSIGN(GuardRule rule, GuardRule::open());
  std::unique_ptr<GuardLayers> layers(new GuardLayers(std::move(lasting), std::move(rule)));
  TRY_ASSIGN(layers->asking_, Netlink::open(NETLINK_NETFILTER));
  if (owner) {
    TRY_ASSIGN(GuardTable owned, GuardTable::open(GuardTable::Kind::owned, *generation));
    layers->owned_ = std::make_unique<GuardTable>(std::move(owned));
    layers->hooks_ = turn_on_lwtunnel_hooks();
  }
  layers->generation_ = std::move(generation);
  layers->off_ = switched_off;
  return layers;
}

// The owned one first: a start makes it, and touches the lasting one only then.
std::vector<GuardTable*> GuardLayers::tables() {
  std::vector<GuardTable*> all;
  if (owned_) all.push_back(owned_.get());
  all.push_back(&lasting_);
  return all;
}

// --- from plan to plan

Result<> GuardLayers::replace(const GuardPlan& plan) {
  if (off_ && !plan.closed.empty()) {
    GuardPlan nothing = plan;
    nothing.closed.clear();
    return replace(nothing);
  }
  const auto done = put(plan);
  if (done) {
    plan_ = plan;
    rule_suspect_ = tables_suspect_ = false;
    return {};
  }
  back_to_plan();
  return done;
}

Result<> GuardLayers::put(const GuardPlan& plan) {
  if (plan.closed.empty()) {
    TRY_ASSIGN(const bool anothers, anothers_guard_stands(plan.book));
    content_.emplace(plan);
    if (anothers) {
      rule_.forget();
      return {};
    }
    TRY(rule_.replace(plan));
    return remove_tables();
  }
  TRY(lasting_.is_not_anothers(plan.book));
  auto numbers = lasting_.numbers();
  if (!numbers || numbers->empty()) numbers = content_ ? content_->numbers() : GuardNumbers();
  auto content = std::exchange(content_, GuardContent(plan, *numbers));
  for (GuardTable* table : tables())
    if (auto done = replace_table(*table); !done) {
      content_ = std::move(content);
      return done;
    }
  auto done = rule_.replace(plan);
  if (!done) content_ = std::move(content);
  return done;
}

// With its rule and its routes, which name nobody. By its lasting table; and where others took that away, by the owned
// one, which shows that a guardian lives.
Result<bool> GuardLayers::anothers_guard_stands(const std::string& book) {
  TRY_ASSIGN(const auto lasting, lasting_.found());
  if (lasting) return lasting->book != book;
  TRY_ASSIGN(const auto owner, read_table_owner(*asking_, kOwnedTable));
  return owner.value_or(0) != 0 && !(owned_ && *owner == owned_->port());
}

Result<> GuardLayers::remove_tables() {
  for (GuardTable* table : tables()) TRY(table->remove());
  return {};
}

Result<> GuardLayers::change(const GuardChange& change) {
  CHECK(content_.has_value());
  if (off_) {  // nothing stands, and nothing comes
    advance(plan_, change);
    plan_.closed.clear();
    return {};
  }
  const bool was_empty = content_->empty();
  const ElementStep step = content_->change(change);
  if (was_empty != content_->empty()) return replace_by(change);  // tables come or go
  if (content_->empty() && !rule_.standing()) return replace_by(change);
  const auto done = content_->empty() ? put_routes(change) : put_step(step, change);
  if (done) {
    advance(plan_, change);
    return {};
  }
  content_.emplace(plan_);
  back_to_plan();
  return done;
}

Result<> GuardLayers::replace_by(const GuardChange& change) {
  GuardPlan next = plan_;
  advance(next, change);
  return replace(next);
}

// While nothing is closed there are no tables, and only what is thrown back changes.
Result<> GuardLayers::put_routes(const GuardChange& change) {
  TRY_ASSIGN(const bool anothers, anothers_guard_stands(plan_.book));
  if (!anothers) return rule_.change(change);
  rule_.forget();
  return {};
}

Result<> GuardLayers::put_step(const ElementStep& step, const GuardChange& change) {
  for (GuardTable* table : tables()) TRY(table->change(step, *content_, table == owned_.get() && ask_before_routing()));
  return rule_.change(change);
}

// After a failure: what the last plan said, in every layer; put_back tries again what is refused now.
void GuardLayers::back_to_plan() {
  if (!content_) return;
  if (plan_.closed.empty()) {
    content_.emplace(plan_);
    (void)put(plan_);
    return;
  }
  for (GuardTable* table : tables()) tables_suspect_ |= !replace_table(*table).has_value();
  rule_suspect_ |= !rule_.replace(plan_).has_value();
}

// --- looking

// Faults of tables by content, unless the kernel has counted no transaction but ours since they were looked at.
std::vector<std::pair<GuardTable*, std::string>> GuardLayers::table_faults(std::string& trouble) {
  if (!content_ || content_->empty()) return {};
  const auto undisturbed = generation_->undisturbed(*asking_);
  if (undisturbed && *undisturbed) return {};
  const auto before = NftGeneration::now(*asking_);
  std::vector<std::pair<GuardTable*, std::string>> faults;
  for (GuardTable* table : tables()) {
    const auto fault = table->fault(*content_);
    if (!fault) trouble = fmt::format("cannot look at table inet {}: {}", table->name(), fault.error().text);
    if (!fault || !fault->empty()) faults.emplace_back(table, fault ? *fault : fault.error().text);
  }
  const auto after = NftGeneration::now(*asking_);
  if (faults.empty() && before && after && *before == *after) generation_->trust(*after);
  return faults;
}

GuardState GuardLayers::state() {
  if (off_) return {.rule = false, .lasting = false, .owned = false, .trouble = kGuardSwitchedOff};
  GuardState state{.rule = true, .lasting = true, .owned = true, .trouble = {}};
  if (!content_) return state;
  const auto note = [&](const std::string& text) { state.trouble += (state.trouble.empty() ? "" : "; ") + text; };
  std::string trouble;
  for (const auto& [table, fault] : table_faults(trouble)) {
    (table == owned_.get() ? state.owned : state.lasting) = false;
    note(fmt::format("table inet {} {}", table->name(), fault));
  }
  if (!owned_ && !content_->empty()) {
    const auto owner = read_table_owner(*asking_, kOwnedTable);
    state.owned = owner && *owner;
    if (!state.owned) note("the guardian holds no table");
  }
  const auto fault = rule_.fault();
  if (!fault || !fault->empty()) {
    state.rule = false;
    note(fault ? *fault : fault.error().text);
  }
  return state;
}

// --- putting back

std::vector<std::string> GuardLayers::put_back() {
  std::vector<std::string> told;
  if (!content_ || content_->empty()) {  // nothing is ours to keep; what stands may be another root's
    rule_suspect_ = tables_suspect_ = false;
    return told;
  }
  if (tables_suspect_) put_back_tables(told);
  if (rule_suspect_) put_back_rule(told);
  return told;
}

void GuardLayers::put_back_tables(std::vector<std::string>& told) {
  std::string trouble;
  tables_suspect_ = false;
  for (const auto& [table, fault] : table_faults(trouble)) {
    const auto done = replace_table(*table);
    std::string sentence = fmt::format("nftables table inet {} {}", table->name(), fault);
    if (done) {
      failing_.erase(table->name());
      told.push_back(sentence + ": put back");
      continue;
    }
    tables_suspect_ = true;
    if (failing_.insert(table->name()).second)
      told.push_back(
          fmt::format("{}, and cannot be put back: {}; it is tried again every second", sentence, done.error().text));
  }
}

void GuardLayers::put_back_rule(std::vector<std::string>& told) {
  const auto done = rule_.put_back();
  rule_suspect_ = !done;
  if (done) {
    failing_.erase("rule");
    for (const auto& one : *done) told.push_back(one);
  } else if (failing_.insert("rule").second) {
    told.push_back(
        fmt::format("the guard's routing rule does not stand: {}; it is tried again every second", done.error().text));
  }
}

bool GuardLayers::follow(const nlmsghdr& notice, int protocol) {
  if (protocol == NETLINK_ROUTE) {
    const bool ours = rule_.concerns(notice);
    rule_suspect_ |= ours;
    return ours;
  }
  if (!concerns_guard_tables(notice)) return false;
  for (GuardTable* table : tables())
    if (notice.nlmsg_pid == table->port()) return false;
  tables_suspect_ = true;
  return true;
}

// --- devices

void GuardLayers::drop_device(int index) {
  GuardChange change;
  change.generation = plan_.generation;
  for (const auto& [network, devices] : plan_.closed) {
    if (std::ranges::find(devices, index) == devices.end()) continue;
    auto& left = change.close[network] = devices;
    std::erase(left, index);
  }
  if (change.close.empty() || !content_) return;
  if (!this->change(change)) {  // whole, and again until it succeeds
    advance(plan_, change);
    content_.emplace(plan_);
    tables_suspect_ = true;
    generation_->distrust();
  }
}

void GuardLayers::drop_missing_devices() {
  auto netlink = Netlink::open(NETLINK_ROUTE);
  if (!netlink) return;
  const auto links = list_links(*netlink);
  if (!links) return;
  std::set<int> there, gone;
  for (const auto& link : *links) there.insert(link.info.index);
  for (const auto& [network, devices] : plan_.closed)
    for (const int device : devices)
      if (!there.contains(device)) gone.insert(device);
  for (const int device : gone) drop_device(device);
}

// --- counting

Result<std::vector<LeakCount>> GuardLayers::leak_counts() {
  std::vector<std::vector<LeakCount>> all;
  for (GuardTable* table : tables()) {
    TRY_ASSIGN(all.emplace_back(), table->leaks());
  }
  return sum_of_leaks(all);
}

}  // namespace adit::platform
