#include "services/services.h"

#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/store.h"
#include "guard/guard.h"

namespace adit::engine {
namespace {

constexpr const char* kEnabledPath = "/etc/svc/adit.services";
constexpr const char* kLogDirectory = "/var/svc/log/";

// What -l and -x call a service, and where they send the reader.
struct Naming {
  std::string_view fmri, name, manual;
};
constexpr Naming kNames[] = {
    {kPolicyService, "IPsec policy initialization", "ipsecconf(8)"},
    {kManualKeyService, "manually defined IPsec keys", "ipseckey(8)"},
    {kAlgsService, "IPsec algorithm initialization", "ipsecalgs(8)"},
    {kIptunService, "IP tunnels", "dladm(8)"},
};

bool is_online(ServiceState state) {
  return state == ServiceState::online || state == ServiceState::degraded;
}

std::string log_time(uint64_t wall_seconds) {
  const auto time = static_cast<time_t>(wall_seconds);
  tm parts{};
  localtime_r(&time, &parts);
  char text[32];
  const size_t length = strftime(text, sizeof text, "%b %e %H:%M:%S", &parts);
  return {text, length};
}

}  // namespace

std::string_view name_of(ServiceState state) {
  constexpr std::string_view names[] = {"uninitialized", "offline", "online", "degraded", "maintenance", "disabled"};
  return names[static_cast<size_t>(state)];
}

static std::string said_of(ServiceState state) {
  return fmt::format("{}{}", state == ServiceState::maintenance ? "in " : "", name_of(state));
}

Services::Services(const Context& context) : context_(context) {}

void Services::add(std::string fmri, ServiceMethods methods, std::vector<ServiceDependency> dependencies,
                   bool enabled_by_default, std::string config_file) {
  Service service{.fmri = std::move(fmri), .config_file = std::move(config_file)};
  service.methods = std::move(methods);
  service.dependencies = std::move(dependencies);
  service.enabled_by_default = service.enabled = enabled_by_default;
  service.since = context_.clock.wall_seconds();
  services_.push_back(std::move(service));
}

// ---- what survives, and the log

void Services::restore() {
  restored_ = true;
  const auto text = read_file(context_.in_root(kEnabledPath));
  if (!text) context_.events.add(Severity::warning, EventKind::service_failed, "", text.error().text);
  std::istringstream lines(text && *text ? **text : "");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string fmri, property, value;
    words >> fmri >> property >> value;
    Service* service = find(fmri);
    if (service != nullptr && property == "general/enabled") service->enabled = value == "true";
  }
  for (Service& service : services_)
    if (!service.wanted()) enter(service, ServiceState::disabled);
}

Result<> Services::save() const {
  std::string text = "# File written by aditd: which services are enabled. svcadm(8) changes it.\n";
  for (const Service& service : services_)
    text += fmt::format("{} general/enabled {}\n", service.fmri, service.enabled);
  return replace_file(context_.in_root(kEnabledPath), text, 0644, Lasting::disk, "services");
}

// As illumos names them: network-ipsec-policy:default.log.
std::string Services::log_path(const Service& service) const {
  std::string name = service.fmri.substr(sizeof "svc:/" - 1);
  std::ranges::replace(name, '/', '-');
  return context_.in_root(kLogDirectory + name + ".log");
}

// A log that cannot be written stops no service.
void Services::log(const Service& service, const std::string& text) const {
  const std::string path = log_path(service);
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  std::ofstream file(path, std::ios::app);
  using std::filesystem::perms;  // errors quote files that root alone may read
  std::filesystem::permissions(path, perms::owner_read | perms::owner_write, ignored);
  file << "[ " << log_time(context_.clock.wall_seconds()) << ' ' << text << " ]\n";
}

// ---- states

Services::Service* Services::find(std::string_view fmri) {
  const auto found = std::ranges::find(services_, fmri, &Service::fmri);
  return found == services_.end() ? nullptr : &*found;
}

const Services::Service* Services::find(std::string_view fmri) const {
  const auto found = std::ranges::find(services_, fmri, &Service::fmri);
  return found == services_.end() ? nullptr : &*found;
}

ServiceState Services::state(std::string_view fmri) const {
  const Service* service = find(fmri);
  return service == nullptr ? ServiceState::uninitialized : service->state;
}

void Services::enter(Service& service, ServiceState state, std::string reason) {
  const bool alike = service.state == state && service.reason == reason;
  if (service.state != state) service.since = context_.clock.wall_seconds();
  service.state = state;
  service.reason = std::move(reason);
  if (alike) return;
  context_.events.add(
      state == ServiceState::maintenance ? Severity::warning : Severity::info, EventKind::service_state, service.fmri,
      fmt::format("{} is {}{}", service.fmri, said_of(state), service.reason.empty() ? "" : ": " + service.reason));
}

// The first dependency that keeps the service from starting. optional_all: only one that is enabled and has not come up
// by itself; maintenance and disabled do not hold it back, as in SMF.
std::optional<std::string> Services::unmet(const Service& service) const {
  for (const ServiceDependency& dependency : service.dependencies) {
    const Service* other = find(dependency.fmri);
    if (other == nullptr || is_online(other->state)) continue;
    const bool waits = other->state == ServiceState::offline || other->state == ServiceState::uninitialized;
    if (dependency.kind == ServiceDependency::Kind::optional_all && !(waits && other->wanted())) continue;
    return fmt::format("{} is {}", other->fmri, said_of(other->state));
  }
  return std::nullopt;
}

bool Services::run(Service& service, const char* method_name, const std::function<Result<Outcome>()>& method,
                   ServiceOutcome& outcome) {
  if (!method) return true;
  log(service, fmt::format("Executing {} method.", method_name));
  auto done = method();
  if (!done && done.error().code == kEndsSession) {  // not the service's fault: who asked for it is asked back
    log(service, fmt::format("{} method refused: {}", method_name, done.error().text));
    outcome.errors.push_back(done.error().text);
    return false;
  }
  if (!done) {
    log(service, fmt::format("{} method failed: {}", method_name, done.error().text));
    log(service, fmt::format("Method \"{}\" exited with status 96.", method_name));
    enter(service, ServiceState::maintenance, done.error().text);
    outcome.notes.push_back(fmt::format("{} is in maintenance: {}", service.fmri, done.error().text));
    return false;
  }
  for (std::string& line : done->progress) {
    log(service, line);
    outcome.done.push_back(std::move(line));
  }
  for (std::string& note : done->notes) {
    log(service, note);
    outcome.notes.push_back(std::move(note));
  }
  log(service, fmt::format("Method \"{}\" exited with status 0.", method_name));
  return true;
}

void Services::start(Service& service, ServiceOutcome& outcome) {
  if (is_online(service.state) || service.state == ServiceState::maintenance) return;
  if (const auto missing = unmet(service)) {
    enter(service, ServiceState::offline, *missing);
    return;
  }
  if (!run(service, "start", service.methods.start, outcome)) return;
  enter(service, ServiceState::online);
  start_dependents(service, outcome);
}

// What waited for this one.
void Services::start_dependents(const Service& service, ServiceOutcome& outcome) {
  for (Service& other : services_) {
    const bool depends =
        std::ranges::find(other.dependencies, service.fmri, &ServiceDependency::fmri) != other.dependencies.end();
    if (depends && other.wanted() && other.state == ServiceState::offline) start(other, outcome);
  }
}

void Services::boot(const std::string& fmri) {
  if (!restored_) restore();
  Service* service = find(fmri);
  if (service == nullptr || !service->wanted()) return;
  ServiceOutcome outcome;
  start(*service, outcome);
}

Outcome Services::refresh_all() {
  ServiceOutcome outcome;
  for (Service& service : services_)
    if (service.wanted()) refresh_one(service, outcome);
  return {std::move(outcome.notes)};
}

// ---- svcadm

std::vector<Services::Service*> Services::matching(const std::vector<std::string>& operands, ServiceOutcome& outcome) {
  std::vector<Service*> result;
  for (const std::string& operand : operands) {
    std::vector<Service*> matched;
    for (Service& service : services_)
      if (matches_fmri(operand, service.fmri)) matched.push_back(&service);
    if (matched.empty()) {
      outcome.errors.push_back(fmt::format("Pattern '{}' doesn't match any instances", operand));
    } else if (matched.size() > 1 && !is_glob(operand)) {
      std::string names;
      for (const Service* service : matched) names += "\n\t" + service->fmri;
      outcome.errors.push_back(fmt::format("Pattern '{}' matches multiple instances:{}", operand, names));
    } else {
      for (Service* service : matched)
        if (std::ranges::find(result, service) == result.end()) result.push_back(service);
    }
  }
  return result;
}

ServiceOutcome Services::each(const std::vector<std::string>& operands, Act act) {
  ServiceOutcome outcome;
  for (Service* service : matching(operands, outcome)) (this->*act)(*service, outcome);
  return outcome;
}

// The word on disk comes first: a service that cannot be kept enabled is not started.
bool Services::set_enabled(Service& service, bool enabled, bool temporary, ServiceOutcome& outcome) {
  if (temporary) {
    service.until_restart = enabled;
    return true;
  }
  const bool before = service.enabled;
  service.enabled = enabled;
  if (before != enabled) {
    if (auto saved = save(); !saved) {
      service.enabled = before;
      outcome.errors.push_back(fmt::format("{} is as before: {}", service.fmri, saved.error().text));
      return false;
    }
  }
  service.until_restart.reset();
  return true;
}

bool Services::enable_one(Service& service, EnableOptions options, ServiceOutcome& outcome) {
  if (options.recursive) {
    for (const ServiceDependency& dependency : service.dependencies) {
      Service* other = find(dependency.fmri);
      if (other != nullptr && !other->wanted() && !enable_one(*other, options, outcome)) return false;
    }
  }
  if (!set_enabled(service, true, options.temporary, outcome)) return false;
  outcome.done.push_back(fmt::format("{} enabled.", service.fmri));
  if (service.state == ServiceState::disabled || service.state == ServiceState::uninitialized)
    enter(service, ServiceState::offline);
  start(service, outcome);
  return true;
}

ServiceOutcome Services::enable(const std::vector<std::string>& operands, EnableOptions options) {
  ServiceOutcome outcome;
  for (Service* service : matching(operands, outcome)) enable_one(*service, options, outcome);
  return outcome;
}

ServiceOutcome Services::disable(const std::vector<std::string>& operands, bool temporary) {
  ServiceOutcome outcome;
  for (Service* service : matching(operands, outcome)) {
    if (!set_enabled(*service, false, temporary, outcome)) continue;
    outcome.done.push_back(fmt::format("{} disabled.", service->fmri));
    if (service->state == ServiceState::disabled) continue;
    const bool ran = service->state != ServiceState::offline && service->state != ServiceState::uninitialized;
    if (ran && !run(*service, "stop", service->methods.stop, outcome)) continue;
    enter(*service, ServiceState::disabled);
  }
  return outcome;
}

// Restart and refresh act on running services only; of one in maintenance the operator hears why nothing happens.
bool Services::may_act(const Service& service, ServiceOutcome& outcome) const {
  if (service.state == ServiceState::maintenance)
    outcome.notes.push_back(
        fmt::format("{} is in maintenance and stays as it is; 'svcadm clear {}' starts it again: {}", service.fmri,
                    service.fmri, service.reason));
  return is_online(service.state);
}

// decisions.md 9: restart is the atomic replacement that refresh is; nothing is ever flushed in between.
void Services::restart_one(Service& service, ServiceOutcome& outcome) {
  if (!may_act(service, outcome)) return;
  outcome.done.push_back(fmt::format("Action restart set for {}.", service.fmri));
  const auto& method = service.methods.refresh ? service.methods.refresh : service.methods.start;
  if (run(service, "restart", method, outcome)) enter(service, ServiceState::online);
}

void Services::refresh_one(Service& service, ServiceOutcome& outcome) {
  if (!may_act(service, outcome)) return;
  outcome.done.push_back(fmt::format("Action refresh set for {}.", service.fmri));
  if (run(service, "refresh", service.methods.refresh, outcome)) enter(service, ServiceState::online);
}

void Services::clear_one(Service& service, ServiceOutcome& outcome) {
  if (service.state != ServiceState::maintenance && service.state != ServiceState::degraded) {
    outcome.errors.push_back(fmt::format("Instance \"{}\" is not in a maintenance or degraded state.", service.fmri));
    return;
  }
  outcome.done.push_back(fmt::format("Action {} clear set for {}.", name_of(service.state), service.fmri));
  if (!service.wanted()) return enter(service, ServiceState::disabled);
  enter(service, ServiceState::offline);
  start(service, outcome);
}

ServiceOutcome Services::restart(const std::vector<std::string>& operands) {
  return each(operands, &Services::restart_one);
}
ServiceOutcome Services::refresh(const std::vector<std::string>& operands) {
  return each(operands, &Services::refresh_one);
}
ServiceOutcome Services::clear(const std::vector<std::string>& operands) {
  return each(operands, &Services::clear_one);
}

ServiceOutcome Services::mark(const std::string& state, const std::vector<std::string>& operands) {
  ServiceOutcome outcome;
  if (state != "maintenance" && state != "degraded") {
    outcome.errors.push_back(fmt::format("'{}' is not a valid state to mark with: maintenance or degraded", state));
    return outcome;
  }
  for (Service* service : matching(operands, outcome)) {
    if (state == "degraded" && !is_online(service->state)) {
      outcome.errors.push_back(fmt::format("Instance \"{}\" is not online, so it cannot be degraded.", service->fmri));
      continue;
    }
    enter(*service, state == "degraded" ? ServiceState::degraded : ServiceState::maintenance,
          "Marked by an administrator.");
    outcome.done.push_back(fmt::format("{} marked {}.", service->fmri, state));
  }
  return outcome;
}

// ---- svcs

ServiceStatus Services::status(const Service& service) const {
  ServiceStatus status{.fmri = service.fmri,
                       .state = std::string(name_of(service.state)),
                       .next_state = "none",
                       .reason = service.reason,
                       .logfile = log_path(service),
                       .config_file = service.config_file,
                       .enabled = service.wanted(),
                       .temporary = service.until_restart.has_value(),
                       .since = service.since};
  if (const auto named = std::ranges::find(kNames, service.fmri, &Naming::fmri); named != std::end(kNames)) {
    status.name = named->name;
    status.manual = named->manual;
  }
  const auto describe = [](const ServiceDependency& dependency, const Service& other) {
    const bool required = dependency.kind == ServiceDependency::Kind::require_all;
    return ServiceStatus::Dependency{required ? "require_all" : "optional_all", other.fmri,
                                     std::string(name_of(other.state))};
  };
  size_t blocked = 0;
  for (const ServiceDependency& dependency : service.dependencies)
    if (const Service* other = find(dependency.fmri)) status.dependencies.push_back(describe(dependency, *other));
  for (const Service& other : services_) {
    for (const ServiceDependency& dependency : other.dependencies) {
      if (dependency.fmri != service.fmri) continue;
      status.dependents.push_back(describe(dependency, other));
      blocked += other.state == ServiceState::offline;
    }
  }
  const bool trouble = service.state == ServiceState::maintenance || service.state == ServiceState::offline;
  if (trouble)
    status.impact =
        blocked == 0 ? "This service is not running." : fmt::format("{} dependent services are not running.", blocked);
  if (service.state == ServiceState::disabled && service.reason.empty())
    status.reason = "Disabled by an administrator.";
  return status;
}

Result<std::vector<ServiceStatus>> Services::list(const std::vector<std::string>& operands) const {
  for (const std::string& operand : operands)
    if (std::ranges::none_of(services_, [&](const Service& service) { return matches_fmri(operand, service.fmri); }))
      return fail(ENOENT, "Pattern '{}' doesn't match any instances", operand);
  std::vector<ServiceStatus> result;
  for (const Service& service : services_) {
    const auto wanted = [&](const std::string& operand) { return matches_fmri(operand, service.fmri); };
    if (operands.empty() || std::ranges::any_of(operands, wanted)) result.push_back(status(service));
  }
  return result;
}

}  // namespace adit::engine
