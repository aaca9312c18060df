#include "cli/policy/ipsecconf_files.h"

#include <map>
#include <ostream>

#include "cli/policy/policy_tables.h"
#include "config/ipsecconf/policy_set.h"
#include "config/source/system_resolver.h"

namespace adit::cli {
namespace {

using nlohmann::json;

// As a verbose listing, each line marked: - removed, + added, blank kept.
void print_rule(std::ostream& out, char mark, const json& rule) {
  const std::string tunnel = rule.at("tunnel"), file = rule.at("file");
  if (!file.empty()) out << fmt::format("{} #ORIGIN {}:{}\n", mark, file, rule.at("line").get<uint32_t>());
  if (const auto index = rule.at("index").get<uint64_t>(); index != 0)
    out << fmt::format("{} #INDEX {}{}{}\n", mark, tunnel, tunnel.empty() ? "" : ",", index);
  out << fmt::format("{} {}\n", mark, rule.at("text").get<std::string>());
}

struct Part {
  const char* list;
  const char* figure;
  char mark;
};
constexpr Part kParts[] = {
    {"removed_rules", "removed", '-'}, {"added_rules", "added", '+'}, {"kept_rules", "kept", ' '}};

// Head by head, so that what goes stands beside what comes.
void print_rules(std::ostream& out, const json& diff) {
  std::map<std::string, std::map<size_t, std::vector<const json*>>> heads;
  for (size_t part = 0; part < std::size(kParts); ++part)
    for (const json& rule : diff.at(kParts[part].list))
      heads[rule.at("tunnel").get<std::string>()][part].push_back(&rule);
  for (const auto& [head, parts] : heads)
    for (const auto& [part, rules] : parts)
      for (const json* rule : rules) print_rule(out, kParts[part].mark, *rule);
}

void print_summary(std::ostream& out, const json& diff, bool with_kept) {
  for (const Part& part : kParts) {
    const size_t listed = diff.at(part.list).size(), there = diff.at(part.figure);
    if (there > listed && (part.mark != ' ' || with_kept))
      out << fmt::format("... and {} more {}.\n", there - listed, part.figure);
  }
  for (const json& tunnel : diff.at("tunnels")) out << tunnel.at("sentence").get<std::string>() << '\n';
  out << fmt::format("{} policy rules added, {} removed, {} kept.\n", diff.at("added").get<size_t>(),
                     diff.at("removed").get<size_t>(), diff.at("kept").get<size_t>());
}

}  // namespace

int check_policy_files(Context& context, bool verbose) {
  const auto algorithms = read_algorithm_file(context);
  if (!algorithms) return context.failed("", algorithms.error());
  const config::SystemResolver resolver;
  const auto set = config::read_policy_set(context.root, algorithms->table, resolver);
  if (verbose)
    for (const std::string& file : set.files) context.out << file << '\n';
  for (const config::Problem& problem : set.problems)
    if (problem.severity == config::Severity::warning) context.err << problem.str() << '\n';
  if (!set.ok()) {
    context.err << set.errors() << '\n';
    context.err << fmt::format("{}: {} errors in the policy of {} files.\n", context.self, count_errors(set.problems),
                               set.files.size());
    return kFailed;
  }
  context.out << "IPsec configuration does not contain any errors.\nIPsec policy was not modified.\n";
  return kOk;
}

int show_policy_diff(Context& context, const PolicyOptions& options) {
  const auto diff = context.call("io.adit.policy.Diff", {{"kept", options.verbose || options.json}});
  if (!diff) return context.failed("", diff.error());
  if (options.json) {
    context.out << diff->dump(2) << '\n';
    return kOk;
  }
  for (const json& warning : diff->at("warnings")) context.err << warning.get<std::string>() << '\n';
  print_rules(context.out, *diff);
  print_summary(context.out, *diff, options.verbose);
  return kOk;
}

}  // namespace adit::cli
