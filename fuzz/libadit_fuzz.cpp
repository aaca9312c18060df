// What libadit reads from a daemon that is not ours: a PF_POLICY answer, or a message of the event stream.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "libadit/event_json.h"
#include "libadit/message.h"

namespace {

void read_as_policy(const uint8_t* data, size_t size) {
  incoming message{};
  if (read_message(&message, data, size) != 0) return;
  adit_rule_t rule{};
  actions list{};
  size_t length = 0;
  if (read_rule(&rule, &message, &list) == 0) length = std::strlen(rule.tunnel) + std::strlen(rule.name_space);
  if (const char* text = text_of(&message, SPD_EXT_DIAGNOSTIC)) length += std::strlen(text);
  if (length > size) std::abort();
  std::free(list.list);
}

void read_as_event(const uint8_t* data, size_t size) {
  std::vector<char> text(data, data + size);
  json message{}, parameters{}, event{}, part{};
  uint64_t number = 0;
  if (!json_value(text.data(), text.size(), &message) || !json_member(message, "parameters", &parameters)) return;
  if (json_member(parameters, "event", &event)) parameters = event;
  if (json_member(parameters, "sequence", &part)) (void)json_number(part, &number);
  if (!json_member(parameters, "text", &part)) return;
  const size_t written = static_cast<size_t>(part.to - part.from);
  const char* string = json_string(part);
  if (string != nullptr && std::strlen(string) > written) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  (data[0] % 2 == 0 ? read_as_event : read_as_policy)(data + 1, size - 1);
  return 0;
}
