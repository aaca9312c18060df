#include "keys/seen_marks.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>

#include "base/store.h"

namespace adit::engine {
namespace {

constexpr size_t kPieceBytes = 128u << 10;
constexpr char kMagic[] = "adit-seen 1\n";

// The kernel's name of this boot.
std::string boot_id() {
  const auto id = read_file("/proc/sys/kernel/random/boot_id");
  return id && *id ? **id : std::string();
}

struct Header {
  char magic[16] = {};
  char boot[40] = {};
  uint64_t beside = 0;
};

Header header_of(uint64_t beside) {
  Header header;
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  const std::string boot = boot_id();
  std::memcpy(header.boot, boot.data(), std::min(boot.size(), sizeof header.boot));
  header.beside = beside;
  return header;
}

}  // namespace

struct SeenMarks::Slot {
  uint64_t owner[2] = {0, 0};  // nobody
  Mark seen{0};
  uint64_t spare = 0;
};

SeenMarks::~SeenMarks() {
  for (void* piece : pieces_) ::munmap(piece, kPieceBytes);
  if (fd_ >= 0) ::close(fd_);
}

SeenMarks::Left SeenMarks::read() const {
  static_assert(sizeof(Slot) == 32 && Mark::is_always_lock_free);
  static_assert(sizeof(Header) % 32 == 0);
  Left left;
  const auto text = read_file(path_);
  if (!text || !*text || (*text)->size() < sizeof(Header)) return left;
  Header header;
  std::memcpy(&header, (*text)->data(), sizeof header);
  const Header expected = header_of(header.beside);
  if (std::memcmp(&header, &expected, sizeof header) != 0) return left;
  left.is_there = true;
  left.beside = header.beside;
  for (size_t at = sizeof header; at + sizeof(Slot) <= (*text)->size(); at += sizeof(Slot)) {
    uint64_t words[3];
    std::memcpy(words, (*text)->data() + at, sizeof words);
    if (words[0] == 0 && words[1] == 0) continue;
    uint64_t& seen = left.seen[{words[0], words[1]}];
    seen = std::max(seen, words[2]);
  }
  return left;
}

Result<> SeenMarks::begin(uint64_t beside) {
  const Header header = header_of(beside);
  TRY(replace_file(path_, {reinterpret_cast<const char*>(&header), sizeof header}, 0600, Lasting::boot,
                   "sequences.seen"));
  fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd_ < 0) return fail(errno, "cannot open {}: {}", path_, std::strerror(errno));
  return {};
}

// Its room is taken first: a store into a page that the file system has no room for would end us.
bool SeenMarks::add_piece() {
  const auto at = static_cast<off_t>(pieces_.size() * kPieceBytes);
  if (fd_ < 0 || ::posix_fallocate(fd_, at, kPieceBytes) != 0) return false;
  void* piece = ::mmap(nullptr, kPieceBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, at);
  if (piece == MAP_FAILED) return false;
  const size_t first = pieces_.empty() ? sizeof(Header) / sizeof(Slot) : 0;
  pieces_.push_back(piece);
  auto* const slots = static_cast<Slot*>(piece);
  for (size_t i = kPieceBytes / sizeof(Slot); i-- > first;) free_.push_back(new (slots + i) Slot);
  return true;
}

SeenMarks::Mark* SeenMarks::take(const Name& name, uint64_t seen) {
  if (free_.empty() && !add_piece()) return nullptr;
  Slot* const slot = free_.back();
  free_.pop_back();
  slot->seen.store(seen);
  slot->owner[0] = name.first;
  slot->owner[1] = name.second;
  return &slot->seen;
}

void SeenMarks::give_back(Mark* mark) {
  auto* const slot = reinterpret_cast<Slot*>(reinterpret_cast<uint8_t*>(mark) - offsetof(Slot, seen));
  slot->owner[0] = slot->owner[1] = 0;
  free_.push_back(slot);
}

}  // namespace adit::engine
