// CHECK: for our own bugs only. Never for a peer's bytes, a file's text or an operator's words; those get a Result.
#pragma once

namespace adit {
// Prints the place and the condition to stderr and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition);
}  // namespace adit

#define CHECK(condition)                                    \
  do {                                                      \
    if (!(condition)) [[unlikely]]                          \
      ::adit::check_failed(__FILE__, __LINE__, #condition); \
  } while (false)
