// The policy in force: the SPD, who may change it, and everything that follows from a change, as one transaction: guard
// first, then host rules, then the packets' snapshot; nothing of it when one of them fails.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/ipsecconf/policy_set.h"
#include "control/policy_access.h"
#include "control/seams.h"
#include "control/service_methods.h"
#include "control/unconfirmed.h"
#include "guard/guard.h"
#include "links/tunnel_policy.h"
#include "namespaces/namespaces.h"
#include "policy/algorithms.h"
#include "policy/policy_diff.h"
#include "spd/database.h"

namespace adit::engine {

class Policy final : public PolicyAccess, public TunnelPolicy, public FirewallPart, public NamespacePart {
 public:
  // Told after each change, with the new heads in force: publish, recompute states.
  struct Followers {
    // The packets' snapshot of host and tunnels; `changed`: the names of the heads that are not as before.
    std::function<void(std::shared_ptr<const spd::Head> host, const std::set<std::string>& changed)> snapshot;
    std::function<void(const std::string& head)> head_changed;  // acquires of that link end
    // Before an unsecured tunnel loses its last rule by a change that must open nothing; `why` for its state.
    std::function<void(const std::string& tunnel, const std::string& why)> keep_closed;
  };
  Policy(const Context& context, Algorithms& algorithms, Guard& guard, const LinkView& links, Namespaces& namespaces);
  void follow(Followers followers) { followers_ = std::move(followers); }

  // ---- PolicyAccess
  Result<> permit(const PolicyCaller& caller, std::optional<std::string_view> head, bool change) override;
  [[nodiscard]] bool may_see(const PolicyCaller& caller, const std::string& name_space) const override;
  void connection_closed(const PolicyCaller& caller) override;
  Result<uint64_t> add_rules(const PolicyCaller& caller, std::string_view head,
                             std::vector<spd::Rule> entries) override;
  Result<> remove_rule(const PolicyCaller& caller, std::string_view head, uint64_t index) override;
  Result<> remove_rules(const PolicyCaller& caller, std::string_view head, const std::vector<spd::Rule>& like) override;
  Result<> flush_rules(const PolicyCaller& caller, std::optional<std::string_view> head) override;
  spd::Database& database() override { return database_; }
  Result<uint64_t> flip(const PolicyCaller& caller, spd::Draft& draft, std::optional<std::string_view> head,
                        const FlipOptions& options) override;
  Result<> confirm_flip(const PolicyCaller& caller) override;
  Result<> undo_flip(const PolicyCaller& caller) override;
  Consequences* consequences() override { return context_.told; }
  const crypto::AlgorithmTable& algorithms() override { return algorithms_.table(); }
  Result<> set_algorithms(const PolicyCaller& caller, crypto::AlgorithmTable table) override;

  // ---- NamespacePart
  [[nodiscard]] size_t records_of(const std::string& name) const override { return database_.size_of(name); }
  [[nodiscard]] std::vector<std::string> namespaces_with_records() const override { return database_.namespaces(); }
  void set_quota(const std::string& name, const NamespaceRecord* record) override;
  Result<> may_retire(const std::string& name) const override;
  Result<> retire(const std::string& name, Outcome& outcome) override;
  void deleted(const std::string& name, Outcome& outcome) override;

  // ---- TunnelPolicy, FirewallPart
  [[nodiscard]] std::shared_ptr<const spd::Head> head_of(const std::string& tunnel) const override;
  [[nodiscard]] std::vector<guard::Hold> holds_of(const std::string& tunnel, const spd::Head* head,
                                                  bool temporary) const override;
  void tunnel_made(const std::string& tunnel) override { database_.pin_head(tunnel); }
  void tunnel_gone(const std::string& tunnel) override;
  [[nodiscard]] Result<PropertyRules> read_property(const std::string& tunnel, std::string_view text,
                                                    const std::string& source) const override;
  Result<PropertyRules> put_property(const std::string& tunnel, const PropertyRules& rules) override;
  Result<std::map<std::string, PropertyRules>> put_properties(
      const std::map<std::string, PropertyRules>& rules) override;
  std::map<std::string, std::string> load_properties(const std::map<std::string, std::string>& texts) override;
  [[nodiscard]] Result<> may_rename(const std::string& from, const std::string& to) const override;
  void tunnel_renamed(const std::string& from, const std::string& to) override;
  [[nodiscard]] std::vector<RuleOrigin> files_naming(const std::string& tunnel) const override;
  void contribute(platform::Firewall& firewall) const override;
  [[nodiscard]] std::shared_ptr<const spd::HeadSet> heads() const { return heads_; }

  // ---- svc:/network/ipsec/policy: the files (config/ipsecconf/policy_set.h) replace the global namespace as one
  // transaction, or nothing changes. EINVAL: every error of every file, with its line and a caret. Rules that are there
  // already keep their indexes; when nothing differs there is no new generation and no event. The progress is the
  // diff's summary.
  Result<Outcome> load_files();
  // What load_files would change; changes nothing. Errors as there.
  Result<PolicyDiff> diff_files();
  // Some name stands for something else: of the files as they were loaded last, the rules that this changes are
  // swapped, and nothing else. What cannot be is told, and stays closed.
  void names_changed();
  // Empties the global namespace (decision 10).
  Result<Outcome> flush_global();
  ServiceMethods service();

  // The end of a start: all rules are loaded. Until then no network is let go: those who need it may be yet to come.
  void all_restored();
  void tick();                      // flips that nobody confirmed are undone
  void say_what_was_unconfirmed();  // once, at start

 private:
  // `closing` not empty: a tunnel that loses its last rule stays closed, for that reason.
  // Opens: the change is a command about just these rules, by which its owner lets go of networks that they named.
  enum class Opens : uint8_t { no, yes };
  // `only`: no other head is touched, and what others hold need not be remembered.
  Result<uint64_t> change(const spd::Owner& owner, const std::function<Result<uint64_t>()>& edit,
                          std::string closing = {}, Opens opens = Opens::no, const std::string* only = nullptr);
  Result<> take_effect(std::shared_ptr<const spd::HeadSet> next, const std::optional<std::string>& opener);
  // policy_files.cpp
  using RulesByHead = std::map<std::string, std::vector<spd::Rule>>;
  Result<PolicyDiff> diff_of(const config::PolicyFiles& files, RulesByHead& wanted);
  // policy_properties.cpp
  Result<PropertyRules> parse_property(const std::string& tunnel, std::string_view text, const std::string& source,
                                       const config::Resolver& resolver) const;
  Result<> swap_resolved(const RulesByHead& wanted);
  void tell_change(const std::string& name, const spd::Head* before);
  void publish(const spd::HeadSet& before, const std::set<std::string>& changed,
               const std::optional<std::string>& opener);
  // policy_namespaces.cpp
  Result<> check_rules(const PolicyCaller& caller, const std::vector<spd::Rule>& rules) const;
  Result<> check_draft(const PolicyCaller& caller, const spd::Draft& draft) const;
  void keep_closed(const spd::HeadSet& next, const std::string& why) const;
  void report_override(const PolicyCaller& caller, const std::string& what) const;
  Result<guard::Book::Before> guard_more(const spd::HeadSet& next, const std::set<std::string>& changed);
  void guard_less(const spd::HeadSet& next, const std::set<std::string>& changed,
                  const std::optional<std::string>& opener);
  void tell_not_delegated(const spd::HeadSet& next, const std::set<std::string>& changed) const;
  [[nodiscard]] Result<> nothing_waits(const std::string& name_space) const;
  Result<> undo(const std::string& name_space, Unconfirmed::Flip waiting, const char* why);
  [[nodiscard]] std::string passing_since(const spd::HeadSet& before) const;

  const Context& context_;
  Algorithms& algorithms_;
  Guard& guard_;
  const LinkView& links_;
  Namespaces& namespaces_;
  Followers followers_;
  spd::Database database_;
  std::shared_ptr<const spd::HeadSet> heads_;
  Unconfirmed unconfirmed_;
  // The files as loaded last, and what they said then; empty after the service stopped.
  config::PolicyFiles files_;
  RulesByHead loaded_;
  bool names_due_ = false;  // a flip waits to be confirmed: afterwards
  bool all_restored_ = false;
};

}  // namespace adit::engine
