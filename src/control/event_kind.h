// The kinds of events: one table (event_kind.def) for what is added, printed, listed in libadit(3), and heard by whom.
#pragma once

#include <cstdint>
#include <string_view>

namespace adit::engine {

enum class EventKind : uint8_t {
#define ADIT_EVENT(constant, name, hearers) constant,
#include "control/event_kind.def"
#undef ADIT_EVENT
};

enum class Hearers : uint8_t { everybody, concerned };

[[nodiscard]] std::string_view name_of(EventKind kind);  // "link.state"
[[nodiscard]] Hearers hearers_of(EventKind kind);

}  // namespace adit::engine
