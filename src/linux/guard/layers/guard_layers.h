// The layers of the guard in the kernel, brought to what a plan says and kept there: the routing rule with its table,
// the nftables table that lasts, and, in the guardian, the one that this process owns. One thread.
//
// Nothing here opens by mistake: a change stands in all layers or in none, a failure leaves what stood, and what others
// break is put back from the plan that this process has in memory.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "linux/guard/layers/guard_rule.h"
#include "linux/guard/layers/guard_switch.h"
#include "linux/guard/layers/guard_table.h"
#include "linux/guard/layers/lwtunnel_hooks.h"
#include "linux/platform/guard_plan.h"

namespace adit::platform {

class GuardLayers {
 public:
  // `owner`: makes and holds the owned table too, as only the guardian does. `switched_off`: whatever a plan closes
  // stays open, and what stands of an earlier one goes (guard_switch.h).
  static Result<std::unique_ptr<GuardLayers>> open(bool owner, bool switched_off = guard_switched_off());

  // Everything as the plan says, whatever stands. A plan that closes nothing leaves nothing of ours in the kernel, and
  // touches nothing where another root's guard stands.
  // EBUSY: the guard that stands is another root's. EPERM: another process holds the owned table, or no CAP_NET_ADMIN.
  // ENETDOWN: lo is down and IPv6 is to be closed. On an error what the last plan said stands, or is tried again by
  // put_back.
  Result<> replace(const GuardPlan& plan);
  // From the last plan to the next. Errors as above; all of it or nothing. REQUIRES: a successful replace before.
  Result<> change(const GuardChange& change);

  // Looks, and does nothing. A layer that this process does not keep (owned, outside the guardian) is looked for only.
  GuardState state();
  // Looks at what may have been touched (after suspect, follow, or what failed last time) and puts back what others
  // broke: a sentence for each thing, that says what it was and whether it is back.
  std::vector<std::string> put_back();

  // Notices of rtnetlink and of nfnetlink, as they come; true: put_back has something to look at. Own changes are
  // known.
  bool follow(const nlmsghdr& notice, int protocol);
  void suspect() { rule_suspect_ = tables_suspect_ = true; }  // notices were lost

  // A device is gone: nothing passes by its number any more, which another may bear next.
  void drop_device(int index);
  // Drops all that are not there (after notices were lost).
  void drop_missing_devices();

  // What an earlier life left, of whatever root: from the lasting table.
  Result<std::optional<FoundGuard>> found() { return lasting_.found(); }
  // What the tables have stopped, by network.
  Result<std::vector<LeakCount>> leak_counts();

  [[nodiscard]] const GuardPlan& plan() const { return plan_; }
  [[nodiscard]] bool switched_off() const { return off_; }
  [[nodiscard]] const LwtunnelHooks& lwtunnel_hooks() const { return hooks_; }

 private:
  GuardLayers(GuardTable lasting, GuardRule rule) : lasting_(std::move(lasting)), rule_(std::move(rule)) {}
  Result<> put(const GuardPlan& plan);
  Result<bool> anothers_guard_stands(const std::string& book);
  Result<> replace_by(const GuardChange& change);
  Result<> put_routes(const GuardChange& change);
  Result<> put_step(const ElementStep& step, const GuardChange& change);
  Result<> remove_tables();
  void back_to_plan();
  [[nodiscard]] bool ask_before_routing() const { return !hooks_.on; }
  Result<> replace_table(GuardTable& table) {
    return table.replace(*content_, &table == owned_.get() && ask_before_routing());
  }
  std::vector<GuardTable*> tables();
  std::vector<std::pair<GuardTable*, std::string>> table_faults(std::string& trouble);
  void put_back_tables(std::vector<std::string>& told);
  void put_back_rule(std::vector<std::string>& told);

  std::unique_ptr<NftGeneration> generation_;
  GuardTable lasting_;
  std::unique_ptr<GuardTable> owned_;
  GuardRule rule_;
  std::optional<Netlink> asking_;  // nfnetlink, for looking
  LwtunnelHooks hooks_{.on = true, .why_not = {}};
  GuardPlan plan_;
  std::optional<GuardContent> content_;  // of plan_; none: nothing was put yet
  bool off_ = false;
  bool rule_suspect_ = false, tables_suspect_ = false;
  std::set<std::string> failing_;  // what could not be put back, told once each
};

}  // namespace adit::platform
