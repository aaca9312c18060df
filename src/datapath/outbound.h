// From the TUN devices to the wire. One worker's own; see outbound.cpp for the steps.
#pragma once

#include <memory>
#include <optional>

#include "datapath/answers.h"
#include "datapath/context.h"
#include "datapath/decide.h"
#include "datapath/flow_cache.h"
#include "datapath/fragment_memo.h"
#include "datapath/out_burst.h"
#include "datapath/parking.h"
#include "net/flow.h"

namespace adit::datapath {

class Outbound {
 public:
  Outbound(Context& context, Answers& answers);

  struct Read {
    size_t packets = 0;  // super-packets count once
    int error = 0;       // -errno: the device is gone
  };
  // Carries what the device has, up to a bound that keeps rounds short. What was carried may wait for flush().
  Read carry_from(tunnel::LinkId id, TunPort& tun);
  void flush();
  // Sends what in.iked asks for, some of it; returns how many messages it took.
  size_t carry_ike();

  // After a new snapshot: parked packets try again. Each round: those whose wait is over go.
  void retry_parked();
  void expire_parked();
  void expire_fragments();
  [[nodiscard]] bool waits_for_fragments() const { return fragments_.waiting(); }
  [[nodiscard]] std::optional<uint64_t> next_deadline_ns() const { return parking_.next_deadline_ns(); }

 private:
  struct Item;  // one packet, or super-packet, as it was read
  void carry(tunnel::LinkId id, MutByteSpan packet, const Offload& offload);
  DropReason decide_and_lay_out(Item& item);
  DropReason describe(Item& item);
  DropReason follow_first(Item& item);
  void release_fragments(const Item& first);
  DropReason decide_way(Item& item);
  DropReason wait_for_sa(Item& item);
  DropReason prepare(Item& item);
  DropReason read_marks(Item& item);
  DropReason lay_out(Item& item);
  DropReason lay_out_segments(Item& item);
  DropReason lay_out_fragments(Item& item);
  DropReason refuse_too_big(Item& item);
  uint8_t* place(Item& item, uint32_t length);

  void seal();
  void authenticate();
  void send();
  void finish_sealed(uint32_t first, uint32_t end);
  void note_failures(std::span<const WireResult> results);
  [[nodiscard]] const Link* link_of(tunnel::LinkId id) const;
  void report_path_mtu(const Link& link);
  void drop(const Item& item, DropReason reason);
  void trace(const OutBurst::About& about, const net::Packet& packet);

  Context& context_;
  Answers& answers_;
  FlowCache flows_;
  FragmentMemo fragments_;
  Parking parking_;
  OutBurst burst_;
  std::unique_ptr<uint8_t[]> buffer_;
  PathMtuChanged reported_;
  uint64_t reported_generation_ = 0;
};

}  // namespace adit::datapath
