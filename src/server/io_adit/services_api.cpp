#include "server/io_adit/services_api.h"

#include <algorithm>

#include "server/io_adit/quoted_errors.h"

namespace adit::protocol {
namespace {

using engine::ServiceOutcome;
using engine::Services;
using nlohmann::json;
using Operands = std::vector<std::string>;

constexpr const char* kDescription = R"(# Services: svcadm(8) and svcs(1).
interface io.adit.services

type Dependency (kind: string, fmri: string, state: string)
type Service (fmri: string, name: string, manual: string, state: string, next_state: string, reason: string, impact: string, logfile: string,
  config_file: string, enabled: bool, temporary: bool, since: int, dependencies: []Dependency, dependents: []Dependency)

# fmris: whole names, trailing parts of names, or globs. done: a sentence a service, behind it what its method did; errors: an
# operand that fits none or too many, the others are done all the same; services: those that were meant, as they are now.
method Enable(fmris: []string, temporary: ?bool, recursive: ?bool) -> (done: []string, errors: []string, notes: []string, services: []Service)
method Disable(fmris: []string, temporary: ?bool) -> (done: []string, errors: []string, notes: []string, services: []Service)
method Restart(fmris: []string) -> (done: []string, errors: []string, notes: []string, services: []Service)
method Refresh(fmris: []string) -> (done: []string, errors: []string, notes: []string, services: []Service)
method Clear(fmris: []string) -> (done: []string, errors: []string, notes: []string, services: []Service)
method Mark(state: string, fmris: []string) -> (done: []string, errors: []string, notes: []string, services: []Service)
method List(fmris: ?[]string) -> (services: []Service)
)";

Result<Operands> operands_of(const json& parameters) {
  TRY_ASSIGN(Operands operands, texts_parameter(parameters, "fmris"));
  if (std::ranges::find(operands, "") != operands.end()) return fail(EINVAL, "parameter 'fmris': a name is empty");
  return operands;
}

std::string reason_for(const Caller& caller, const std::string& reason) {
  return caller.privileged() ? reason : without_quotes(reason);
}

json rows_of(const std::vector<engine::ServiceStatus>& services, const Caller& caller) {
  const auto list = [](const std::vector<engine::ServiceStatus::Dependency>& dependencies) {
    json rows = json::array();
    for (const auto& dependency : dependencies)
      rows.push_back({{"kind", dependency.kind}, {"fmri", dependency.fmri}, {"state", dependency.state}});
    return rows;
  };
  json rows = json::array();
  for (const engine::ServiceStatus& service : services)
    rows.push_back({{"fmri", service.fmri},
                    {"name", service.name},
                    {"manual", service.manual},
                    {"state", service.state},
                    {"next_state", service.next_state},
                    {"reason", reason_for(caller, service.reason)},
                    {"impact", service.impact},
                    {"logfile", service.logfile},
                    {"config_file", service.config_file},
                    {"enabled", service.enabled},
                    {"temporary", service.temporary},
                    {"since", service.since},
                    {"dependencies", list(service.dependencies)},
                    {"dependents", list(service.dependents)}});
  return rows;
}

json answer(const Services& services, const Operands& operands, const ServiceOutcome& outcome, const Caller& caller) {
  json meant = json::array();
  for (const std::string& operand : operands)
    if (const auto matched = services.list({operand}); matched && (matched->size() == 1 || engine::is_glob(operand)))
      for (json& row : rows_of(*matched, caller)) meant.push_back(std::move(row));
  return {{"done", outcome.done}, {"errors", outcome.errors}, {"notes", outcome.notes}, {"services", meant}};
}

}  // namespace

void add_service_methods(VarlinkMethods& methods, Services& services) {
  methods.describe("io.adit.services", kDescription);
  const auto add = [&](const char* method, auto act) {
    methods.add(std::string("io.adit.services.") + method, Access::write,
                [&services, act](const json& parameters, const Caller& caller) -> Result<json> {
                  TRY_ASSIGN(const Operands operands, operands_of(parameters));
                  if (operands.empty()) return fail(EINVAL, "parameter fmris: at least one name is expected");
                  return answer(services, operands, act(operands, parameters), caller);
                });
  };
  add("Enable", [&](const Operands& fmris, const json& p) {
    return services.enable(fmris,
                           {.temporary = flag_parameter(p, "temporary"), .recursive = flag_parameter(p, "recursive")});
  });
  add("Disable",
      [&](const Operands& fmris, const json& p) { return services.disable(fmris, flag_parameter(p, "temporary")); });
  add("Restart", [&](const Operands& fmris, const json&) { return services.restart(fmris); });
  add("Refresh", [&](const Operands& fmris, const json&) { return services.refresh(fmris); });
  add("Clear", [&](const Operands& fmris, const json&) { return services.clear(fmris); });
  add("Mark", [&](const Operands& fmris, const json& p) {
    return services.mark(optional_text(p, "state").value_or(""), fmris);
  });
  methods.add("io.adit.services.List", Access::read,
              [&services](const json& parameters, const Caller& caller) -> Result<json> {
                TRY_ASSIGN(const Operands operands, operands_of(parameters));
                TRY_ASSIGN(const auto list, services.list(operands));
                return json{{"services", rows_of(list, caller)}};
              });
}

}  // namespace adit::protocol
