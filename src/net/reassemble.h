// Fragments become the packet they were (RFC 791 §3.2, RFC 8200 §4.5), to be judged whole; the fragments themselves are
// kept as they came, to be sent on (RFC 8200 §5: nobody on the way joins them for good). Sans-I/O: time is passed in.
// Bounded: a fixed number of datagrams at a time, of fragments in each, and of seconds; all memory is taken at
// construction (and touched when used).
//
// Overlapping fragments are never put together: the whole datagram is refused until its time is over (RFC 5722, here
// for IPv4 too). Each fragment that was added ends in exactly one place: pieces(), what add() returned, or losses().
// One thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/drop_reason.h"
#include "net/ip_header.h"

namespace adit::net {

struct ReassemblyLimits {
  uint32_t datagrams = 64;  // at a time; when all are taken the oldest gives way
  Seconds lifetime{5};      // policy.md §3.2; RFC 8200 allows up to 60
};

class Reassembler {
 public:
  static constexpr uint32_t kMaxFragments = 128;  // of one datagram
  static constexpr uint32_t kMaxHeader = 256;     // IP header, up to and with the fragment header

  explicit Reassembler(ReassemblyLimits limits = {});
  ~Reassembler();
  Reassembler(Reassembler&&) noexcept;
  Reassembler& operator=(Reassembler&&) noexcept;

  // Takes one packet that IpHeader calls a fragment (REQUIRES: header read from it, Extent::whole, header.fragment()).
  // `scope` keeps apart what must not meet: the link's id, and the SA it came under. When the datagram is whole it is
  // written to `out` and `length` says its bytes; else length is 0: none with length 0 means "kept, the rest has yet to
  // come". Errors, of this fragment: bad_header (a middle fragment whose size is no multiple of 8, an empty one, one
  // past 65535 bytes, an IPv6 first fragment without its whole header chain (RFC 7112), ECN marks that cannot be of one
  // packet (RFC 3168 §5.3)), reassembly_overlap, reassembly_duplicate (bytes and all; it changes nothing),
  // reassembly_limit (too many fragments; header too long), no_buffer (`out` is too small: 65535 + 40 fits).
  DropReason add(uint64_t scope, ByteSpan fragment, const IpHeader& header, MonoTime now, MutByteSpan out,
                 uint32_t& length);

  // After an add() that gave a whole datagram: its fragments as they came, by their place in it. Valid until the next
  // add() or expire().
  [[nodiscard]] std::span<const ByteSpan> pieces() const { return pieces_; }

  void expire(MonoTime now);  // forgets what waited too long

  // Fragments that were kept and will not go on: their datagram was refused, gave way to a newer one, or waited too
  // long.
  struct Loss {
    uint64_t scope = 0;
    DropReason reason = DropReason::none;
    uint32_t fragments = 0;
    Address source, destination;
  };
  // Those since the last call; to be asked after each add() and expire(). Valid until the next of them.
  [[nodiscard]] std::span<const Loss> take_losses();
  [[nodiscard]] uint32_t waiting() const;  // datagrams

 private:
  struct Slot;
  struct Key;
  Slot* find(const Key& key);
  Slot& take_slot(const Key& key, MonoTime now);
  DropReason gather(Slot& slot, ByteSpan fragment, const IpHeader& ip);
  void lose(const Slot& slot, DropReason reason);
  void list_pieces(const Slot& slot);
  [[nodiscard]] bool overdue(const Slot& slot, MonoTime now) const;

  ReassemblyLimits limits_;
  std::vector<Slot> slots_;
  std::vector<ByteSpan> pieces_;
  std::vector<Loss> losses_;
  bool losses_taken_ = false;
};

}  // namespace adit::net
