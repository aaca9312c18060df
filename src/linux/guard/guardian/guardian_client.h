// aditd's side of the guardian: tells it plans and changes, and waits until all layers stand. Starts one where none
// runs; while there is none, keeps the rule and the lasting table itself. One thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "linux/guard/guardian/guard_wire.h"
#include "linux/guard/layers/guard_layers.h"
#include "linux/launcher/launcher.h"
#include "linux/process/descriptor.h"
#include "linux/process/privileges.h"

namespace adit::platform {

struct GuardianClientSettings {
  std::string root, run;               // as GuardianSettings
  std::string program;                 // empty: $ADIT_GUARD_PROGRAM, or adit-guard beside this process's own program
  std::shared_ptr<Launcher> launcher;  // starts it; none: this process does
  std::optional<uid_t> guardian_uid = platform::guardian_uid();  // it works as that one, or as root
};

// Its program and options.
std::vector<std::string> guardian_words(const std::string& root, const std::string& run,
                                        const std::string& program = {});

class GuardianClient {
 public:
  explicit GuardianClient(GuardianClientSettings settings);

  // When they return success, all layers stand as told. ETIMEDOUT, ENOENT …: the guardian does not answer and nothing
  // new was opened; other errors are GuardLayers', and what stood before stands. They wait two seconds, and for a plan
  // a millisecond a network on top.
  Result<> replace(const GuardPlan& plan);
  Result<> change(const GuardChange& change);
  GuardState state();

  // Call every second, and when fd() is readable: hears the guardian, and connects or starts it again; while it is
  // away, puts back rule and lasting table. Sentences for the operator, each once.
  std::vector<std::string> tend();
  [[nodiscard]] int fd() const { return epoll_.get(); }

  Result<std::optional<FoundGuard>> found();     // in the kernel, whoever made it
  Result<std::vector<LeakCount>> leak_counts();  // of both tables

 private:
  using Clock = std::chrono::steady_clock;
  Result<> connect();
  Result<> connect_or_start(Clock::time_point until);
  Result<> start_program();
  Result<> send_plan(const GuardPlan& plan);
  Result<> order(GuardWord word, std::vector<uint8_t> body, std::chrono::milliseconds patience);
  Result<GuardMessage> ask(GuardWord word, std::vector<uint8_t> body, std::chrono::milliseconds patience);
  [[nodiscard]] bool is_guardian(uid_t uid) const;
  void hear();
  void let_go();
  void come_back();
  void stand_in();

  GuardianClientSettings settings_;
  Descriptor epoll_, socket_;
  uint64_t number_ = 0;
  std::optional<GuardPlan> plan_;         // acknowledged last
  bool agreed_ = false;                   // the guardian has plan_
  std::unique_ptr<GuardLayers> standby_;  // while it is away
  std::vector<std::string> told_;
  Clock::time_point next_start_{};
};

}  // namespace adit::platform
