// Where the problems of a command go, each with its place.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "config/ipseckey/lexer.h"
#include "config/source/problem.h"

namespace adit::config::ipseckey {

class Report {
 public:
  // `shown`: a line of the text without its keys; empty for the words of a command line, which have no places.
  Report(std::string file, std::function<std::string(uint32_t)> shown, std::vector<Problem>& problems)
      : file_(std::move(file)), shown_(std::move(shown)), problems_(problems) {}

  // Always false, so that a check can end with it.
  bool error(const Word& at, std::string text, std::string expected = {}) {
    ++errors_;
    add(Severity::error, at, std::move(text), std::move(expected));
    return false;
  }
  // An address that may come to be known: the command is left out, and that is no error.
  bool wait(const Word& at, std::string text, std::string expected) {
    ++waiting_;
    warning(at, std::move(text), std::move(expected));
    return false;
  }
  [[nodiscard]] size_t waiting() const { return waiting_; }
  // A text of 100,000 SAs may have as many: the first are enough.
  void warning(const Word& at, std::string text, std::string expected = {}) {
    if (warnings_++ < kMostWarnings) add(Severity::warning, at, std::move(text), std::move(expected));
  }
  // The same advice is given once a text.
  void warning_once(const Word& at, const std::string& text, std::string expected = {}) {
    if (told_.insert(text).second) warning(at, text, std::move(expected));
  }

  [[nodiscard]] size_t errors() const { return errors_; }

 private:
  static constexpr size_t kMostWarnings = 200;
  void add(Severity severity, const Word& at, std::string text, std::string expected) {
    problems_.push_back({severity, file_, at.line, at.column, std::move(text), std::move(expected),
                         shown_ ? shown_(at.line) : std::string()});
  }

  std::string file_;
  std::function<std::string(uint32_t)> shown_;
  std::vector<Problem>& problems_;
  std::set<std::string> told_;
  size_t waiting_ = 0;
  size_t errors_ = 0, warnings_ = 0;
};

// A word in a message: keys are not quoted.
std::string quoted(const Word& word);

}  // namespace adit::config::ipseckey
