// The door of a server: what one request may throw ends that request, never the process.
#pragma once

#include <exception>
#include <new>
#include <optional>
#include <utility>

#include "base/result.h"

namespace adit::protocol {

// Runs it. nullopt: it came to its end. Else the answer for who asked: ENOMEM, or EIO for an error of our own.
template <typename Work>
std::optional<Error> at_the_door(Work&& work) {
  try {
    std::forward<Work>(work)();
    return std::nullopt;
  } catch (const std::bad_alloc&) {
    return Error{ENOMEM, "aditd has no memory left for this request"};
  } catch (const std::exception& error) {
    return Error{EIO, fmt::format("aditd could not serve this request: internal error: {}", error.what())};
  } catch (...) {
    return Error{EIO, "aditd could not serve this request: internal error"};
  }
}

}  // namespace adit::protocol
