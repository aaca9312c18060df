#include "policy/algorithms.h"

#include "base/store.h"
#include "config/ipsecalgs/ipsecalgs_file.h"
#include "linux/process/privileges.h"

namespace adit::engine {

Result<Outcome> Algorithms::load() {
  const std::string path = context_.in_root("/etc/inet/ipsecalgs");
  TRY_ASSIGN(const auto text, [&] {
    const platform::AsReader reader;
    return read_file(path);
  }());
  Outcome outcome;
  if (!text) {
    table_ = crypto::AlgorithmTable::builtin();
    return outcome;
  }
  auto read = config::parse_algorithms(*text, path);
  std::string errors;
  for (const auto& problem : read.problems) {
    if (problem.severity == config::Severity::error)
      errors += (errors.empty() ? "" : "\n") + problem.str();
    else
      outcome.notes.push_back(problem.headline());
  }
  if (!read.ok()) return fail(EINVAL, "{}", errors);
  table_ = std::move(read.table);
  return outcome;
}

ServiceMethods Algorithms::service() {
  return {[this] { return load(); }, [this] { return load(); }, [] { return Outcome{}; }};
}

}  // namespace adit::engine
