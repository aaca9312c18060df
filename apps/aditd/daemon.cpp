#include "daemon.h"

#include <poll.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "control/names.h"
#include "host/addresses.h"
#include "host/protocol_properties.h"
#include "host/routes.h"
#include "keys/keys.h"
#include "namespaces/namespaces.h"
#include "notify.h"
#include "path/dataplane.h"
#include "path/ike_sockets.h"
#include "policy/policy.h"
#include "server/door.h"
#include "server/io_adit/addresses_api.h"
#include "server/io_adit/engine_api.h"
#include "server/io_adit/namespaces_api.h"
#include "server/io_adit/routes_api.h"
#include "server/io_adit/services_api.h"
#include "services/services.h"

namespace adit {
namespace {

using std::chrono::milliseconds;

// Kernel changes come in swarms, many of them our own: they are looked at together, and never for more than a fifth of
// the time.
constexpr milliseconds kShortestCalm{5}, kLongestCalm{500};
constexpr int kCalmRatio = 4;

// Anybody may connect: who may do what, the kernel's credentials of the peer decide. On adit.sock anybody may read and
// root write; on the key and policy sockets users act in the namespaces that are delegated to them.
constexpr mode_t kOpenSocket = 0666;

// What a delegated rule may take in drafts: some copies of an ordinary one.
constexpr size_t kDraftBytesOfRule = 4096;

}  // namespace

Daemon::Daemon(engine::Engine& engine, platform::Platform& platform) : engine_(engine), platform_(platform) {
  admission_ = std::make_shared<protocol::Admission>(clock_, [this](uid_t user) { return rank_of(user); });
  admission_->set_urgent([this] { kernel_first(); });
}

protocol::Admission::Rank Daemon::rank_of(uid_t user) const {
  auto rank = protocol::Admission::by_user(user);
  if (rank.standing == protocol::Standing::privileged) return rank;
  if (const auto rules = engine_.namespaces().rules_delegated_to(user))
    rank = {protocol::Standing::delegated, static_cast<size_t>(*rules) * kDraftBytesOfRule};
  return rank;
}

Daemon::~Daemon() {
  // The loop's descriptor is the platform's: only ours is given up.
  if (kernel_.is_open()) kernel_.release();
  engine_.dataplane().shared().events.bell = nullptr;
  engine_.names().set_bell({});
}

Result<> Daemon::open() {
  protocol::care_for_commands(methods_, engine_);
  protocol::add_link_methods(methods_, engine_);
  protocol::add_guard_methods(methods_, engine_);
  protocol::add_policy_methods(methods_, engine_);
  protocol::add_explain_methods(methods_, engine_);
  protocol::add_event_methods(methods_, engine_);
  protocol::add_trace_methods(methods_, engine_, io_);
  protocol::add_service_methods(methods_, engine_.services());
  protocol::add_address_methods(methods_, engine_.addresses(), engine_.protocol_properties());
  protocol::add_namespace_methods(methods_, engine_.namespaces());
  protocol::add_route_methods(methods_, engine_.routes());
  const std::string& run_dir = engine_.settings().run_dir;
  TRY_ASSIGN(keys_,
             protocol::KeyServer::listen(io_, run_dir + "/pf_key.sock", engine_.keys(), kOpenSocket, admission_));
  TRY_ASSIGN(policy_, protocol::PolicyServer::listen(io_, run_dir + "/pf_policy.sock", engine_.policy(), kOpenSocket,
                                                     admission_));
  TRY_ASSIGN(key_manager_, protocol::KeyManagerDoor::open(io_, run_dir + "/ike.sock", engine_.ike_sockets()));
  TRY_ASSIGN(varlink_, protocol::VarlinkServer::listen(io_, run_dir + "/adit.sock", methods_, kOpenSocket, admission_));
  return {};
}

void Daemon::run() {
  watch_signals();
  watch_workers();
  watch_kernel();
  tick();
  notify_service_manager("READY=1");
  io_.run();
  notify_service_manager("STOPPING=1");
}

// What an exception cut short is told and tried again when its time comes; a daemon that ended would protect nothing.
void Daemon::survive(const std::function<void()>& work) {
  const auto wrong = protocol::at_the_door(work);
  if (wrong)
    (void)protocol::at_the_door(
        [&] { engine_.events().add(engine::Severity::alert, engine::EventKind::daemon_failed, "", wrong->text); });
}

void Daemon::watch_signals() {
  signals_.add(SIGTERM);
  signals_.add(SIGINT);
  signals_.add(SIGHUP);
  signals_.async_wait([this](const asio::error_code& error, int signal) {
    if (error) return;
    if (signal != SIGHUP) return io_.stop();
    watch_signals();
    survive([this] { (void)engine_.refresh(); });
  });
}

void Daemon::watch_workers() {
  auto& queue = engine_.dataplane().shared().events;
  queue.bell = [this] { asio::post(io_, [this] { survive([this] { engine_.handle_worker_events(); }); }); };
  survive([this] { engine_.handle_worker_events(); });  // what came before the bell hung
  engine_.names().set_bell([this] { asio::post(io_, [this] { survive([this] { engine_.handle_names(); }); }); });
  survive([this] { engine_.handle_names(); });
}

void Daemon::watch_kernel() {
  if (!kernel_.is_open()) {
    const auto fd = platform_.change_fd();
    if (!fd) return engine_.events().add(engine::Severity::warning, engine::EventKind::platform, "", fd.error().text);
    kernel_.assign(*fd);
  }
  kernel_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const asio::error_code& error) {
    if (!error) wait_for_calm();
  });
}

void Daemon::wait_for_calm() {
  if (std::exchange(calming_, true)) return;
  const auto wanted = std::chrono::duration_cast<milliseconds>(last_cost_ * kCalmRatio);
  calm_.expires_after(std::clamp(wanted, kShortestCalm, kLongestCalm));
  calm_.async_wait([this](const asio::error_code& error) {
    if (!error && calming_) handle_kernel_changes();
  });
}

void Daemon::handle_kernel_changes() {
  calming_ = false;
  calm_.cancel();
  const auto began = std::chrono::steady_clock::now();
  survive([this] { engine_.handle_platform_changes(); });
  last_cost_ = std::chrono::steady_clock::now() - began;
  watch_kernel();
}

// Before each request of a client: what somebody changed in the kernel does not wait behind those that came first.
void Daemon::kernel_first() {
  if (!kernel_.is_open()) return;
  pollfd changes{kernel_.native_handle(), POLLIN, 0};
  if (!calming_ && ::poll(&changes, 1, 0) == 1) {
    kernel_.cancel();
    wait_for_calm();
  }
  if (calming_ && calm_.expiry() <= std::chrono::steady_clock::now()) handle_kernel_changes();
}

void Daemon::tick() {
  second_.expires_after(std::chrono::seconds(1));
  second_.async_wait([this](const asio::error_code& error) {
    if (error) return;
    survive([this] { engine_.tick(); });
    tick();
  });
}

}  // namespace adit
