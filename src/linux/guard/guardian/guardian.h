// The guardian: a process of its own that makes the guard's layers, holds the owned table, and puts back what others
// break. It outlives aditd, and parses nothing that users or peers send: plans from root over its own socket, and the
// book. One thread: start, then run.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <poll.h>

#include "linux/guard/guardian/guard_wire.h"
#include "linux/guard/layers/guard_layers.h"
#include "linux/guard/layers/guard_watch.h"
#include "linux/process/descriptor.h"
#include "linux/process/privileges.h"

namespace adit::platform {

// What the book says, without devices and flows.
struct GuardianBook {
  GuardPlan plan;                // what is closed, and which of the host's networks were inside then
  std::set<std::string> inside;  // interfaces that the operator named: their networks, present and future
  bool whole = true;             // else it may lack lines, and what stands in the kernel counts beside it
};

struct GuardianSettings {
  std::string root;  // the book's, as plans name it
  std::string run;   // directory of guard.sock and adit-guard.pid
  // nullopt: there is no book. Called at the start, and whenever what aditd knew is to be known without it.
  std::function<Result<std::optional<GuardianBook>>()> read_book;
  std::function<void(const std::string&)> say;  // to the log
  // Called right before the layers let go of a network that they close, by aditd's word.
  std::function<void(const net::Prefix&)> opening;
  std::string saved_rules = "/etc/nftables.conf";
  // Gives up what only the files and the socket of `run` need; sentences about what could not be. Called once, before
  // anything is read.
  std::function<Result<std::vector<std::string>>()> give_up_rights;
  std::optional<User> daemon;  // as which aditd works, beside root
};

class Guardian {
 public:
  // Closes what the book says, then listens. EBUSY: another guardian keeps this directory, or another root's guard
  // stands. EPERM: another guardian holds the owned table, or no CAP_NET_ADMIN.
  static Result<std::unique_ptr<Guardian>> start(GuardianSettings settings);
  // Until `stop` is readable. Nothing that fails meanwhile ends it. Then the owned table goes, the other layers stay.
  // `again`: reads the book again when it is readable and no aditd is connected, which knows better (a signalfd).
  void run(int stop, int again = -1);
  ~Guardian();

 private:
  using Clock = std::chrono::steady_clock;
  struct Client {
    Descriptor socket;
    bool sends_plans = false;  // hears what is told
  };
  explicit Guardian(GuardianSettings settings) : settings_(std::move(settings)) {}
  Result<> take_directory();
  Result<> give_up_rights();
  Result<> close_by_book();
  GuardPlan first_plan();
  void add_what_stands(GuardPlan& plan);
  Result<> bind_socket();
  Result<> listen();
  bool listen_again();
  [[nodiscard]] bool may_speak(int socket) const;
  void accept_clients();
  bool serve(Client& client);  // false: it is gone
  GuardMessage answer(Client& client, const GuardMessage& request);
  Result<> take_plan(ByteSpan body);
  Result<> take_change(const GuardChange& change);
  void tend();
  [[nodiscard]] bool alone() const;  // no aditd says what is to be
  void let_go_of_gone(const std::vector<pollfd>& ready);
  void learn_inside();
  void follow_inside();
  [[nodiscard]] std::optional<std::set<net::Prefix>> inside_networks();
  void read_again(int again);
  void tell(const std::string& sentence);
  void look_at_saved_rules();

  GuardianSettings settings_;
  Descriptor pid_file_, listener_;
  ino_t pid_inode_ = 0, socket_inode_ = 0;  // of their files in the run directory
  std::optional<GuardWatch> watch_;
  std::unique_ptr<GuardLayers> layers_;
  std::optional<GuardPlan> owed_;        // the book's, where it could not be put in force yet
  std::set<std::string> inside_;         // names, of the book
  std::set<net::Prefix> opened_inside_;  // their networks, as added without aditd
  bool look_inside_ = true;
  std::vector<Client> clients_;
  std::deque<std::string> untold_;  // while nobody listens
  std::vector<std::string> saved_told_;
  Clock::time_point next_saved_{}, next_look_{}, changed_{};  // changed_: by a client, last
  Clock::time_point accept_again_{};  // the listener stays readable while there is no descriptor for a client
};

// Sentences about saved nftables rules (the file, and files that it includes) that hold the guard's tables: they do not
// load, or come back stale. Each with what to do.
std::vector<std::string> saved_rules_with_guard(const std::string& path);

}  // namespace adit::platform
