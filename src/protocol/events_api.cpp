// io.adit.events
#include "protocol/engine_api.h"

namespace adit::protocol {
namespace {

using nlohmann::json;

constexpr const char* kDescription = R"(# What happened to links, policy, keys, guard and services, in order.
interface io.adit.events

# severity: info, warning, or alert (the promise was tried, or a layer of it was missing).
type Event (sequence: int, time: int, severity: string, kind: string, subject: string, text: string)

# With more: first the events after `after` that are still held, then each as it comes. `missed`: how many after `after` are gone.
method Monitor(after: ?int) -> (event: ?Event, missed: ?int)
method Since(after: int) -> (events: []Event, missed: int)
error io.adit.Failed (code: int, text: string)
)";

const char* severity_name(engine::Severity severity) {
  switch (severity) {
    case engine::Severity::info:
      return "info";
    case engine::Severity::warning:
      return "warning";
    case engine::Severity::alert:
      return "alert";
  }
  return "";
}

json event_json(const engine::LogEvent& event) {
  return {{"sequence", event.sequence}, {"time", event.wall_seconds}, {"severity", severity_name(event.severity)},
          {"kind", event.kind},         {"subject", event.subject},   {"text", event.text}};
}

// Events after `after` that the ring no longer holds.
uint64_t missed(const engine::EventLog& log, uint64_t after, const std::vector<engine::LogEvent>& held) {
  const uint64_t oldest = held.empty() ? log.last_sequence() + 1 : held.front().sequence;
  return oldest > after + 1 ? oldest - after - 1 : 0;
}

}  // namespace

void add_event_methods(VarlinkMethods& methods, engine::Engine& engine) {
  engine::EventLog& log = engine.events();
  methods.describe("io.adit.events", kDescription);
  methods.add("io.adit.events.Since", Access::read, [&log](const json& in, const Caller&) -> Result<json> {
    const auto after = in.at("after").get<uint64_t>();
    const auto held = log.since(after);
    json rows = json::array();
    for (const engine::LogEvent& event : held) rows.push_back(event_json(event));
    return json{{"events", rows}, {"missed", missed(log, after, held)}};
  });
  methods.add_stream(
      "io.adit.events.Monitor", Access::read, [&log](const json& in, const Caller&, Emit emit) -> Result<Unsubscribe> {
        const auto wanted = in.find("after");
        const uint64_t after =
            wanted != in.end() && wanted->is_number_unsigned() ? wanted->get<uint64_t>() : log.last_sequence();
        const auto held = log.since(after);
        if (const uint64_t gone = missed(log, after, held); gone > 0) emit({{"missed", gone}});
        for (const engine::LogEvent& event : held) emit({{"event", event_json(event)}});
        const uint64_t subscription =
            log.subscribe([emit](const engine::LogEvent& event) { emit({{"event", event_json(event)}}); });
        return [&log, subscription] { log.unsubscribe(subscription); };
      });
}

}  // namespace adit::protocol
