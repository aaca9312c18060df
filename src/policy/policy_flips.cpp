// Transactions: a draft becomes the policy of its namespace, for good or until somebody confirms it.
#include <algorithm>

#include "control/consequences.h"
#include "policy/policy.h"

namespace adit::engine {
namespace {

constexpr Seconds kAgain{10};  // an undo that failed

std::string spoken(const std::string& name_space) {
  return name_space.empty() ? "the global namespace" : name_space;
}

size_t passing(const spd::Head* head) {
  if (head == nullptr) return 0;
  return static_cast<size_t>(std::ranges::count_if(head->rules(), [](const spd::Rule& rule) {
    return std::ranges::any_of(rule.actions, [](const auto& action) { return action.verb == spd::Verb::pass; });
  }));
}

}  // namespace

// Who changes what a flip waits over could not be told what its undo would do.
Result<> Policy::nothing_waits(const std::string& name_space) const {
  if (!unconfirmed_.waits(name_space)) return {};
  return fail(EBUSY,
              "an earlier flip of {} waits to be confirmed; confirm or undo it first (ipsecconf confirm, ipsecconf "
              "undo)",
              spoken(name_space));
}

// The draft is the client's until the flip has succeeded: what is refused costs it nothing.
Result<uint64_t> Policy::flip(const PolicyCaller& caller, spd::Draft& draft, std::optional<std::string_view> head,
                              const FlipOptions& options) {
  const std::string& name_space = caller.owner.name_space;
  TRY(nothing_waits(name_space));
  TRY(check_draft(caller, draft));
  if (options.confirm_seconds != 0) TRY(unconfirmed_.note(name_space));
  spd::Draft attempt = draft;
  // A flip that may be undone opens nothing: its author may be about to find that it was a mistake.
  const auto generation = change(
      caller.owner,
      [&] {
        return head ? database_.flip(attempt, *head, options.force, caller.owner.override_others)
                    : database_.flip_all(attempt, options.force, caller.owner.override_others);
      },
      {}, options.confirm_seconds == 0 ? Opens::yes : Opens::no);
  if (!generation) {
    if (options.confirm_seconds != 0) unconfirmed_.drop_note(name_space);
    return generation;
  }
  draft = std::move(attempt);
  report_override(caller, "flipped its draft into force");
  if (options.confirm_seconds != 0) {
    Unconfirmed::Flip waiting{draft, std::nullopt, context_.clock.now() + Seconds(options.confirm_seconds),
                              caller.owner.override_others};
    if (head) waiting.head = std::string(*head);
    unconfirmed_.add(name_space, std::move(waiting));
    context_.events.add(Severity::info, EventKind::policy_waiting, name_space,
                        fmt::format("a change of the policy of {} is undone in {} s unless it is confirmed",
                                    spoken(name_space), options.confirm_seconds));
  }
  return generation;
}

Result<> Policy::confirm_flip(const PolicyCaller& caller) {
  const std::string& name_space = caller.owner.name_space;
  if (!unconfirmed_.take(name_space)) return fail(ESRCH, "no flip of {} waits to be confirmed", spoken(name_space));
  context_.events.add(Severity::info, EventKind::policy_confirmed, name_space,
                      fmt::format("the change of the policy of {} stands", spoken(name_space)));
  return {};
}

Result<> Policy::undo_flip(const PolicyCaller& caller) {
  auto waiting = unconfirmed_.take(caller.owner.name_space);
  if (!waiting) return fail(ESRCH, "no flip of {} waits to be confirmed", spoken(caller.owner.name_space));
  return undo(caller.owner.name_space, std::move(*waiting), "it was asked to be");
}

// With the right that the flip had: what others protect since then is not opened by going back. One that fails is tried
// again: nobody who counts on it is there any more.
Result<> Policy::undo(const std::string& name_space, Unconfirmed::Flip waiting, const char* why) {
  const auto before = heads_;
  const Consequences::Watch watch(context_.told);
  spd::Draft attempt = waiting.before;
  const auto undone = change({name_space, waiting.override_others}, [&] {
    return waiting.head ? database_.flip(attempt, *waiting.head, true, waiting.override_others)
                        : database_.flip_all(attempt, true, waiting.override_others);
  });
  if (undone) {
    std::string became = passing_since(*before);
    for (const auto& sentence : watch.sentences()) became += "; " + sentence;
    context_.events.add(
        became.empty() ? Severity::warning : Severity::alert, EventKind::policy_undone, name_space,
        fmt::format("a change of the policy of {} was undone because {}{}", spoken(name_space), why, became));
    return {};
  }
  if (!std::exchange(waiting.tried, true))
    context_.events.add(Severity::alert, EventKind::policy_failed, name_space,
                        fmt::format("a change of the policy of {} should be undone because {}: {}; it is tried again "
                                    "every {} s",
                                    spoken(name_space), why, undone.error().text, kAgain.count()));
  waiting.deadline = context_.clock.now() + kAgain;
  if (auto noted = unconfirmed_.note(name_space); !noted)
    context_.events.add(Severity::warning, EventKind::policy_failed, name_space, noted.error().text);
  unconfirmed_.add(name_space, std::move(waiting));
  return std::unexpected(undone.error());
}

// Rules that let clear text pass and did not stand before: the operator's own state of then, and still worth a word.
std::string Policy::passing_since(const spd::HeadSet& before) const {
  std::string text;
  for (const std::string& name : heads_->names()) {
    const auto then = before.find(name), now = heads_->find(name);
    if (then == now || passing(now.get()) <= passing(then.get())) continue;
    text += fmt::format("; {} has rules again that let clear text pass", name.empty() ? "the host" : name);
  }
  return text;
}

void Policy::tick() {
  if (names_due_) names_changed();
  for (const auto& name_space : unconfirmed_.due(context_.clock.now()))
    if (auto waiting = unconfirmed_.take(name_space))
      (void)undo(name_space, std::move(*waiting), "nobody confirmed it in time");
}

void Policy::say_what_was_unconfirmed() {
  for (const auto& name_space : unconfirmed_.left_over())
    context_.events.add(
        Severity::warning, EventKind::policy_undone, name_space,
        fmt::format("aditd ended while a change of the policy of {} waited to be confirmed: neither it nor what it "
                    "replaced is in force, but what the policy service has loaded now",
                    spoken(name_space)));
}

}  // namespace adit::engine
