// A burst on its way out: packets laid one behind the other in an arena, each with exactly the room that its SA adds,
// so that sealed packets of one SA lie without gaps and a run of equal ones is one UDP GSO send. No copy after the
// segmentation.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "datapath/decide.h"
#include "esp/esp.h"
#include "net/packet.h"
#include "ports/ports.h"
#include "tunnel/link.h"

namespace adit::datapath {

class OutBurst {
 public:
  struct About {
    Way way;
    tunnel::InnerMarks marks;
    uint32_t inner_bytes = 0;
    bool first = false;  // of what was one packet when it was read: traced once
    net::Flow flow;      // set only while tracing
  };
  struct Range {  // the packets that one send carries
    uint32_t first = 0, count = 0;
  };

  OutBurst();

  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] uint32_t count() const { return count_; }
  [[nodiscard]] bool fits(const Way& way, uint32_t inner_bytes) const;
  // Room for one inner packet, to be written at the pointer returned. REQUIRES: fits().
  uint8_t* place(const About& about, uint8_t protocol);

  [[nodiscard]] std::span<net::Packet> packets() { return {packets_.data(), count_}; }
  [[nodiscard]] const About& about(uint32_t index) const { return about_[index]; }

  // Every packet whose drop is none, in as few sends as can be; range(i) says which of them sends()[i] carries.
  std::span<const WireSend> gather();
  [[nodiscard]] Range range(uint32_t send) const { return ranges_[send]; }
  [[nodiscard]] std::span<WireResult> results() { return results_; }

  void clear();

 private:
  static constexpr uint32_t kArenaBytes = 512 * 1024;

  [[nodiscard]] bool joins(const WireSend& train, const Range& range, uint32_t next) const;
  [[nodiscard]] WireSend begin_send(uint32_t index) const;

  std::unique_ptr<uint8_t[]> arena_;
  uint32_t used_ = 0;
  uint32_t count_ = 0;
  std::array<net::Packet, esp::kMaxBurst> packets_;
  std::array<About, esp::kMaxBurst> about_;
  std::array<WireSend, esp::kMaxBurst> sends_;
  std::array<Range, esp::kMaxBurst> ranges_;
  std::array<WireResult, esp::kMaxBurst> results_;
};

}  // namespace adit::datapath
