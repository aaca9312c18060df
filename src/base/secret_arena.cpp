#include "base/secret_arena.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/secret.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

namespace adit {
namespace {

constexpr size_t kSlots[] = {32, 64, 128, 192, 256, 384, 512, 768, 1024, 1280, 1536, 2048, 2560, 3072, 4096};
constexpr size_t kLeastSlab = 64u << 10, kMostSlab = 4u << 20;

size_t page_bytes() {
  static const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return page;
}

size_t page_round(size_t size) {
  return (size + page_bytes() - 1) / page_bytes() * page_bytes();
}

// What is larger than any slot has a slab to itself.
size_t slot_of(size_t size) {
  const auto* slot = std::ranges::lower_bound(kSlots, size);
  return slot == std::end(kSlots) ? page_round(size) : *slot;
}

// The call itself: the sanitizers' mlock does nothing and succeeds.
bool lock_pages(void* at, size_t size) {
  return ::syscall(SYS_mlock, at, size) == 0;
}

}  // namespace

struct SecretArena::Slab {
  uint8_t* map = nullptr;  // with the guard pages
  uint8_t* first = nullptr;
  size_t bytes = 0;  // without them
  size_t slot = 0;
  uint32_t slots = 0, used = 0;
  uint32_t fresh = 0;  // slots from here on were never handed out
  bool locked = false;
  Free* free = nullptr;
  Slab *before = nullptr, *behind = nullptr;  // in the list of those with room

  [[nodiscard]] bool has_room() const { return used < slots; }
};

SecretArena& SecretArena::of_process() {
  static auto* const arena = new SecretArena;
  return *arena;
}

SecretArena::SecretArena() = default;

SecretArena::~SecretArena() {
  while (!slabs_.empty()) end(*slabs_.begin()->second);
}

Result<SecretArena::Slab*> SecretArena::add_slab(size_t slot_bytes, size_t slab_bytes) {
  auto slab = std::make_unique<Slab>();
  const size_t guard = page_bytes(), whole = slab_bytes + 2 * guard;
  void* map = ::mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return fail(ENOMEM, "there is no memory for more keys: {}", std::strerror(errno));
  slab->map = static_cast<uint8_t*>(map);
  slab->first = slab->map + guard;
  slab->bytes = slab_bytes;
  slab->slot = slot_bytes;
  slab->slots = static_cast<uint32_t>(slab_bytes / slot_bytes);
  const bool open = ::mprotect(slab->first, slab_bytes, PROT_READ | PROT_WRITE) == 0 &&
                    ::madvise(slab->first, slab_bytes, MADV_DONTDUMP) == 0;
  slab->locked = open && lock_pages(slab->first, slab_bytes);
  if (!open || (must_lock_ && !slab->locked)) {
    const int code = errno;
    ::munmap(map, whole);
    return fail(ENOMEM,
                "there is no more memory that may be locked, and keys live in no other ({}); give aditd CAP_IPC_LOCK "
                "or a larger memory lock limit (LimitMEMLOCK=, ulimit -l), or the machine more memory",
                std::strerror(code));
  }
  Slab* const made = slab.get();
  slabs_.emplace(reinterpret_cast<uintptr_t>(made->first), std::move(slab));
  ASAN_POISON_MEMORY_REGION(made->first, made->bytes);
  mapped_bytes_ += slab_bytes;
  unlocked_slabs_ += made->locked ? 0 : 1;
  return made;
}

// Slabs grow with what there is, so that their number stays small; where so much may not be locked, less may.
Result<SecretArena::Slab*> SecretArena::slab_for(size_t slot_bytes) {
  if (Slab* const ready = with_room_[slot_bytes]) return ready;
  const size_t least = page_round(std::max(slot_bytes, slot_bytes > kSlots[std::size(kSlots) - 1] ? 0 : kLeastSlab));
  const size_t wished = slot_bytes > kSlots[std::size(kSlots) - 1]
                            ? least
                            : page_round(std::clamp(mapped_bytes_ / 4, kLeastSlab, kMostSlab));
  auto slab = add_slab(slot_bytes, wished);
  if (!slab && wished > least) slab = add_slab(slot_bytes, least);
  if (!slab) return slab;
  return with_room_[slot_bytes] = *slab;
}

Result<uint8_t*> SecretArena::take(size_t size) {
  CHECK(size != 0);
  if (size > SIZE_MAX / 2) return fail(ENOMEM, "a secret of {} bytes is too large", size);
  const std::lock_guard lock(mutex_);
  TRY_ASSIGN(Slab * slab, slab_for(slot_of(size)));
  uint8_t* at = nullptr;
  if (slab->free != nullptr) {
    at = reinterpret_cast<uint8_t*>(slab->free);
    ASAN_UNPOISON_MEMORY_REGION(at, sizeof(Free));
    slab->free = slab->free->next;
    std::memset(at, 0, sizeof(Free));
  } else {
    at = slab->first + slab->slot * slab->fresh++;
  }
  ASAN_UNPOISON_MEMORY_REGION(at, size);
  ++secrets_;
  if (++slab->used == slab->slots) {
    with_room_[slab->slot] = slab->behind;
    if (slab->behind != nullptr) slab->behind->before = nullptr;
    slab->behind = nullptr;
  }
  return at;
}

void SecretArena::give_back(uint8_t* at, size_t size) noexcept {
  const std::lock_guard lock(mutex_);
  Slab& slab = *std::prev(slabs_.upper_bound(reinterpret_cast<uintptr_t>(at)))->second;
  CHECK(at >= slab.first && at < slab.first + slab.bytes && slab.slot == slot_of(size));
  wipe(at, size);
  auto* const free = reinterpret_cast<Free*>(at);
  ASAN_UNPOISON_MEMORY_REGION(at, sizeof(Free));
  free->next = slab.free;
  slab.free = free;
  ASAN_POISON_MEMORY_REGION(at, slab.slot);
  --secrets_;
  Slab*& head = with_room_.at(slab.slot);
  if (slab.used-- == slab.slots) {
    slab.behind = head;
    if (head != nullptr) head->before = &slab;
    head = &slab;
  }
  // One empty slab of a kind is kept for the next.
  if (slab.used == 0 && (slab.slots == 1 || head != &slab || slab.behind != nullptr)) end(slab);
}

void SecretArena::end(Slab& slab) noexcept {
  if (slab.has_room()) {
    if (slab.before != nullptr)
      slab.before->behind = slab.behind;
    else
      with_room_[slab.slot] = slab.behind;
    if (slab.behind != nullptr) slab.behind->before = slab.before;
  }
  mapped_bytes_ -= slab.bytes;
  unlocked_slabs_ -= slab.locked ? 0 : 1;
  ASAN_UNPOISON_MEMORY_REGION(slab.first, slab.bytes);
  ::munmap(slab.map, slab.bytes + 2 * page_bytes());
  slabs_.erase(reinterpret_cast<uintptr_t>(slab.first));
}

Result<> SecretArena::require_locked() {
  const std::lock_guard lock(mutex_);
  if (unlocked_slabs_ != 0)
    return fail(EPERM, "memory for keys cannot be locked; give aditd CAP_IPC_LOCK, or a memory lock limit");
  must_lock_ = true;
  return {};
}

SecretArena::Use SecretArena::use() const {
  const std::lock_guard lock(mutex_);
  return {mapped_bytes_, secrets_, slabs_.size(), unlocked_slabs_ == 0};
}

}  // namespace adit
