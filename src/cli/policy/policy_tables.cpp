#include "cli/policy/policy_tables.h"

#include <istream>
#include <ostream>

#include "config/ipsecconf/ipsecconf.h"
#include "config/ipsecconf/policy_file.h"

namespace adit::cli {

Result<config::AlgorithmText> read_algorithm_file(Context& context) {
  const std::string path = context.path(kAlgorithmFile);
  const auto text = config::read_policy_file(path);
  if (!text && text.error().code == ENOENT) return config::builtin_algorithms();
  if (!text) return std::unexpected(text.error());
  auto algorithms = config::parse_algorithms(*text, path);
  std::string errors;
  for (const config::Problem& problem : algorithms.problems) {
    if (problem.severity == config::Severity::error)
      errors += (errors.empty() ? "" : "\n") + problem.str();
    else
      context.err << problem.headline() << '\n';
  }
  if (!errors.empty()) return fail(EINVAL, "{}", errors);
  return algorithms;
}

Result<std::string> read_policy_text(Context& context, const std::string& file) {
  if (file != "-") return config::read_policy_file(file);
  std::string text;
  char block[65536];
  while (context.in.read(block, sizeof block) || context.in.gcount() > 0) {
    text.append(block, static_cast<size_t>(context.in.gcount()));
    if (text.size() > config::kMaxPolicyBytes)
      return fail(EFBIG, "standard input: too many bytes for a policy, which may have {}", config::kMaxPolicyBytes);
  }
  return text;
}

}  // namespace adit::cli
