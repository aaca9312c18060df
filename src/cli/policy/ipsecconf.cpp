// ipsecconf(8): policy by hand. Speaks PF_POLICY only; its diff asks what that cannot tell. Exit status 0 or 1.
#include <unistd.h>

#include <adit/pfpolicy.h>

#include <cstdlib>
#include <cstring>
#include <ostream>
#include <sstream>

#include "cli/frame/table.h"
#include "cli/policy/commands.h"
#include "cli/policy/ipsecconf_files.h"
#include "cli/policy/ipsecconf_options.h"
#include "cli/policy/policy_cache.h"
#include "cli/policy/policy_tables.h"
#include "config/ipsecconf/ipsecconf.h"
#include "config/ipsecconf/print.h"
#include "config/source/system_resolver.h"
#include "protocol/pf_policy/client.h"

namespace adit::cli {
namespace {

using protocol::PolicyClient;
using protocol::PolicyCommand;
using protocol::PolicyRefusal;

constexpr int kFlipTries = 5;

std::string kernel_word(int code) {
  switch (code) {
    case EEXIST:
      return "Entry already exists";
    case ENOENT:
      return "Tunnel not found";
    case EINVAL:
      return "Invalid entry";
    default:
      return std::strerror(code);
  }
}

class Ipsecconf {
 public:
  Ipsecconf(Context& context, const PolicyOptions& options)
      : context_(context),
        options_(options),
        cache_(context.run_dir + "/ipsecpolicy.conf"),
        managed_(std::getenv("SMF_FMRI") != nullptr) {}

  int run() {
    switch (options_.act) {
      case PolicyAct::view:
        return view();
      case PolicyAct::list:
        return list();
      case PolicyAct::check:
        return check();
      case PolicyAct::check_files:
        return check_policy_files(context_, options_.verbose);
      case PolicyAct::diff:
        return show_policy_diff(context_, options_);
      default:
        break;
    }
    std::optional<PolicyLock> lock;
    if (cached()) {
      auto taken = PolicyLock::take(context_.run_dir + "/ipsecconf.lock");
      if (!taken) return context_.failed("", taken.error());
      lock.emplace(std::move(*taken));
      notice();
    }
    switch (options_.act) {
      case PolicyAct::flush:
        return flush();
      case PolicyAct::remove_index:
        return remove_index();
      case PolicyAct::remove_file:
        return remove_file();
      case PolicyAct::confirm:
      case PolicyAct::undo:
        return finish_flip();
      default:
        return add();
    }
  }

 private:
  [[nodiscard]] std::string name_space() const { return options_.name_space.value_or(""); }
  [[nodiscard]] bool cached() const { return name_space().empty(); }  // the cache is of the global namespace

  int failed(const std::string& text) { return context_.failed("", Error{EINVAL, text}); }
  int refused(const std::string& what, const PolicyRefusal& refusal) {
    if (refusal.code == ENOENT && options_.tunnel)
      return failed(fmt::format("Cannot find tunnel interface {}.", *options_.tunnel));
    return failed(
        fmt::format("{}: {}{}", what, kernel_word(refusal.code), refusal.text.empty() ? "" : ": " + refusal.text));
  }

  // The operator should know that the service's next refresh replaces what is done here.
  void notice() {
    if (managed_ || options_.quiet || options_.json) return;
    context_.out << "\n\tIPsec policy should be managed with svcadm(8). What is changed from the\n"
                    "\tcommand line while the 'policy' service is enabled lasts until its\n"
                    "\tnext refresh.\n\n";
  }

  int view() {
    const auto text = cache_.shown();
    if (!text) return context_.failed("", text.error());
    context_.out << *text;
    return kOk;
  }

  int list() {
    auto algorithms = read_algorithm_file(context_);
    if (!algorithms) return context_.failed("", algorithms.error());
    auto client = PolicyClient::connect(context_.socket("pf_policy.sock"));
    if (!client) return context_.failed("Error getting list of policies from kernel", client.error());
    const auto rules = client->dump(options_.head(), options_.name_space);
    if (!rules) return refused("ruleset dump failed", rules.error());
    const config::ListingResolver resolver;
    const config::PolicyPrinter printer{algorithms->table, options_.numbers ? nullptr : &resolver};
    if (options_.json) {
      print_json(printer, *rules);
      return kOk;
    }
    if (!options_.fields.empty()) return print_fields(printer, *rules);
    for (const protocol::DumpedRule& dumped : *rules) {
      print_origin(dumped.rule);
      context_.out << printer.listing(dumped.head, dumped.rule);
    }
    return kOk;
  }

  // A rule that is not the operator's own says whose it is, unless that was asked for by name.
  void print_origin(const spd::Rule& rule) {
    if (options_.verbose && rule.origin.line > 0)
      context_.out << "#ORIGIN " << rule.origin.file << ':' << rule.origin.line << '\n';
    if (rule.waits())
      context_.out << fmt::format("#WAITS '{}' does not resolve: the rule below is closed until it does\n",
                                  rule.waits_for);
    if (!rule.name_space.empty() && (options_.verbose || !options_.name_space))
      context_.out << "#NAMESPACE " << rule.name_space << '\n';
  }

  int print_fields(const config::PolicyPrinter& printer, const std::vector<protocol::DumpedRule>& rules) {
    static const std::vector<Column> columns = {{"index", 6},     {"tunnel", 16}, {"namespace", 27}, {"direction", 10},
                                                {"priority", 10}, {"origin", 40}, {"rule", 0}};
    nlohmann::json rows = nlohmann::json::array();
    for (const protocol::DumpedRule& dumped : rules) {
      const spd::Rule& rule = dumped.rule;
      rows.push_back({{"index", std::to_string(rule.index)},
                      {"tunnel", dumped.head},
                      {"namespace", rule.name_space},
                      {"direction", rule.direction == spd::Direction::in ? "in" : "out"},
                      {"priority", std::to_string(rule.priority)},
                      {"origin", rule.origin.line > 0 ? fmt::format("{}:{}", rule.origin.file, rule.origin.line) : ""},
                      {"rule", printer.rule(dumped.head, rule)}});
    }
    const auto printed =
        print_table(context_.out, columns, rows, {.parsable = options_.parsable, .fields = options_.fields});
    return printed ? kOk : context_.failed("", printed.error());
  }

  void print_json(const config::PolicyPrinter& printer, const std::vector<protocol::DumpedRule>& rules) {
    nlohmann::json all = nlohmann::json::array();
    for (const protocol::DumpedRule& dumped : rules) {
      nlohmann::json one = printer.json(dumped.head, dumped.rule);
      if (!dumped.family_known) one.erase("family");  // the wire does not tell it
      all.push_back(std::move(one));
    }
    context_.out << all.dump(2) << '\n';
  }

  // nullopt: errors, already told.
  std::optional<config::PolicyText> load() {
    auto algorithms = read_algorithm_file(context_);
    if (!algorithms) return context_.failed("", algorithms.error()), std::nullopt;
    const auto text = read_policy_text(context_, options_.file);
    if (!text) return context_.failed("", text.error()), std::nullopt;
    const config::SystemResolver resolver;
    config::PolicySource source{.file = options_.file == "-" ? "standard input" : options_.file,
                                .name_space = name_space()};
    auto policy = config::parse_policy(*text, source, algorithms->table, resolver);
    for (const config::Problem& problem : policy.problems) context_.err << problem.str() << '\n';
    if (policy.ok()) return policy;
    context_.err << context_.self << ": " << count_errors(policy.problems) << " policy rule(s) contained errors.\n";
    return std::nullopt;
  }

  int check() {
    if (!load()) return kFailed;
    context_.out << "IPsec configuration does not contain any errors.\nIPsec policy was not modified.\n";
    return kOk;
  }

  int add() {
    if (managed_ && options_.file != "-" && ::access(options_.file.c_str(), F_OK) != 0) {
      context_.out << "Policy configuration file (" << options_.file
                   << ") does not exist.\nIPsec policy not configured.\n";
      return kOk;
    }
    const auto policy = load();
    if (!policy || !may_close(*policy)) return kFailed;
    for (int tries = 1;; ++tries) {
      auto client = PolicyClient::connect(context_.socket("pf_policy.sock"));
      if (!client) return context_.failed("", client.error());
      std::vector<CachedEntry> added;
      if (!add_to_draft(*client, *policy, added, tries == 1)) return kFailed;
      const auto flipped = flip(*client);
      if (!flipped && flipped.error().code == EAGAIN && tries < kFlipTries) continue;  // somebody was faster: again
      if (!flipped) return refused("the policy is as it was", flipped.error());
      return finish_add(added, *flipped);
    }
  }

  // What the rules protect is closed but for their tunnels: also where the caller's own session comes from?
  bool may_close(const config::PolicyText& policy) {
    if (context_.session.empty()) return true;
    nlohmann::json closings = nlohmann::json::array();
    for (const config::PolicyEntry& entry : policy.entries)
      for (const spd::RuleSpec& spec : entry.specs)
        if (!entry.head.empty() && spec.selector.remote && spec.selector.remote->length() > 0 &&
            std::ranges::any_of(spec.actions, [](const auto& action) { return action.verb == spd::Verb::ipsec; }))
          closings.push_back({{"network", spec.selector.remote->masked().str()}, {"tunnel", entry.head}});
    if (closings.empty()) return true;
    Context asking = context_;
    asking.session.clear();
    const auto answer = asking.call("io.adit.guard.WouldCut", {{"session", context_.session}, {"closings", closings}});
    const std::string sentence = answer ? answer->value("sentence", "") : "";
    return sentence.empty() || context_.all_the_same(sentence);
  }

  bool add_to_draft(PolicyClient& client, const config::PolicyText& policy, std::vector<CachedEntry>& added,
                    bool first_try) {
    if (options_.act == PolicyAct::add)
      if (const auto cloned = client.command(PolicyCommand::clone, SPD_ACTIVE, std::nullopt, name_space()); !cloned)
        return refused("cannot begin", cloned.error()), false;
    for (const config::PolicyEntry& entry : policy.entries) {
      uint64_t last = 0;
      for (const spd::RuleSpec& spec : entry.specs) {
        const auto index = client.add(SPD_STANDBY, entry.head, spec, options_.override_others);
        if (index)
          last = *index;
        else if (index.error().code != EEXIST)
          return malformed(entry, index.error()), false;
        else if (!options_.quiet && first_try)
          context_.err << context_.self << ": Duplicate policy entry (ignored):\n" << entry.text << '\n';
      }
      if (last != 0) added.push_back({entry.head, last, entry.text});
    }
    return true;
  }

  void malformed(const config::PolicyEntry& entry, const PolicyRefusal& refusal) {
    const spd::Origin& origin = entry.specs.front().origin;
    context_.err << fmt::format("{}: {}:{}: Malformed command (fatal):\n{}\n{}: Kernel returned: {}: {}\n",
                                context_.self, origin.file, origin.line, entry.text, context_.self,
                                kernel_word(refusal.code), refusal.text);
    if (refusal.diagnostic != 0)
      context_.err << fmt::format("\t(spdsock diagnostic: {})\n", protocol::diagnostic_text(refusal.diagnostic));
  }

  protocol::PolicyResult<protocol::PolicyMessage> flip(PolicyClient& client) {
    auto request = protocol::policy_request(PolicyCommand::flip, SPD_ACTIVE, std::nullopt, name_space());
    if (options_.override_others)
      request.name_space = protocol::PolicyNamespaceExt{SPD_NAMESPACE_OVERRIDE, name_space()};
    request.transaction = protocol::PolicyTransactionExt{0, 0, options_.confirm_seconds};
    auto flipped = client.ask(std::move(request));
    if (flipped) tell(*flipped);
    if (flipped && options_.confirm_seconds != 0) say_until_when();
    if (flipped) (void)client.command(PolicyCommand::flush, SPD_STANDBY, std::nullopt, name_space());  // the old rules
    return flipped;
  }

  // What became of tunnels by it: aditd says a sentence a line.
  void tell(const protocol::PolicyMessage& answer) {
    std::istringstream sentences(answer.text.value_or(""));
    for (std::string sentence; std::getline(sentences, sentence);)
      context_.err << context_.self << ": " << sentence << '\n';
  }

  void say_until_when() {
    if (options_.quiet || options_.json) return;
    const std::string where = name_space().empty() ? "" : " -N " + name_space();
    context_.out << fmt::format("The change is undone in {} s unless 'ipsecconf confirm{}' comes.\n",
                                options_.confirm_seconds, where);
  }

  // A change made with --confirm, by whomever.
  int finish_flip() {
    const bool confirm = options_.act == PolicyAct::confirm;
    auto client = PolicyClient::connect(context_.socket("pf_policy.sock"));
    if (!client) return context_.failed("", client.error());
    auto request = protocol::policy_request(PolicyCommand::flip, SPD_ACTIVE, std::nullopt, name_space());
    request.transaction = protocol::PolicyTransactionExt{
        static_cast<uint32_t>(confirm ? SPD_TRANSACTION_CONFIRM : SPD_TRANSACTION_UNDO), 0, 0};
    const auto settled = client->ask(std::move(request));
    const bool stands = settled && confirm && settled->transaction;
    if (cached())
      if (auto kept = cache_.finish(stands ? std::optional(settled->transaction->generation) : std::nullopt); !kept)
        context_.failed("the list of what was added is not right", kept.error());
    if (settled) {
      tell(*settled);
      return kOk;
    }
    if (settled.error().code == ESRCH) return failed(settled.error().text);
    return refused("the policy is as it was", settled.error());
  }

  int finish_add(const std::vector<CachedEntry>& added, const protocol::PolicyMessage& flipped) {
    if (cached() && options_.confirm_seconds != 0) {
      const uint64_t generation = flipped.transaction ? flipped.transaction->generation : 0;
      if (const auto held = cache_.hold(generation, added, options_.act == PolicyAct::add); !held)
        context_.failed("the policy is in force, but", held.error());
    } else if (cached()) {
      if (const auto kept = options_.act == PolicyAct::add ? cache_.append(added) : cache_.replace(added); !kept)
        context_.failed("the policy is in force, but", kept.error());
    }
    if (!managed_) return kOk;
    if (added.empty())
      context_.out << "Policy file does not contain any valid rules.\n";
    else
      context_.out << added.size() << " policy rules added.\n";
    return kOk;
  }

  int flush() {
    auto client = PolicyClient::connect(context_.socket("pf_policy.sock"));
    if (!client) return context_.failed("", client.error());
    const auto flushed = client->command(PolicyCommand::flush, SPD_ACTIVE, options_.head(), name_space());
    if (!flushed) return refused("the policy is as it was", flushed.error());
    tell(*flushed);
    return forget(options_.all_heads ? cache_.replace({}) : cache_.remove_head(*options_.head()));
  }

  int remove_index() {
    auto client = PolicyClient::connect(context_.socket("pf_policy.sock"));
    if (!client) return context_.failed("", client.error());
    auto request = protocol::policy_request(PolicyCommand::delete_rule, SPD_ACTIVE, options_.head(), name_space());
    request.rule = protocol::PolicyRuleExt{0, 0, options_.index};
    if (options_.override_others)
      request.name_space = protocol::PolicyNamespaceExt{SPD_NAMESPACE_OVERRIDE, name_space()};
    const auto removed = client->ask(std::move(request));
    if (!removed) return refused(fmt::format("index {}", options_.index), removed.error());
    tell(*removed);
    return forget(cache_.remove(*options_.head(), options_.index));
  }

  int remove_file() {
    const auto policy = load();
    if (!policy) return kFailed;
    auto client = PolicyClient::connect(context_.socket("pf_policy.sock"));
    if (!client) return context_.failed("", client.error());
    if (const auto cloned = client->command(PolicyCommand::clone, SPD_ACTIVE, std::nullopt, name_space()); !cloned)
      return refused("cannot begin", cloned.error());
    int missing = 0;
    for (const config::PolicyEntry& entry : policy->entries)
      for (const spd::RuleSpec& spec : entry.specs) {
        const auto removed = client->ask(removal(entry, spec));
        if (removed) continue;
        if (removed.error().code != ESRCH && removed.error().code != ENOENT)
          return malformed(entry, removed.error()), kFailed;
        ++missing;
        context_.err << fmt::format("{}: {}:{}: no such rule is in force\n", context_.self, spec.origin.file,
                                    spec.origin.line);
      }
    if (const auto flipped = flip(*client); !flipped) return refused("the policy is as it was", flipped.error());
    return missing == 0 ? kOk : kFailed;
  }

  protocol::PolicyMessage removal(const config::PolicyEntry& entry, const spd::RuleSpec& spec) const {
    auto request = protocol::policy_request(PolicyCommand::delete_rule, SPD_STANDBY, entry.head, name_space());
    const uint32_t flags = (spec.inbound ? SPD_RULE_FLAG_INBOUND : 0u) | (spec.outbound ? SPD_RULE_FLAG_OUTBOUND : 0u) |
                           (spec.mode == spd::Mode::tunnel ? SPD_RULE_FLAG_TUNNEL : 0u);
    request.rule = protocol::PolicyRuleExt{0, flags, 0};
    request.selector = spec.selector;
    return request;
  }

  // The rules are gone; that the cache still shows them is worth a word, not a failure.
  int forget(const Result<>& forgotten) {
    if (cached() && !forgotten) context_.failed("the rules are gone, but", forgotten.error());
    return kOk;
  }

  Context& context_;
  const PolicyOptions& options_;
  PolicyCache cache_;
  bool managed_;
};

}  // namespace

int cmd_ipsecconf(Context& context, std::span<const std::string> args) {
  const auto options = parse_policy_options(args);
  if (!options) {
    context.usage(options.error().text, kIpsecconfUsage);
    return kFailed;
  }
  if (options->help) {
    context.out << kIpsecconfUsage;
    return kOk;
  }
  return Ipsecconf(context, *options).run();
}

}  // namespace adit::cli
