// aditd's event loop around one engine: sockets, signals, timers, and what workers and kernel have to say.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include <asio.hpp>

#include "engine/engine.h"
#include "server/admission.h"
#include "server/key_manager_door.h"
#include "server/pf_key_server.h"
#include "server/pf_policy_server.h"
#include "server/varlink_server.h"

namespace adit {

class Daemon {
 public:
  Daemon(engine::Engine& engine, platform::Platform& platform);
  ~Daemon();

  // Opens the sockets below the run directory; the engine has started.
  Result<> open();
  // Until SIGTERM or SIGINT.
  void run();

 private:
  void survive(const std::function<void()>& work);
  void watch_signals();
  void watch_kernel();
  void wait_for_calm();
  void handle_kernel_changes();
  void kernel_first();
  [[nodiscard]] protocol::Admission::Rank rank_of(uid_t user) const;
  void watch_workers();
  void tick();

  engine::Engine& engine_;
  platform::Platform& platform_;
  asio::io_context io_{1};
  asio::signal_set signals_{io_};
  asio::steady_timer second_{io_};
  asio::steady_timer calm_{io_};
  asio::posix::stream_descriptor kernel_{io_};
  std::chrono::steady_clock::duration last_cost_{};
  bool calming_ = false;  // changes have come and wait for more
  const SystemClock clock_;
  std::shared_ptr<protocol::Admission> admission_;
  protocol::VarlinkMethods methods_;
  std::unique_ptr<protocol::VarlinkServer> varlink_;
  std::unique_ptr<protocol::KeyServer> keys_;
  std::unique_ptr<protocol::PolicyServer> policy_;
  std::unique_ptr<protocol::KeyManagerDoor> key_manager_;
};

}  // namespace adit
