// A security association (RFC 4301 §4.4.2). What PF_KEY gave is in SaSpec and never changes; what packets change is
// atomic.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/counter.h"
#include "base/secret.h"
#include "crypto/algorithm.h"
#include "crypto/transform.h"
#include "net/address.h"
#include "net/protocol.h"
#include "sad/ceiling.h"
#include "sad/replay.h"

namespace adit::sad {

enum class Spi : uint32_t {};  // host byte order here; network order only in packets and messages
enum class SaType : uint8_t { unspec = 0, ah = 2, esp = 3 };
enum class SaState : uint8_t { larval = 0, mature = 1, dying = 2, dead = 3 };
enum class SaMode : uint8_t { transport, tunnel };

struct Lifetime {  // zero: no limit
  uint32_t allocations = 0;
  uint64_t bytes = 0, add_seconds = 0, use_seconds = 0;
};

// Selectors of a tunnel-mode SA; nothing given means any. Local and remote in the SA's own direction: source,
// destination.
// The outer addresses of the tunnel that asks.
struct Endpoints {
  net::Address local, remote;
  friend bool operator==(const Endpoints&, const Endpoints&) = default;
};

struct InnerSelector {
  net::Prefix source, destination;
  uint8_t protocol = 0;                            // 0: any
  uint16_t source_port = 0, destination_port = 0;  // 0: any
  friend bool operator==(const InnerSelector&, const InnerSelector&) = default;
};

struct NatT {
  net::Address local, remote;
  uint16_t local_port = net::kPortIkeNat, remote_port = net::kPortIkeNat;
};  // RFC 3948

enum class KmProtocol : uint8_t { manual = 0, ike = 1, kink = 2, ikev2 = 3 };
struct KmCookie {
  KmProtocol protocol = KmProtocol::manual;
  uint64_t cookie = 0;
};
struct Identity {
  uint16_t type = 0;
  uint64_t id = 0;
  std::string text;
};  // SADB_IDENTTYPE_*; text may be DER bytes

struct SaSpec {
  Spi spi{};
  SaType type = SaType::esp;
  SaMode mode = SaMode::tunnel;
  net::Address source, destination;  // outer
  uint8_t outer_protocol = 0;        // of the ADDRESS extension: 4, 41 or 0
  std::optional<InnerSelector> inner;
  crypto::AuthAlg auth = crypto::AuthAlg::none;
  crypto::EncrAlg encr = crypto::EncrAlg::none;
  Secret auth_key, encr_key;  // encr_key without salt
  Secret salt;
  bool esn = false;               // SADB_X_SAFLAGS: Adit's extended-sequence-number flag
  uint32_t replay_window = 1024;  // 0: none; up to 4096
  std::optional<NatT> nat;
  Lifetime hard, soft, idle;
  std::optional<Spi> pair;                 // as first given; Sa::pair tells the present one
  bool inbound = false, outbound = false;  // flags given; neither was: both, and each packet's own way decides
  bool direction_open = false;             // neither was: addresses of this host may come, go and move
  std::string name_space;                  // owner; empty: global
  uint32_t acquire_seq = 0;                // of the ACQUIRE it answers; 0: none
  std::optional<KmCookie> cookie;
  std::optional<Identity> source_identity, destination_identity;
};

// Which limit ended or nears.
enum class Expiry : uint8_t { none, soft, hard, idle, sequence };

class Sa {
 public:
  // Builds the key schedules; the state is MATURE. Errors (EINVAL, with the PF_KEY meaning in the text): unsupported
  // algorithm, key length.
  static Result<std::shared_ptr<Sa>> make(SaSpec spec);
  // A LARVAL one: an SPI without keys (GETSPI).
  static std::shared_ptr<Sa> larval(SaSpec spec);

  const SaSpec spec;
  std::shared_ptr<const crypto::Transform> transform;  // of ESP or AH; null while larval

  std::atomic<SaState> state{SaState::larval};

  // Outbound: reserves `count` numbers, the first is returned (>= 1). nullopt: exhausted (32 or 64 bit), the SA must
  // stop; or those that are left are not saved yet.
  std::optional<uint64_t> reserve_sequence(uint32_t count);
  [[nodiscard]] bool is_exhausted() const;
  [[nodiscard]] uint64_t last_sequence() const;
  // PF_KEY replay value of an outbound SA: the next number reserved is `last` + 1.
  void set_last_sequence(uint64_t last) { sequence_.store(last, std::memory_order_relaxed); }

  // Inbound: see sad/replay.h. One worker at a time: take `inbound_owner` once a burst.
  ReplayWindow replay;
  std::atomic_flag inbound_owner = ATOMIC_FLAG_INIT;  // sad/inbound_owner.h

  // What may be sent and accepted of what is remembered.
  Ceiling sent, seen;
  std::atomic<uint64_t> seen_wanted{0};        // the highest authentic number that was above seen.limit
  std::atomic<uint64_t>* seen_mark = nullptr;  // where the highest accepted number is left for a next life; or null
  std::atomic<bool> numbers_due{false};        // a limit is near: a worker reports it, once
  // Inbound, by the owner, of an authentic number: may it be accepted? False: it is not saved yet.
  [[nodiscard]] bool may_see(uint64_t sequence);
  // By the owner: marks it as seen. False: a replay.
  bool see(uint64_t sequence);
  // For good: nothing is sent or accepted any more. The last numbers that were.
  struct Counted {
    uint64_t sent = 0, seen = 0;
  };
  Counted stop_counting();

  // Use, for lifetimes and listings; relaxed, added once a burst by whoever carries the burst.
  std::atomic<uint64_t> bytes{0}, packets{0}, first_used{0}, last_used{0};  // times: Clock::seconds
  uint64_t added = 0;
  uint64_t added_wall = 0;  // for listings: Clock::wall_seconds
  bool was_larval = false;  // its SPI was asked for first, as key managers do
  [[nodiscard]] uint64_t first_used_wall() const;
  uint64_t age = 0;  // counts up with each SA of a database: the newest has the highest

  // What listings show of a direction that is open: where its addresses were when it was listed. Engine thread.
  bool shown_inbound = false, shown_outbound = false;

  // The other half of a pair; 0: none. Engine thread writes.
  std::atomic<uint32_t> pair{0};

  // Lifetimes as UPDATE last set them (spec has those of birth). Engine thread writes, workers read.
  void set_lifetimes(const Lifetime& hard, const Lifetime& soft, const Lifetime& idle);
  [[nodiscard]] Lifetime hard() const { return limits_[0].get(); }
  [[nodiscard]] Lifetime soft() const { return limits_[1].get(); }
  [[nodiscard]] Lifetime idle() const { return limits_[2].get(); }

  void used(uint64_t burst_bytes, uint64_t burst_packets, uint64_t now_seconds);
  // The gravest limit reached by now: sequence, hard, and only while MATURE soft, idle. Engine timer, and after a
  // burst.
  [[nodiscard]] Expiry due(uint64_t now_seconds) const;
  // Whatever the state: has a soft limit been reached?
  [[nodiscard]] bool soft_reached(uint64_t now_seconds) const { return passed(limits_[1], now_seconds); }
  // When `due` may next change by time alone (Clock::seconds); nullopt: never. Use only makes it later.
  [[nodiscard]] std::optional<uint64_t> next_due(uint64_t now_seconds) const;

 private:
  struct Limits {
    std::atomic<uint64_t> allocations{0}, bytes{0}, add_seconds{0}, use_seconds{0};
    void set(const Lifetime& lifetime);
    [[nodiscard]] Lifetime get() const;
  };
  explicit Sa(SaSpec s);
  [[nodiscard]] bool passed(const Limits& limits, uint64_t now_seconds) const;
  [[nodiscard]] bool idle_passed(uint64_t now_seconds) const;
  std::array<Limits, 3> limits_;  // hard, soft, idle
  std::atomic<uint64_t> sequence_{0};
};

}  // namespace adit::sad
