// The policy service: files of the global namespace, applied as one transaction.
#include <algorithm>
#include <filesystem>

#include "config/ipsecconf.h"
#include "config/policy_file.h"
#include "config/system_resolver.h"
#include "engine/policy.h"

namespace adit::engine {
namespace {

constexpr const char* kMainFile = "/etc/inet/ipsecinit.conf";
constexpr const char* kDirectory = "/etc/inet/ipsecinit.d";
constexpr const char* kTunnelDirectory = "/etc/inet/ipsecinit.d/tunnels";

struct PolicyFile {
  std::string path;
  std::optional<std::string> tunnel;
};

// *.conf by name. A directory that is not there holds none.
std::vector<std::string> configuration_files(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (name.ends_with(".conf") && !name.starts_with('.') && !entry->is_directory(error))
      paths.push_back(entry->path());
  }
  std::ranges::sort(paths);
  return paths;
}

std::vector<PolicyFile> policy_files(const Context& context) {
  std::vector<PolicyFile> files;
  const std::string main_file = context.in_root(kMainFile);
  std::error_code error;
  if (std::filesystem::exists(main_file, error)) files.push_back({main_file, {}});
  for (auto& path : configuration_files(context.in_root(kDirectory))) files.push_back({std::move(path), {}});
  for (auto& path : configuration_files(context.in_root(kTunnelDirectory))) {
    const std::string tunnel = std::filesystem::path(path).stem();
    files.push_back({std::move(path), tunnel});
  }
  return files;
}

}  // namespace

Result<spd::Draft> Policy::read_files(Outcome& outcome) {
  const config::SystemResolver resolver;
  spd::Draft draft = database_.empty_draft("");
  std::string errors;
  uint32_t position = 0;
  for (const auto& file : policy_files(context_)) {
    TRY(config::check_policy_file_mode(file.path));
    TRY_ASSIGN(const std::string text, config::read_policy_file(file.path));
    const auto policy =
        config::parse_policy(text, {file.path, "", file.tunnel, position, false}, algorithms_.table(), resolver);
    for (const auto& problem : policy.problems) {
      if (problem.severity == config::Severity::error)
        errors += problem.str() + "\n";
      else
        outcome.notes.push_back(problem.headline());
    }
    position += static_cast<uint32_t>(policy.entries.size());
    for (auto& [head, rules] : policy.adds()) {
      const auto origin = rules.empty() ? spd::Origin{} : rules.front().origin;
      const auto added = database_.add(draft, head, std::move(rules));
      if (!added && added.error().code == EEXIST)
        outcome.notes.push_back(fmt::format("{}:{}: Duplicate policy entry (ignored)", origin.file, origin.line));
      else if (!added)
        errors += fmt::format("{}:{}: {}\n", origin.file, origin.line, added.error().text);
    }
  }
  if (errors.empty()) return draft;
  errors.pop_back();
  return fail(EINVAL, "{}", errors);
}

Result<Outcome> Policy::load_files() {
  Outcome outcome;
  TRY_ASSIGN(spd::Draft draft, read_files(outcome));
  const auto had_policy = unsecured_with_policy();
  const size_t rules = draft.size();
  TRY(change({}, [&] { return database_.flip_all(draft, true); }));
  for (const auto& tunnel : had_policy) {
    if (!heads_->find(tunnel))
      outcome.notes.push_back(
          fmt::format("{} has no rule any more, is not secured (-S), and passes clear text now", tunnel));
  }
  outcome.progress.push_back(fmt::format("{} policy rules added.", rules));
  return outcome;
}

std::set<std::string> Policy::unsecured_with_policy() const {
  std::set<std::string> names;
  for (const auto& tunnel : links_.tunnels()) {
    if (!tunnel.secured && tunnel.policy) names.insert(tunnel.name);
  }
  return names;
}

Result<Outcome> Policy::flush_global() {
  Outcome outcome;
  const auto had_policy = unsecured_with_policy();
  TRY(change({}, [&]() -> Result<uint64_t> {
    database_.flush_all({});
    return 0;
  }));
  for (const auto& tunnel : had_policy) {
    if (!heads_->find(tunnel))
      outcome.notes.push_back(fmt::format("{} is not secured (-S) and passes clear text now", tunnel));
  }
  return outcome;
}

ServiceMethods Policy::service() {
  return {[this] { return load_files(); }, [this] { return load_files(); }, [this] { return flush_global(); }};
}

}  // namespace adit::engine
