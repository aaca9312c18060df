// Result<T>: what control code returns. Packet code returns a DropReason instead (datapath/drop_reason.h).
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace adit {

// An error that an operator reads. `code` is an errno value (EINVAL, EEXIST, ENOENT, EPERM, EBUSY …): protocols send
// it, commands choose their wording and exit status by it. `text` says what failed, why, and what to do; no trailing
// newline.
struct Error {
  int code = EINVAL;
  std::string text;
};

template <typename T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(int code, std::string text) {
  return std::unexpected(Error{code, std::move(text)});
}

template <typename... Args>
std::unexpected<Error> fail(int code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace adit

#define ADIT_CONCAT_(a, b) a##b
#define ADIT_CONCAT(a, b) ADIT_CONCAT_(a, b)

// TRY(expression): returns its error, or goes on.
#define TRY(expression)                                             \
  do {                                                              \
    if (auto try_result_ = (expression); !try_result_) [[unlikely]] \
      return std::unexpected(std::move(try_result_).error());       \
  } while (false)

// TRY_ASSIGN(auto x, expression): returns its error, or assigns its value.
#define TRY_ASSIGN(target, expression)                                      \
  auto ADIT_CONCAT(try_, __LINE__) = (expression);                          \
  if (!ADIT_CONCAT(try_, __LINE__)) [[unlikely]]                            \
    return std::unexpected(std::move(ADIT_CONCAT(try_, __LINE__)).error()); \
  target = std::move(*ADIT_CONCAT(try_, __LINE__))
