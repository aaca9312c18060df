// A command's way back: steps to be taken, last first, unless the command came to its end.
#pragma once

#include <exception>
#include <functional>
#include <utility>
#include <vector>

namespace adit::engine {

class Undo {
 public:
  Undo() = default;
  // A test's crash point unwinds the stack; a killed daemon would undo nothing, and neither do we.
  ~Undo() noexcept(false) {
    if (std::uncaught_exceptions() > at_birth_) return;
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) (*step)();
  }
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;

  void add(std::function<void()> step) { steps_.push_back(std::move(step)); }
  void keep() { steps_.clear(); }  // the command succeeded

 private:
  int at_birth_ = std::uncaught_exceptions();
  std::vector<std::function<void()>> steps_;
};

}  // namespace adit::engine
