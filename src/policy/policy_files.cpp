// The policy service: files of the global namespace, applied as one transaction. What is in force already stays as it
// is, with its indexes: the same files again change nothing.
#include <algorithm>
#include <set>
#include <unordered_map>

#include "config/ipsecconf/policy_set.h"
#include "control/names.h"
#include "linux/process/privileges.h"
#include "policy/policy.h"

namespace adit::engine {
namespace {

// Each head that has rules of the global namespace now or then.
std::vector<spd::HeadChange> changes(const spd::Draft& now, std::map<std::string, std::vector<spd::Rule>> wanted) {
  std::vector<spd::HeadChange> heads;
  for (const auto& name : now.heads()) wanted.try_emplace(name);
  heads.reserve(wanted.size());
  for (auto& [name, rules] : wanted) heads.push_back(spd::compare_rules(name, now.rules(name), std::move(rules)));
  return heads;
}

class Bag {
 public:
  explicit Bag(const std::vector<spd::Rule>& rules) {
    for (const spd::Rule& rule : rules) put(rule);
  }
  void put(const spd::Rule& rule) { rules_.emplace(spd::hash_entry(rule), &rule); }
  [[nodiscard]] bool contains(const spd::Rule& rule) const {
    const auto [first, last] = rules_.equal_range(spd::hash_entry(rule));
    return std::any_of(first, last, [&](const auto& known) { return spd::same_entry(*known.second, rule); });
  }

 private:
  std::unordered_multimap<size_t, const spd::Rule*> rules_;
};

// `standing`, with what the files said before replaced by what the same line says now.
std::vector<spd::Rule> with_changes(const std::vector<spd::Rule>& standing, const std::vector<spd::Rule>& before,
                                    const std::vector<spd::Rule>& now) {
  const auto place = [](const spd::Rule& rule) { return std::pair(rule.origin.file, rule.origin.line); };
  std::map<std::pair<std::string, uint32_t>, std::vector<spd::Rule>> added;
  const Bag old_rules(before), new_rules(now);
  Bag gone({});
  std::vector<spd::Rule> next;
  for (const spd::Rule& rule : now)
    if (!old_rules.contains(rule)) added[place(rule)].push_back(rule);
  for (const spd::Rule& rule : before)
    if (!new_rules.contains(rule)) gone.put(rule);
  for (const spd::Rule& rule : standing) {
    if (!gone.contains(rule)) {
      next.push_back(rule);
      continue;
    }
    const auto instead = added.extract(place(rule));
    if (!instead.empty()) next.insert(next.end(), instead.mapped().begin(), instead.mapped().end());
  }
  return next;
}

config::PolicyFiles read_files(const std::string& root) {
  const platform::AsReader reader;
  return config::read_policy_files(root);
}

}  // namespace

Result<PolicyDiff> Policy::diff_of(const config::PolicyFiles& files, RulesByHead& wanted) {
  const auto set = context_.names->with_names([&](const config::Resolver& resolver) {
    return config::parse_policy_files(files, algorithms_.table(), resolver);
  });
  if (!set.ok()) return fail(EINVAL, "{}", set.errors());
  PolicyDiff diff;
  for (const auto& problem : set.problems) diff.warnings.push_back(problem.headline());
  spd::Draft now = database_.empty_draft("");
  database_.clone_all(now);
  wanted = set.rules();
  diff.heads = changes(now, wanted);
  TRY(database_.rehearse("", diff.heads));
  finish_diff(diff, *heads_, links_);
  return diff;
}

Result<PolicyDiff> Policy::diff_files() {
  RulesByHead wanted;
  return diff_of(read_files(context_.settings.root), wanted);
}

Result<Outcome> Policy::load_files() {
  auto files = read_files(context_.settings.root);
  context_.names->ask_again();
  RulesByHead wanted;
  TRY_ASSIGN(const PolicyDiff diff, diff_of(files, wanted));
  for (const auto& [tunnel, rules] : wanted) TRY(may_promise(links_, tunnel));
  // Also when only a flip waits to be undone: from now on the files are what is to be in force.
  if (diff.changes_anything() || !nothing_waits("")) {
    TRY_ASSIGN(spd::Draft draft, database_.changed_draft("", diff.heads));
    TRY(change({}, [&] { return database_.flip_all(draft, true); }));
  } else {
    TRY(guard_.hold({}));  // nothing is new, and yet a success says that what the files name is closed
  }
  files_ = std::move(files);
  loaded_ = std::move(wanted);
  names_due_ = false;
  return Outcome{.notes = diff.warnings, .progress = diff.summary()};
}

void Policy::names_changed() {
  names_due_ = !nothing_waits("");
  if (files_.empty() || names_due_) return;
  const auto set = context_.names->with_names([&](const config::Resolver& resolver) {
    return config::parse_policy_files(files_, algorithms_.table(), resolver);
  });
  const auto swapped = set.ok() ? swap_resolved(set.rules()) : fail(EINVAL, "{}", set.errors());
  if (!swapped)
    context_.events.add(Severity::alert, EventKind::policy_failed, "",
                        fmt::format("a name resolves, but its rules cannot be in force: {}", swapped.error().text));
}

// What others changed in the global namespace meanwhile stays: only rules that the files gave are replaced, in their
// place.
Result<> Policy::swap_resolved(const RulesByHead& wanted) {
  spd::Draft now = database_.empty_draft("");
  database_.clone_all(now);
  std::vector<spd::HeadChange> heads;
  RulesByHead touched = loaded_;
  for (const auto& [name, rules] : wanted) touched.try_emplace(name);
  for (const auto& [name, before] : touched) {
    const auto found = wanted.find(name);
    auto next = with_changes(now.rules(name), before, found == wanted.end() ? std::vector<spd::Rule>{} : found->second);
    heads.push_back(spd::compare_rules(name, now.rules(name), std::move(next)));
  }
  if (std::ranges::any_of(heads, &spd::HeadChange::changes_anything)) {
    TRY_ASSIGN(spd::Draft draft, database_.changed_draft("", heads));
    TRY(change({}, [&] { return database_.flip_all(draft, true); }));
  }
  loaded_ = wanted;
  return {};
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
  files_.clear();
  loaded_.clear();
  return Outcome{.notes = {}, .progress = diff.summary()};
}

ServiceMethods Policy::service() {
  return {[this] { return load_files(); }, [this] { return load_files(); }, [this] { return flush_global(); }};
}

}  // namespace adit::engine
