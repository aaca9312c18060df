#include "control/look_ups.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

namespace adit::engine {

struct LookUps::Desk : std::enable_shared_from_this<Desk> {
  explicit Desk(std::shared_ptr<const config::Resolver> given) : resolver(std::move(given)) {}

  void employ();  // REQUIRES: the lock
  void serve();

  const std::shared_ptr<const config::Resolver> resolver;
  std::mutex mutex;
  std::condition_variable answered;
  std::deque<std::string> questions;
  std::vector<Answer> answers;
  std::multiset<std::string> open;  // asked, not answered
  size_t threads = 0, busy = 0;
  bool closed = false;
  std::function<void()> bell;
};

// A thread more while there are questions that none is free for. Where the system has none to give, those that there
// are, or the next question, see to it.
void LookUps::Desk::employ() {
  while (questions.size() > threads - busy && threads < kMostLookUps) {
    try {
      std::thread([desk = shared_from_this()] { desk->serve(); }).detach();
      ++threads;
    } catch (const std::system_error&) {
      return;
    }
  }
}

void LookUps::Desk::serve() {
  std::unique_lock lock(mutex);
  while (!questions.empty() && !closed) {
    std::string name = std::move(questions.front());
    questions.pop_front();
    ++busy;
    lock.unlock();
    config::NameAnswer said;
    try {
      said = resolver->look_up(name);
    } catch (const std::exception&) {
      said = {};  // no memory: as good as no answer
    }
    lock.lock();
    --busy;
    if (closed) break;
    open.erase(open.find(name));
    answers.push_back({std::move(name), std::move(said)});
    answered.notify_all();
    if (bell) bell();
  }
  --threads;
}

LookUps::LookUps(std::shared_ptr<const config::Resolver> resolver)
    : desk_(std::make_shared<Desk>(std::move(resolver))) {}

LookUps::~LookUps() {
  const std::lock_guard lock(desk_->mutex);
  desk_->closed = true;
  desk_->bell = nullptr;
}

void LookUps::ask(const std::string& name) {
  const std::lock_guard lock(desk_->mutex);
  desk_->open.insert(name);
  desk_->questions.push_back(name);
  desk_->employ();
}

std::vector<LookUps::Answer> LookUps::take() {
  const std::lock_guard lock(desk_->mutex);
  return std::exchange(desk_->answers, {});
}

void LookUps::wait(const std::vector<std::string>& names, std::chrono::milliseconds most) {
  std::unique_lock lock(desk_->mutex);
  desk_->answered.wait_for(lock, most, [&] {
    return std::ranges::none_of(names, [&](const std::string& name) { return desk_->open.contains(name); });
  });
}

void LookUps::set_bell(std::function<void()> bell) {
  const std::lock_guard lock(desk_->mutex);
  desk_->bell = std::move(bell);
}

}  // namespace adit::engine
