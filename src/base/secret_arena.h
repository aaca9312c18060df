// Where secrets live: slabs of locked pages with a guard page at each end, many secrets a slab. A mapping for each
// would end at vm.max_map_count (65,530), long before memory does. Inside the room; others use Secret.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "base/result.h"

namespace adit {

// Any thread.
class SecretArena {
 public:
  SecretArena();
  ~SecretArena();
  SecretArena(const SecretArena&) = delete;
  SecretArena& operator=(const SecretArena&) = delete;

  // The process's own. Never destroyed: secrets of other statics may outlive any order of ends.
  static SecretArena& of_process();

  // Zero bytes, aligned to 64 where `size` is 64 or more. ENOMEM: no memory, or none that may be locked, while that is
  // required; the text says what to do.
  Result<uint8_t*> take(size_t size);
  // Wipes them. REQUIRES: they were taken with this size.
  void give_back(uint8_t* at, size_t size) noexcept;

  // From now on nothing is handed out that is not locked. EPERM: some is out already.
  Result<> require_locked();

  struct Use {
    size_t mapped_bytes = 0, secrets = 0, slabs = 0;
    bool all_locked = true;
  };
  [[nodiscard]] Use use() const;

 private:
  struct Slab;
  struct Free {  // lies in a slot that nobody has
    Free* next;
  };
  Result<Slab*> add_slab(size_t slot_bytes, size_t slab_bytes);
  Result<Slab*> slab_for(size_t slot_bytes);
  void end(Slab& slab) noexcept;

  mutable std::mutex mutex_;
  std::map<uintptr_t, std::unique_ptr<Slab>> slabs_;  // by address of the first slot
  std::map<size_t, Slab*> with_room_;                 // by bytes of a slot: a list
  size_t mapped_bytes_ = 0, secrets_ = 0, unlocked_slabs_ = 0;
  bool must_lock_ = false;
};

}  // namespace adit
