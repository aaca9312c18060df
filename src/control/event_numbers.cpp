#include "control/event_numbers.h"

#include <charconv>

#include "base/store.h"

namespace adit::engine {
namespace {

constexpr const char* kFile = "events.next";
constexpr uint64_t kBlock = 4096;
constexpr uint64_t kMost = uint64_t{1} << 53;  // JSON's numbers end there

// The first number that no earlier life used; 1 when nothing is known.
uint64_t first_free(const std::string& path) {
  const auto text = read_file(path);
  uint64_t next = 1;
  if (!text || !*text) return next;
  std::from_chars((*text)->data(), (*text)->data() + (*text)->size(), next);
  return next == 0 || next >= kMost ? 1 : next;
}

}  // namespace

void continue_event_numbers(const Context& context) {
  const std::string path = context.in_run(kFile);
  context.events.number_from(first_free(path), [path](uint64_t next) {
    const uint64_t end = next + kBlock;
    (void)replace_file(path, fmt::format("{}\n", end), 0644, Lasting::boot, "events.next");
    return end - 1;
  });
}

}  // namespace adit::engine
