// What goes wrong with a tunnel that is up: its outer packets are refused by the system, or what comes from its peer
// cannot be opened. Judged each second by what the counters did, so that a sentence stands as long as it is true.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "datapath/snapshot.h"

namespace adit::engine {

// The counters of all workers that this needs.
struct TroubleFacts {
  uint64_t sent = 0, refused = 0;  // outer packets
  uint64_t sent_since = 0;         // after the last that was refused, by the workers that had one refused
  uint64_t let_in = 0;
  uint64_t bad_icv = 0, unknown_spi = 0, wrong_outer = 0;
  int error = 0;            // errno of the last send that failed
  uint16_t other_port = 0;  // of the peer, seen behind a NAT
};
TroubleFacts trouble_facts(const std::vector<std::shared_ptr<datapath::LinkCounters>>& workers);

enum class Trouble : uint8_t { none, sending, peer_key, peer_spi, peer_address, peer_port };

class LinkTrouble {
 public:
  // Once a second. What has begun since the last call, at most once a minute of each kind; none else.
  Trouble tick(const TroubleFacts& facts, MonoTime now);

  // What is wrong at this moment; errno of `sending`.
  [[nodiscard]] Trouble sending(MonoTime now) const;
  [[nodiscard]] Trouble peer(MonoTime now) const;
  [[nodiscard]] int error() const { return last_.error; }
  [[nodiscard]] uint16_t other_port() const { return last_.other_port; }

 private:
  static constexpr Seconds kFresh{10};  // without a new failure that long, nobody can say that it lasts
  static constexpr Seconds kEventEvery{60};
  static constexpr uint64_t kEnough = 3;  // packets that cannot be opened: one may be a stray

  struct Streak {  // failures of one kind, with fewer successes than failures in each second
    uint64_t failures = 0;
    MonoTime at{};
    void count(uint64_t failed, uint64_t succeeded, MonoTime now);
    [[nodiscard]] bool lasts(MonoTime now, uint64_t enough) const { return failures >= enough && now - at < kFresh; }
  };
  bool may_tell(Trouble trouble, MonoTime now);

  TroubleFacts last_;
  bool begun_ = false;
  Streak refused_, bad_icv_, unknown_spi_, wrong_outer_;
  Trouble told_sending_ = Trouble::none, told_peer_ = Trouble::none;
  std::optional<MonoTime> told_at_[6];
};

// One sentence: what, why, and what to do. `where`: the other end's address, as text.
std::string sentence_of(Trouble trouble, const LinkTrouble& about, const std::string& link, const std::string& local,
                        const std::string& remote);
std::string errno_text(int error);  // Operation not permitted (EPERM)

}  // namespace adit::engine
