// io.adit.events
#include <limits>

#include "namespaces/namespaces.h"
#include "server/io_adit/engine_api.h"

namespace adit::protocol {
namespace {

using nlohmann::json;

constexpr const char* kDescription = R"(# What happened to links, policy, keys, guard and services, in order.
interface io.adit.events

# severity: info, warning, or alert (the promise was tried, a layer of it was missing, a tunnel is open or a secured one went down).
type Event (sequence: int, time: int, severity: string, kind: string, subject: string, text: string)

# With more. The first answer is the position: the life of the daemon and the last event so far; who comes back gives both
# as `instance` and `after`, gets the events since, and is told in the first answer what it has missed: so many numbers are
# gone, and whether the daemon is another one than then. Without `after` the events begin now.
method Monitor(after: ?int, instance: ?string) -> (instance: ?string, sequence: ?int, missed: ?int, restarted: ?bool, event: ?Event)
method Since(after: int, instance: ?string) -> (instance: string, sequence: int, missed: int, restarted: bool, events: []Event)
# The last 256 warnings and alerts, also those that Since no longer holds.
method Notable() -> (events: []Event)
# What aditd lacks at this moment, as a port that another program has.
method Missing() -> (sentences: []string)
# Events about rules, keys and namespaces are for root and for those to whom their tunnel or namespace is delegated: others
# get the rest.
error io.adit.Failed (code: int, text: string)
)";

constexpr uint64_t kAnyNumber = std::numeric_limits<uint64_t>::max();

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
  return {{"sequence", event.sequence},  {"time", event.wall_seconds}, {"severity", severity_name(event.severity)},
          {"kind", name_of(event.kind)}, {"subject", event.subject},   {"text", event.text}};
}

json position(const engine::EventLog& log, const engine::Resumed& resumed) {
  return {{"instance", log.instance()},
          {"sequence", log.last_sequence()},
          {"missed", resumed.missed},
          {"restarted", resumed.restarted}};
}

}  // namespace

void add_event_methods(VarlinkMethods& methods, engine::Engine& engine) {
  engine::EventLog& log = engine.events();
  methods.describe("io.adit.events", kDescription);
  const engine::Namespaces& rights = engine.namespaces();
  methods.add("io.adit.events.Since", Access::read,
              [&log, &rights](const json& in, const Caller& caller) -> Result<json> {
                TRY_ASSIGN(const auto after, number_parameter(in, "after", kAnyNumber));
                if (!after) return fail(EINVAL, "parameter 'after' must be a number");
                const auto resumed = log.resume(*after, optional_text(in, "instance").value_or(""));
                json answer = position(log, resumed);
                answer["events"] = json::array();
                for (const engine::LogEvent& event : resumed.events)
                  if (rights.may_hear(caller.uid, event)) answer["events"].push_back(event_json(event));
                return answer;
              });
  methods.add("io.adit.events.Notable", Access::read,
              [&log, &rights](const json&, const Caller& caller) -> Result<json> {
                json rows = json::array();
                for (const engine::LogEvent& event : log.notable())
                  if (rights.may_hear(caller.uid, event)) rows.push_back(event_json(event));
                return json{{"events", rows}};
              });
  methods.add("io.adit.events.Missing", Access::read,
              [&engine](const json&, const Caller&) -> Result<json> { return json{{"sentences", engine.missing()}}; });
  methods.add_stream("io.adit.events.Monitor", Access::read,
                     [&log, &rights](const json& in, const Caller& caller, const Emit& emit) -> Result<Unsubscribe> {
                       TRY_ASSIGN(const auto after, number_parameter(in, "after", kAnyNumber));
                       const auto resumed =
                           after ? log.resume(*after, optional_text(in, "instance").value_or("")) : engine::Resumed{};
                       emit(position(log, resumed));
                       const auto tell = [emit, &rights, user = caller.uid](const engine::LogEvent& event) {
                         if (rights.may_hear(user, event)) emit({{"event", event_json(event)}});
                       };
                       for (const engine::LogEvent& event : resumed.events) tell(event);
                       const uint64_t subscription = log.subscribe(tell);
                       return [&log, subscription] { log.unsubscribe(subscription); };
                     });
}

}  // namespace adit::protocol
