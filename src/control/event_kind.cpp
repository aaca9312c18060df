#include "control/event_kind.h"

#include <array>

namespace adit::engine {
namespace {

struct Row {
  std::string_view name;
  Hearers hearers;
};

constexpr auto kRows = std::to_array<Row>({
#define ADIT_EVENT(constant, name, hearers) {name, Hearers::hearers},
#include "control/event_kind.def"
#undef ADIT_EVENT
});

}  // namespace

std::string_view name_of(EventKind kind) {
  return kRows[static_cast<size_t>(kind)].name;
}

Hearers hearers_of(EventKind kind) {
  return kRows[static_cast<size_t>(kind)].hearers;
}

}  // namespace adit::engine
