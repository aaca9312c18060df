// The policy language. What parses must list, and what lists must parse again to the same rules.
#include <cstdlib>
#include <string_view>

#include "config/ipsecconf/ipsecconf.h"
#include "config/ipsecconf/print.h"
#include "config/source/testing/fake_resolver.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace adit;
  static const crypto::AlgorithmTable table = crypto::AlgorithmTable::builtin();
  static const config::FakeResolver resolver;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto policy = config::parse_policy(text, {.file = "fuzz"}, table, resolver);
  if (policy.ok() != (config::count_errors(policy.problems) == 0)) std::abort();
  if (!policy.ok() && !policy.entries.empty()) std::abort();
  for (const auto& problem : policy.problems) (void)problem.str();

  const config::PolicyPrinter printer{table};
  for (const auto& [head, rules] : policy.adds())
    for (const spd::Rule& rule : rules) {
      const std::string listing = printer.rule(head, rule);
      if (listing.size() > config::kMaxPolicyLine || rule.actions.size() > config::kMaxPolicyActions) continue;
      const auto again = config::parse_policy(listing, {.file = "again"}, table, resolver);
      const auto adds = again.adds();
      if (!again.ok() || adds.size() != 1) std::abort();
      for (const spd::Rule& one : adds.front().second)
        if (one.family == rule.family && !spd::same_entry(one, rule)) std::abort();
    }
  return 0;
}
