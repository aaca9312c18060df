// From the wire to the TUN devices. One worker's own; see inbound.cpp for the steps.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "datapath/admit.h"
#include "datapath/context.h"
#include "datapath/held.h"
#include "esp/esp.h"
#include "net/coalesce.h"
#include "net/packet.h"
#include "net/reassemble.h"

namespace adit::datapath {

class Inbound {
 public:
  explicit Inbound(Context& context);

  // Carries one burst of what the wire has, all the way. Returns datagrams, trains counted once; 0: there was nothing.
  size_t carry_burst();

  // Once a round: fragments whose rest did not come.
  void expire_fragments();
  // Once a round: packets that waited for their numbers to be saved.
  void retry_held();
  [[nodiscard]] bool holds() const { return !held_.empty(); }
  [[nodiscard]] bool waits_for_fragments() const { return fragments_.waiting() != 0; }

 private:
  static constexpr uint32_t kItems = 32;

  struct About {
    const WireReceived* item = nullptr;
    sad::Sa* esp = nullptr;
    sad::Sa* ah = nullptr;
    const Link* link = nullptr;
    net::Flow flow;
    std::optional<HeldPacket> aside;  // as it came, while it may have to wait
    bool described = false;           // `flow` was read from the inner packet
    const spd::Rule* rule = nullptr;
    uint32_t spi = 0;  // as it stands in the packet
  };
  enum class Place : uint8_t {
    on_its_way,
    inside,      // an inner packet that may go to its link's TUN
    in_a_train,  // on its way there
  };

  void take(const WireReceived& item);
  void take_datagram(const WireReceived& item, uint8_t* data, uint32_t length, uint32_t tailroom);
  bool peel_udp(const WireReceived& item, uint8_t* data, uint32_t length);
  void push(const WireReceived& item, uint8_t* data, uint32_t length, uint32_t tailroom);

  void carry();
  void open_ah(uint32_t index);
  DropReason find_sa(uint32_t index, sad::SaType type, uint32_t spi_offset, sad::Sa*& found);
  void open_esp(uint32_t first);
  void open_group(sad::Sa& sa, std::span<const uint16_t> members);
  void put_aside(uint32_t index, const sad::Sa& sa, uint32_t spi_offset);
  void drop_or_hold(uint32_t index, const sad::Sa& sa);
  void push_held(HeldPacket& held);
  DropReason admit_inner(uint32_t index);
  static bool must_be_whole(const About& about);
  DropReason reassemble(uint32_t index);
  void deliver_fragments(const About& about, DropReason verdict);
  void count_losses();
  void watch_port(const sad::Sa& sa, const About& about);
  DropReason check_policy(About& about, ByteSpan inner);
  void deliver();
  DropReason write(const Link& link, std::span<const ByteSpan> pieces, const Offload& offload, uint32_t packets,
                   uint32_t bytes);
  static void count_drops(LinkCounters& counters, DropReason reason, uint32_t packets);
  void drop(uint32_t index, DropReason reason);
  void trace_train(const Link& link, std::span<const ByteSpan> pieces, DropReason reason);
  void trace(const About& about, uint32_t length, uint64_t sequence, DropReason reason);

  Context& context_;
  std::unique_ptr<uint8_t[]> memory_;  // the buffers, one behind the other
  std::array<uint8_t*, kItems> buffers_;
  std::array<WireReceived, kItems> items_;

  uint32_t count_ = 0;
  std::array<net::Packet, esp::kMaxBurst> packets_;
  std::array<About, esp::kMaxBurst> about_;
  std::array<Place, esp::kMaxBurst> place_;

  struct Remembered {  // the last verdict: a train is of one flow
    Arrival arrival;
    net::Flow flow;
    Admission admission;
    uint64_t generation = 0;
  } last_;

  Held held_;
  net::Coalescer coalescer_;
  net::Reassembler fragments_;
  std::unique_ptr<uint8_t[]> whole_;  // a reassembled packet
};

}  // namespace adit::datapath
