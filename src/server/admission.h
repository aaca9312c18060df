// Who gets in at the daemon's sockets, and how much of the daemon a user may hold: connections, memory and time, each
// summed over all sockets, for the user and for all users together. Whoever may do all always gets in. Engine thread.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "server/door.h"

namespace adit::protocol {

enum class Standing : uint8_t { anyone, delegated, privileged };
constexpr size_t kStandings = 3;

// `memory`: what is on its way in and out, dumps that somebody reads, drafts. `percent`: of the engine's thread.
struct Share {
  size_t connections = 0, streams = 0, memory = 0;
  unsigned percent = 0;
};

struct AdmissionLimits {
  using Shares = std::array<Share, kStandings>;
  // Of the privileged only connections are counted.
  Shares of_user{{{32, 4, 8u << 20, 10}, {48, 8, 16u << 20, 25}, {512, 512, SIZE_MAX, 100}}};
  Shares of_all{{{192, 24, 32u << 20, 25}, {192, 48, 256u << 20, 50}, {512, 512, SIZE_MAX, 100}}};
  // What a user without privilege sends in one varlink message.
  size_t message = 64u << 10;
  // Time that a user has not used for a while and may use at once.
  Millis burst{50};
  // Users without privilege end after so long: with half a message, without a message, with an answer unread. Whoever
  // has a namespace may be silent as long as it likes on the sockets where its connections own it.
  Seconds half{10}, idle{60}, unread{30};
};

class Admission {
 public:
  struct Rank {
    Standing standing = Standing::anyone;
    size_t more_memory = 0;  // for what was delegated to it
  };
  using Ranking = std::function<Rank(uid_t)>;
  // Root and the daemon's own user are privileged, all others anyone.
  static Rank by_user(uid_t user);

  explicit Admission(const Clock& clock, Ranking ranking = by_user, AdmissionLimits limits = {});
  // Of the system's clock.
  static std::shared_ptr<Admission> usual();

  // What is more urgent than any client: asked before each request.
  void set_urgent(std::function<void()> urgent) { urgent_ = std::move(urgent); }
  [[nodiscard]] const AdmissionLimits& limits() const { return limits_; }
  [[nodiscard]] size_t connections() const;

  // One connection's place; it gives back all that it has. Outlived by the Admission.
  class Seat;
  // nullptr: no room.
  static std::unique_ptr<Seat> admit(const std::shared_ptr<Admission>& admission, uid_t user);

 private:
  struct Account {
    size_t connections = 0, streams = 0, memory = 0;
    MonoTime free_at{};  // when all that was used is paid for
  };
  void charge(Account& account, unsigned percent, std::chrono::nanoseconds spent) const;

  const Clock& clock_;
  Ranking ranking_;
  AdmissionLimits limits_;
  std::function<void()> urgent_;
  std::map<uid_t, Account> users_;  // those with a connection, or with time to pay for
  std::array<Account, kStandings> all_;
};

class Admission::Seat {
 public:
  ~Seat();
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;

  [[nodiscard]] uid_t user() const { return user_; }
  [[nodiscard]] Standing standing() const { return standing_; }
  [[nodiscard]] bool privileged() const { return standing_ == Standing::privileged; }
  [[nodiscard]] const AdmissionLimits& limits() const { return house_->limits_; }

  // This connection now has so many bytes of one kind. False: with the rest that its user, or all users, have that is
  // too much; nothing changed.
  enum class Kind : uint8_t { traffic, drafts, dump };
  [[nodiscard]] bool hold(Kind kind, size_t bytes);
  // It goes on telling what happens. False: enough do.
  [[nodiscard]] bool hold_stream();
  void end_stream();

  // How long its next request waits until its user has paid for those before.
  [[nodiscard]] std::chrono::nanoseconds turn_in() const;
  // Serves one request: first what is more urgent; the time is on the user's account; what it throws ends it, and is
  // the answer.
  template <typename Work>
  std::optional<Error> serve(Work&& work) {
    if (house_->urgent_) house_->urgent_();
    const MonoTime began = house_->clock_.now();
    auto wrong = at_the_door(std::forward<Work>(work));
    pay(house_->clock_.now() - began);
    return wrong;
  }
  void pay(std::chrono::nanoseconds spent);

 private:
  friend class Admission;
  Seat(std::shared_ptr<Admission> house, uid_t user, Rank rank);
  [[nodiscard]] Account& mine() const { return house_->users_[user_]; }
  [[nodiscard]] Account& all() const { return house_->all_[static_cast<size_t>(standing_)]; }
  [[nodiscard]] const Share& my_share() const { return house_->limits_.of_user[static_cast<size_t>(standing_)]; }
  [[nodiscard]] const Share& all_share() const { return house_->limits_.of_all[static_cast<size_t>(standing_)]; }

  const std::shared_ptr<Admission> house_;
  const uid_t user_;
  const Standing standing_;
  const size_t more_memory_;
  std::array<size_t, 3> held_{};  // by Kind
  bool streams_ = false;
};

}  // namespace adit::protocol
