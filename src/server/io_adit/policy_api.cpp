// io.adit.policy
#include "policy/policy.h"

#include "config/ipsecconf/print.h"
#include "server/io_adit/engine_api.h"

namespace adit::protocol {
namespace {

using nlohmann::json;

constexpr const char* kDescription = R"(# The policy that is in files. Rules in force: PF_POLICY.
interface io.adit.policy

# index 0: not in force yet. text: as ipsecconf -l -n lists it.
type Rule (tunnel: string, index: int, text: string, file: string, line: int)
# change: up, down, protected (passed clear text, goes by rules), exposed (passes clear text from then on).
type Tunnel (tunnel: string, change: string, sentence: string)

# What a refresh of svc:/network/ipsec/policy would change; changes nothing. The figures count SPD entries; each list holds the
# first of them, as many as fit into 2 MB. kept: with the list of what stays. An error of the files is the error of the call, as in a refresh.
method Diff(kept: ?bool) -> (added: int, removed: int, kept: int, added_rules: []Rule, removed_rules: []Rule, kept_rules: []Rule,
  tunnels: []Tunnel, warnings: []string)
error io.adit.Failed (code: int, text: string)
)";

constexpr size_t kMaxListed = 2 << 20;  // bytes of a list, so that an answer is a message
constexpr size_t kFrame = 128;          // what a row adds to its texts

json rule_json(const config::PolicyPrinter& printer, const std::string& head, const spd::Rule& rule) {
  return {{"tunnel", head},
          {"index", rule.index},
          {"text", printer.rule(head, rule)},
          {"file", rule.origin.file},
          {"line", rule.origin.line}};
}

using Part = std::vector<spd::Rule> spd::HeadChange::*;

json rules_json(const config::PolicyPrinter& printer, const engine::PolicyDiff& diff, Part part) {
  json rows = json::array();
  size_t bytes = 0;
  for (const spd::HeadChange& head : diff.heads)
    for (const spd::Rule& rule : head.*part) {
      json row = rule_json(printer, head.head, rule);
      bytes += row["text"].get_ref<const std::string&>().size() + rule.origin.file.size() + kFrame;
      if (bytes > kMaxListed) return rows;
      rows.push_back(std::move(row));
    }
  return rows;
}

json diff_json(const engine::PolicyDiff& diff, const crypto::AlgorithmTable& table, bool with_kept) {
  const config::PolicyPrinter printer{table, nullptr};
  json tunnels = json::array();
  for (const engine::TunnelChange& tunnel : diff.tunnels)
    tunnels.push_back(
        {{"tunnel", tunnel.tunnel}, {"change", engine::name_of(tunnel.what)}, {"sentence", tunnel.sentence}});
  return {{"added", diff.added},
          {"removed", diff.removed},
          {"kept", diff.kept},
          {"added_rules", rules_json(printer, diff, &spd::HeadChange::added)},
          {"removed_rules", rules_json(printer, diff, &spd::HeadChange::removed)},
          {"kept_rules", with_kept ? rules_json(printer, diff, &spd::HeadChange::kept) : json::array()},
          {"tunnels", tunnels},
          {"warnings", diff.warnings}};
}

}  // namespace

void add_policy_methods(VarlinkMethods& methods, engine::Engine& engine) {
  methods.describe("io.adit.policy", kDescription);
  // The files may be readable for root only.
  methods.add("io.adit.policy.Diff", Access::write, [&engine](const json& in, const Caller&) -> Result<json> {
    TRY_ASSIGN(const engine::PolicyDiff diff, engine.policy().diff_files());
    return diff_json(diff, engine.policy().algorithms(), flag_parameter(in, "kept"));
  });
}

}  // namespace adit::protocol
