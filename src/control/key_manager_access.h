// What the key manager's door asks of the engine. Engine thread.
#pragma once

#include <sys/types.h>

#include <functional>

#include "base/result.h"
#include "ike/door/handover.h"

namespace adit::engine {

struct KeyManager {
  pid_t pid = 0;
  // Gives it a descriptor, which stays ours. An error: it does not take it.
  std::function<Result<>(ike::Handed what, int fd)> hand;
  // It has closed its end of the pair: nothing more works for it.
  std::function<void()> dismiss;
};

class KeyManagerAccess {
 public:
  virtual ~KeyManagerAccess() = default;
  // Hands it what there is now, and what is missing when it comes. EBUSY: there is one already, its pid named. After an
  // error it has nothing that works.
  virtual Result<> admit(KeyManager manager) = 0;
  // It is gone, or shall be.
  virtual void take_back() = 0;
};

}  // namespace adit::engine
