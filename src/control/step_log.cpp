#include "control/step_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

namespace adit::engine {
namespace {

// A word of the log has no space and no control character; an empty one is "-".
void add_word(std::string& text, std::string_view word) {
  text += ' ';
  if (word.empty()) text += '-';
  for (const char c : word) {
    if (c > ' ' && c < 0x7f && c != '%')
      text += c;
    else
      text += fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
}

}  // namespace

StepLog::StepLog(const std::string& path, std::string who, const Clock& clock)
    : fd_(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)),
      who_(std::move(who)),
      clock_(&clock) {}

StepLog StepLog::from_environment(std::string who, const Clock& clock) {
  const char* path = std::getenv("ADIT_TRACE_STEPS");
  if (path == nullptr || *path == '\0') return {};
  return {path, std::move(who), clock};
}

StepLog::StepLog(StepLog&& other) noexcept {
  *this = std::move(other);
}

StepLog& StepLog::operator=(StepLog&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(who_, other.who_);
  std::swap(clock_, other.clock_);
  std::swap(lost_, other.lost_);
  std::swap(torn_, other.torn_);
  return *this;
}

StepLog::~StepLog() {
  if (fd_ >= 0) ::close(fd_);
}

void StepLog::book_added(const net::Prefix& network, std::string_view tunnel, std::string_view who,
                         std::string_view source, bool temporary) {
  if (on()) entry("book+", network, tunnel, who, source, temporary);
}

void StepLog::entry(std::string_view step, const net::Prefix& network, std::string_view tunnel, std::string_view who,
                    std::string_view source, bool temporary) {
  const std::string net = network.masked().str();
  if (temporary)
    line({step, net, tunnel, who, source, "temporary"});
  else
    line({step, net, tunnel, who, source});
}

void StepLog::book_removed(const net::Prefix& network, std::string_view tunnel, std::string_view who,
                           std::string_view source, std::string_view record) {
  if (!on()) return;
  line({"book-", network.masked().str(), tunnel, who, source, fmt::format("record={}", record)});
}

std::string_view StepLog::name_of(Layer layer) {
  constexpr std::string_view kNames[] = {"rule", "owned", "lasting"};
  return kNames[static_cast<size_t>(layer)];
}

std::string_view StepLog::name_of(BookState state) {
  constexpr std::string_view kNames[] = {"intact", "older", "missing"};
  return kNames[static_cast<size_t>(state)];
}

std::string_view StepLog::name_of(Opening why) {
  constexpr std::string_view kNames[] = {"open", "release", "delete", "withdraw", "rename", "undo"};
  return kNames[static_cast<size_t>(why)];
}

// One write a line: lines of two daemons do not mix. What a full disk swallows is told by the next line that fits, so
// that no checker takes the gap for an order.
void StepLog::line(std::initializer_list<std::string_view> words) {
  const auto nanoseconds = static_cast<uint64_t>(clock_->now().time_since_epoch().count());
  const std::string head =
      fmt::format("t={}.{:09} by={}", nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000, who_);
  std::string text;
  if (torn_) text += '\n';
  if (lost_ > 0) text += fmt::format("{} lost {}\n", head, lost_);
  text += head;
  for (const std::string_view word : words) add_word(text, word);
  text += '\n';
  if (append(text))
    lost_ = 0;
  else
    ++lost_;
}

bool StepLog::append(std::string_view text) {
  const size_t whole = text.size();
  while (!text.empty()) {
    const ssize_t written = ::write(fd_, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      torn_ = torn_ || text.size() != whole;
      return false;
    }
    text.remove_prefix(static_cast<size_t>(written));
  }
  torn_ = false;
  return true;
}

}  // namespace adit::engine
