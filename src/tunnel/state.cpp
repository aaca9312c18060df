#include "tunnel/state.h"

#include <fmt/format.h>

namespace adit::tunnel {
namespace {

constexpr std::string_view kNames[] = {
#define ADIT_CLOSED(constant, sentence) #constant,
#include "tunnel/closed.def"
#undef ADIT_CLOSED
};

std::string detail(Closed why, const LinkFacts& facts) {
  switch (why) {
    case Closed::broken_policy:
      return facts.broken_policy;
    case Closed::broken_device:
      return facts.broken_device;
    case Closed::lost_policy:
      return facts.lost_policy;
    case Closed::unresolved:
      return facts.unresolved_name;
    default:
      return {};
  }
}

std::string sentence(Closed why, std::string_view name, const LinkFacts& facts) {
  switch (why) {
#define ADIT_CLOSED(constant, text) \
  case Closed::constant:            \
    return fmt::format(text, name, detail(why, facts));
#include "tunnel/closed.def"
#undef ADIT_CLOSED
  }
  return {};
}

}  // namespace

std::string_view name_of(Closed why) {
  return kNames[static_cast<size_t>(why)];
}

bool needs_policy(const LinkFacts& facts) {
  return facts.secured || facts.half_deleted || !facts.broken_policy.empty() || !facts.lost_policy.empty();
}

std::optional<Closed> closed_by(const LinkFacts& facts) {
  if (facts.exists && facts.adopted && !facts.service) return Closed::service_off;
  if (facts.half_deleted) return Closed::half_deleted;
  if (facts.secured && facts.guard_off) return Closed::guard_off;
  if (!facts.broken_policy.empty()) return Closed::broken_policy;
  if (!facts.broken_device.empty()) return Closed::broken_device;
  if (!facts.lost_policy.empty() && !facts.policy) return Closed::lost_policy;
  if (!facts.unresolved_name.empty() && !facts.bound) return Closed::unresolved;
  if (!facts.exists) return Closed::no_device;
  if (!facts.adopted) return Closed::not_adopted;
  if (!facts.bound) return Closed::unbound;
  if (needs_policy(facts) && !facts.policy) return Closed::no_policy;
  return std::nullopt;
}

LinkState link_state(std::string_view name, const LinkFacts& facts) {
  LinkState state;
  state.closed = closed_by(facts);
  state.usable = state.carrier = !state.closed;
  if (state.closed) state.why_closed = sentence(*state.closed, name, facts);
  return state;
}

}  // namespace adit::tunnel
