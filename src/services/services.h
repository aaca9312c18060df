// svcadm and svcs: the services that SMF runs on illumos (services.md), each a name for start, refresh and stop methods
// that other classes of the engine give. Enabled or not survives in /etc/svc/adit.services; logs are in /var/svc/log.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/seams.h"
#include "control/service_methods.h"

namespace adit::engine {

inline constexpr const char* kPolicyService = "svc:/network/ipsec/policy:default";
inline constexpr const char* kManualKeyService = "svc:/network/ipsec/manual-key:default";
inline constexpr const char* kAlgsService = "svc:/network/ipsec/ipsecalgs:default";
inline constexpr const char* kIptunService = "svc:/network/iptun:default";

struct ServiceDependency {
  enum class Kind : uint8_t { require_all, optional_all } kind = Kind::require_all;
  std::string fmri;
};

enum class ServiceState : uint8_t { uninitialized, offline, online, degraded, maintenance, disabled };
std::string_view name_of(ServiceState state);

struct ServiceStatus {  // svcs -l, -x and every listing
  std::string fmri, name, manual, state, next_state, reason, impact, logfile, config_file;
  bool enabled = false, temporary = false;
  uint64_t since = 0;  // wall seconds of the last change of state
  struct Dependency {
    std::string kind, fmri, state;
  };
  std::vector<Dependency> dependencies, dependents;
};

// What one svcadm operand came to. `operand` matched nothing or too much: the others are still done.
struct ServiceOutcome : Outcome {
  std::vector<std::string> done;    // a sentence a service, and what its method did: svcadm -v
  std::vector<std::string> errors;  // after them the command exits 1
};

class Services {
 public:
  explicit Services(const Context& context);

  // Before start(), in the order of dependencies. `config_file`: shown as config/config_file; empty: it has none.
  void add(std::string fmri, ServiceMethods methods, std::vector<ServiceDependency> dependencies,
           bool enabled_by_default, std::string config_file = {});
  // Reads which services are enabled. Once, after the add()s; boot() does it when nobody did.
  void restore();
  // Runs the start method when the service is enabled and what it requires is online; records the state.
  void boot(const std::string& fmri);
  // SIGHUP: refreshes every enabled service.
  Outcome refresh_all();

  struct EnableOptions {
    bool temporary = false, recursive = false;
  };
  ServiceOutcome enable(const std::vector<std::string>& operands, EnableOptions options);
  ServiceOutcome disable(const std::vector<std::string>& operands, bool temporary);
  ServiceOutcome restart(const std::vector<std::string>& operands);
  ServiceOutcome refresh(const std::vector<std::string>& operands);
  ServiceOutcome clear(const std::vector<std::string>& operands);
  // maintenance or degraded.
  ServiceOutcome mark(const std::string& state, const std::vector<std::string>& operands);

  // Operands empty: every service. ENOENT: `Pattern 'X' doesn't match any instances`.
  Result<std::vector<ServiceStatus>> list(const std::vector<std::string>& operands) const;
  [[nodiscard]] ServiceState state(std::string_view fmri) const;

 private:
  struct Service {
    std::string fmri, config_file, reason;
    ServiceMethods methods;
    std::vector<ServiceDependency> dependencies;
    bool enabled_by_default = false, enabled = false;
    std::optional<bool> until_restart;  // -t
    ServiceState state = ServiceState::uninitialized;
    uint64_t since = 0;
    [[nodiscard]] bool wanted() const { return until_restart.value_or(enabled); }
  };
  using Act = void (Services::*)(Service&, ServiceOutcome&);

  std::vector<Service*> matching(const std::vector<std::string>& operands, ServiceOutcome& outcome);
  ServiceOutcome each(const std::vector<std::string>& operands, Act act);
  bool enable_one(Service& service, EnableOptions options, ServiceOutcome& outcome);
  bool set_enabled(Service& service, bool enabled, bool temporary, ServiceOutcome& outcome);
  void start(Service& service, ServiceOutcome& outcome);
  void start_dependents(const Service& service, ServiceOutcome& outcome);
  [[nodiscard]] bool may_act(const Service& service, ServiceOutcome& outcome) const;
  void restart_one(Service& service, ServiceOutcome& outcome);
  void refresh_one(Service& service, ServiceOutcome& outcome);
  void clear_one(Service& service, ServiceOutcome& outcome);
  // Runs one method, logs it, keeps its error as the reason for maintenance. True: it went well.
  bool run(Service& service, const char* method_name, const std::function<Result<Outcome>()>& method,
           ServiceOutcome& outcome);
  void enter(Service& service, ServiceState state, std::string reason = {});
  [[nodiscard]] std::optional<std::string> unmet(const Service& service) const;
  Service* find(std::string_view fmri);
  [[nodiscard]] const Service* find(std::string_view fmri) const;
  void log(const Service& service, const std::string& text) const;
  [[nodiscard]] std::string log_path(const Service& service) const;
  [[nodiscard]] ServiceStatus status(const Service& service) const;
  Result<> save() const;

  const Context& context_;
  bool restored_ = false;
  std::vector<Service> services_;  // in the order of add(); never moved after start
};

// FMRI matching of svcadm and svcs (services.md §8, §9): a whole FMRI, a trailing part of the name at `/` boundaries
// with or without `:instance`, or a glob (`svc:/` goes in front when it does not start with svc:).
bool is_glob(std::string_view operand);
bool matches_fmri(std::string_view operand, std::string_view fmri);

}  // namespace adit::engine
