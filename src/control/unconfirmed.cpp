#include "control/unconfirmed.h"

#include <algorithm>
#include <sstream>

#include "base/store.h"

namespace adit::engine {
namespace {

constexpr const char* kFile = "policy.unconfirmed";

}  // namespace

// One namespace a line, for the sentence of the next start and nothing else.
Result<> Unconfirmed::save() const {
  if (noted_.empty()) return remove_file(context_.in_run(kFile));
  std::string text;
  for (const auto& name_space : noted_) text += name_space + "\n";
  return replace_file(context_.in_run(kFile), text, 0600, Lasting::boot, "policy.unconfirmed");
}

Result<> Unconfirmed::note(const std::string& name_space) {
  noted_.push_back(name_space);
  auto saved = save();
  if (saved) return {};
  noted_.pop_back();
  return fail(saved.error().code,
              "a flip that waits to be confirmed must be noted, and cannot be: {}; the policy is "
              "as it was",
              saved.error().text);
}

void Unconfirmed::add(const std::string& name_space, Flip flip) {
  flips_.insert_or_assign(name_space, std::move(flip));
}

std::optional<Unconfirmed::Flip> Unconfirmed::take(const std::string& name_space) {
  auto found = flips_.extract(name_space);
  if (found.empty()) return std::nullopt;
  drop_note(name_space);
  return std::move(found.mapped());
}

void Unconfirmed::drop_note(const std::string& name_space) {
  std::erase(noted_, name_space);
  if (auto saved = save(); !saved)
    context_.events.add(Severity::warning, EventKind::policy_failed, name_space, saved.error().text);
}

std::vector<std::string> Unconfirmed::due(MonoTime now) const {
  std::vector<std::string> names;
  for (const auto& [name_space, flip] : flips_)
    if (flip.deadline <= now) names.push_back(name_space);
  return names;
}

void Unconfirmed::forget_head(spd::Database& database, const std::string& head) {
  std::vector<std::string> gone;
  for (auto& [name_space, flip] : flips_) {
    if (flip.head == head)
      gone.push_back(name_space);
    else
      (void)database.flush(flip.before, head);  // it may hold none
  }
  for (const auto& name_space : gone) (void)take(name_space);
}

void Unconfirmed::rename_head(const std::string& from, const std::string& to) {
  for (auto& [name_space, flip] : flips_) {
    spd::Database::rename_head(flip.before, from, to);
    if (flip.head == from) flip.head = to;
  }
}

std::vector<std::string> Unconfirmed::left_over() {
  std::vector<std::string> names;
  const auto text = read_file(context_.in_run(kFile));
  if (!text || !*text) return names;
  std::istringstream lines(**text);
  for (std::string line; std::getline(lines, line);) names.push_back(line);
  if (auto saved = save(); !saved)
    context_.events.add(Severity::warning, EventKind::policy_failed, "", saved.error().text);
  return names;
}

}  // namespace adit::engine
