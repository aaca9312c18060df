// The policy service: files of the global namespace, applied as one transaction. What is in force already stays as it
// is, with its indexes: the same files again change nothing.
#include <set>

#include "config/policy_set.h"
#include "config/system_resolver.h"
#include "engine/policy.h"

namespace adit::engine {
namespace {

// Each head that has rules of the global namespace now or then.
std::vector<spd::HeadChange> changes(const spd::Draft& now, std::map<std::string, std::vector<spd::Rule>> wanted) {
  std::vector<spd::HeadChange> heads;
  for (const auto& name : now.heads()) wanted.try_emplace(name);
  for (auto& [name, rules] : wanted) heads.push_back(spd::compare_rules(name, now.rules(name), std::move(rules)));
  return heads;
}

}  // namespace

Result<PolicyDiff> Policy::diff_files() {
  const config::SystemResolver resolver;
  const auto set = config::read_policy_set(context_.settings.root, algorithms_.table(), resolver);
  if (!set.ok()) return fail(EINVAL, "{}", set.errors());
  PolicyDiff diff;
  for (const auto& problem : set.problems) diff.warnings.push_back(problem.headline());
  spd::Draft now = database_.empty_draft("");
  database_.clone_all(now);
  diff.heads = changes(now, set.rules());
  TRY(database_.rehearse("", diff.heads));
  finish_diff(diff, *heads_, links_);
  return diff;
}

Result<Outcome> Policy::load_files() {
  TRY_ASSIGN(const PolicyDiff diff, diff_files());
  // Also when only a flip waits to be undone: from now on the files are what is to be in force.
  if (diff.changes_anything() || !nothing_waits("")) {
    TRY_ASSIGN(spd::Draft draft, database_.changed_draft("", diff.heads));
    TRY(change({}, [&] { return database_.flip_all(draft, true); }));
  }
  Outcome outcome{.notes = diff.warnings, .progress = diff.summary()};
  for (const TunnelChange& tunnel : diff.tunnels)
    if (tunnel.what == TunnelChange::What::exposed) outcome.notes.push_back(tunnel.sentence);
  return outcome;
}

Result<Outcome> Policy::flush_global() {
  PolicyDiff diff;
  spd::Draft now = database_.empty_draft("");
  database_.clone_all(now);
  diff.heads = changes(now, {});
  finish_diff(diff, *heads_, links_);
  TRY(change({}, [&]() -> Result<uint64_t> {
    database_.flush_all({});
    return 0;
  }));
  Outcome outcome{.notes = {}, .progress = diff.summary()};
  for (const TunnelChange& tunnel : diff.tunnels)
    if (tunnel.what == TunnelChange::What::exposed)
      outcome.notes.push_back(fmt::format("{} is not secured (-S) and passes clear text now", tunnel.tunnel));
  return outcome;
}

ServiceMethods Policy::service() {
  return {[this] { return load_files(); }, [this] { return load_files(); }, [this] { return flush_global(); }};
}

}  // namespace adit::engine
