// Ends a client's connection when what it owes does not come: a message's other half, a message, the reading of an
// answer. One wait at a time. Engine thread.
#pragma once

#include <memory>
#include <utility>

#include <asio.hpp>

namespace adit::protocol {

class Patience {
 public:
  explicit Patience(const asio::any_io_executor& executor) : timer_(executor) {}

  // After so long, `end` is called on the owner if it is still there. Replaces a wait that is under way.
  template <typename Owner>
  void wait(const std::weak_ptr<Owner>& owner, std::chrono::nanoseconds time, void (Owner::*end)()) {
    timer_.expires_after(time);
    timer_.async_wait([owner, end](asio::error_code error) {
      const auto self = owner.lock();
      if (self && !error) (self.get()->*end)();
    });
  }
  // The owner's own rest: it stays alive by it, and goes on with `next`.
  template <typename Owner>
  void rest(std::shared_ptr<Owner> owner, std::chrono::nanoseconds time, void (Owner::*next)()) {
    timer_.expires_after(time);
    timer_.async_wait([owner = std::move(owner), next](asio::error_code error) {
      if (!error) (owner.get()->*next)();
    });
  }
  void stop() { timer_.cancel(); }

 private:
  asio::steady_timer timer_;
};

}  // namespace adit::protocol
