// The way of a packet in here:
//   1. take: a burst from the wire, trains cut into datagrams, IKE and keepalives told from ESP
//   2. AH, where there is one: SA, verify, strip
//   3. ESP: SA by SPI and destination, its outer addresses; open, one SA's packets at a time
//   4. admit (I6): the link by its outer addresses, then may this inner packet come in, so protected, by SA and policy?
//   5. deliver: coalesced to super-packets, one write each
// Nothing is dropped but by drop(), write(), and what deals with fragments, which count each packet once.
#include "datapath/inbound.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "datapath/sa_limits.h"
#include "esp/udp_encap.h"
#include "net/ip_header.h"
#include "net/mss.h"
#include "net/protocol.h"
#include "tunnel/link.h"

namespace adit::datapath {

namespace {

constexpr uint32_t kWholeBytes = 65536 + 64;
constexpr uint32_t kEspHeaderBytes = 8;  // SPI, sequence number
constexpr uint32_t kAhSpiOffset = 4, kAhFixedBytes = 12;

// An inner packet's bytes by its own header, of the family that the next header announced; what lies behind is TFC
// padding.
DropReason cut_padding(net::Packet& packet) {
  const bool v4 = packet.protocol == net::kProtoIpv4;
  if (!v4 && packet.protocol != net::kProtoIpv6) return DropReason::nested_protocol;
  if (packet.length < (v4 ? net::kIpv4HeaderBytes : net::kIpv6HeaderBytes)) return DropReason::truncated;
  if (packet.data[0] >> 4 != (v4 ? 4 : 6)) return DropReason::bad_header;
  const uint32_t total = v4 ? load_be16(packet.data + 2) : net::kIpv6HeaderBytes + load_be16(packet.data + 4);
  if (total > packet.length) return DropReason::truncated;
  packet.trim_back(packet.length - total);
  return DropReason::none;
}

uint8_t protocol_of(WireKind kind) {
  switch (kind) {
    case WireKind::ipip:
      return net::kProtoIpv4;
    case WireKind::ipv6_in:
      return net::kProtoIpv6;
    case WireKind::ah:
      return net::kProtoAh;
    case WireKind::esp:
    case WireKind::udp:
      break;
  }
  return net::kProtoEsp;
}

// The kernel took the outer IPv6 header off; AH covers it (RFC 4302 §3.3.3.1.2: the fields that are left out are zero).
void rebuild_ipv6_header(const WireReceived& item, net::Packet& packet) {
  const uint32_t payload = packet.length;
  packet.prepend(net::kIpv6HeaderBytes);
  std::memset(packet.data, 0, net::kIpv6HeaderBytes);
  packet.data[0] = 0x60;
  store_be16(packet.data + 4, static_cast<uint16_t>(payload));
  packet.data[6] = net::kProtoAh;
  std::memcpy(packet.data + 8, item.source.bytes().data(), 16);
  std::memcpy(packet.data + 24, item.destination.bytes().data(), 16);
}

DropReason reason_of_write(int error) {
  switch (-error) {
    case EAGAIN:
    case ENOBUFS:
      return DropReason::tun_backlog;
    case EINVAL:
    case EMSGSIZE:
    case ENOMEM:
      return DropReason::device_refused;
    default:
      return DropReason::link_down;
  }
}

bool is_of_outer(const sad::Sa& sa, const WireReceived& item) {
  if (sa.spec.source.is_unspecified() || sa.spec.source == item.source) return true;
  return item.kind == WireKind::udp && sa.spec.nat.has_value() && sa.spec.nat->remote == item.source;
}

}  // namespace

Inbound::Inbound(Context& context)
    : context_(context),
      memory_(std::make_unique<uint8_t[]>(size_t{kItems} * kBufferBytes)),
      whole_(std::make_unique<uint8_t[]>(kWholeBytes)) {
  for (uint32_t i = 0; i < kItems; ++i) buffers_[i] = memory_.get() + size_t{i} * kBufferBytes;
}

size_t Inbound::carry_burst() {
  const size_t received = context_.wire.receive(buffers_, items_);
  for (size_t i = 0; i < received; ++i) take(items_[i]);
  carry();
  return received;
}

// Step 1.
void Inbound::take(const WireReceived& item) {
  const uint32_t step = item.segment_bytes == 0 ? item.length : item.segment_bytes;
  const uint32_t datagrams = step == 0 ? 1 : (item.length + step - 1) / step;
  if (count_ + datagrams > packets_.size()) carry();  // so that a train is coalesced whole where that can be
  for (uint32_t at = 0, i = 0; i < datagrams; ++i, at += step) {
    const uint32_t length = std::min(step, item.length - at);
    // Behind the last datagram there is room; behind the others there is the next one.
    take_datagram(item, item.data + at, length, at + length == item.length ? net::kTailroom : 0);
  }
}

void Inbound::take_datagram(const WireReceived& item, uint8_t* data, uint32_t length, uint32_t tailroom) {
  if (item.kind == WireKind::udp && peel_udp(item, data, length)) return;
  if (count_ == packets_.size()) carry();
  push(item, data, length, tailroom);
}

// True: it was no ESP, and is done with.
bool Inbound::peel_udp(const WireReceived& item, uint8_t* data, uint32_t length) {
  DropReason reason = DropReason::truncated;
  switch (esp::classify({data, length})) {
    case esp::UdpPayload::esp:
      return false;
    case esp::UdpPayload::ike:
      reason = context_.ike.give(
          {item.destination, item.source, item.source_port, ByteSpan{data, length}.subspan(esp::kNonEspMarkerBytes)},
          context_.now());
      if (reason == DropReason::none) return true;
      break;
    case esp::UdpPayload::keepalive:
      return true;
    case esp::UdpPayload::malformed:
      break;
  }
  count_drops(context_.unlinked, reason, 1);
  if (context_.tracing) trace(About{&item}, length, 0, reason);
  return true;
}

void Inbound::push(const WireReceived& item, uint8_t* data, uint32_t length, uint32_t tailroom) {
  const bool first = data == item.data;
  packets_[count_] = {data, length, first ? net::kHeadroom : 0, tailroom, protocol_of(item.kind)};
  about_[count_] = {&item};
  place_[count_] = Place::on_its_way;
  ++count_;
}

void Inbound::count_drops(LinkCounters& counters, DropReason reason, uint32_t packets) {
  counters.ierrors.add(packets);
  counters.drops_in[static_cast<size_t>(reason)].add(packets);
}

// Steps 2 to 5 for what was taken.
void Inbound::carry() {
  if (count_ == 0) return;
  if (context_.snapshot == nullptr) {
    for (uint32_t i = 0; i < count_; ++i) drop(i, DropReason::no_tunnel);
    count_ = 0;
    return;
  }
  for (uint32_t i = 0; i < count_; ++i) {
    const WireReceived& item = *about_[i].item;
    about_[i].link = context_.snapshot->by_outer(item.destination, item.source);
    if (packets_[i].protocol == net::kProtoAh) open_ah(i);
  }
  for (uint32_t i = 0; i < count_; ++i) {
    if (packets_[i].drop != DropReason::none || packets_[i].protocol != net::kProtoEsp) continue;
    const DropReason reason = find_sa(i, sad::SaType::esp, 0, about_[i].esp);
    if (reason != DropReason::none) drop(i, reason);
  }
  for (uint32_t i = 0; i < count_; ++i)
    if (packets_[i].drop == DropReason::none && packets_[i].protocol == net::kProtoEsp) open_esp(i);
  for (uint32_t i = 0; i < count_; ++i) {
    if (packets_[i].drop != DropReason::none) continue;
    const DropReason reason = admit_inner(i);
    if (reason != DropReason::none) drop(i, reason);
  }
  deliver();
  count_ = 0;
}

// Step 2. Afterwards the packet is what AH protected: ESP, or the inner packet.
void Inbound::open_ah(uint32_t index) {
  net::Packet& packet = packets_[index];
  const WireReceived& item = *about_[index].item;
  DropReason reason = packet.length < kAhFixedBytes ? DropReason::truncated
                                                    : find_sa(index, sad::SaType::ah, kAhSpiOffset, about_[index].ah);
  if (reason == DropReason::none) reason = check_limits(context_, *about_[index].ah);
  if (reason != DropReason::none) return drop(index, reason);
  put_aside(index, *about_[index].ah, kAhSpiOffset);

  if (item.outer_header != nullptr)
    packet.prepend(item.outer_header_bytes);
  else if (item.source.is_v4())
    return drop(index, DropReason::bad_header);
  else
    rebuild_ipv6_header(item, packet);
  esp::ah_open(context_.engine, *about_[index].ah, {&packet, 1});
  ask_for_numbers(context_, *about_[index].ah);
  if (packet.drop != DropReason::none) return drop_or_hold(index, *about_[index].ah);

  net::IpHeader header;
  reason = net::read_ip_header(packet.bytes(), header, net::Extent::whole, net::Authentication::stop);
  if (reason != DropReason::none) return drop(index, reason);
  packet.trim_front(header.payload_offset);
  packet.protocol = header.protocol;
}

// unknown_spi, sa_not_valid, wrong_outer, truncated; none.
DropReason Inbound::find_sa(uint32_t index, sad::SaType type, uint32_t spi_offset, sad::Sa*& found) {
  const net::Packet& packet = packets_[index];
  const WireReceived& item = *about_[index].item;
  if (packet.length < spi_offset + kEspHeaderBytes) return DropReason::truncated;
  const sad::Spi spi{load_be32(packet.data + spi_offset)};
  about_[index].spi = static_cast<uint32_t>(spi);
  // A train is of one SA.
  if (index > 0 && type == sad::SaType::esp && about_[index - 1].item == &item) {
    sad::Sa* const before = about_[index - 1].esp;
    if (before != nullptr && before->spec.spi == spi) {
      found = before;
      return DropReason::none;
    }
  }
  sad::Sa* const sa =
      context_.snapshot->sas == nullptr ? nullptr : context_.snapshot->sas->find(spi, type, item.destination);
  if (sa == nullptr) return DropReason::unknown_spi;
  if (!receives(*sa)) return DropReason::sa_not_valid;
  if (!is_of_outer(*sa, item)) {  // told to whoever has this SA, not to nobody
    if (about_[index].link == nullptr)
      about_[index].link = context_.snapshot->by_outer(sa->spec.destination, sa->spec.source);
    return DropReason::wrong_outer;
  }
  found = sa;
  return DropReason::none;
}

// Step 3, for all packets of the SA that the packet `first` came under.
void Inbound::open_esp(uint32_t first) {
  sad::Sa& sa = *about_[first].esp;
  std::array<uint16_t, esp::kMaxBurst> members;
  size_t count = 0;
  for (uint32_t i = first; i < count_; ++i)
    if (about_[i].esp == &sa && packets_[i].drop == DropReason::none && packets_[i].protocol == net::kProtoEsp)
      members[count++] = static_cast<uint16_t>(i);
  open_group(sa, {members.data(), count});
}

void Inbound::open_group(sad::Sa& sa, std::span<const uint16_t> members) {
  if (const DropReason reason = check_limits(context_, sa); reason != DropReason::none) {
    for (const uint16_t i : members) drop(i, reason);
    return;
  }
  for (const uint16_t i : members) put_aside(i, sa, 0);
  std::array<net::Packet, esp::kMaxBurst> group;
  for (size_t m = 0; m < members.size(); ++m) group[m] = packets_[members[m]];
  esp::open(context_.engine, sa, {group.data(), members.size()});
  ask_for_numbers(context_, sa);
  uint64_t bytes = 0, packets = 0;
  for (size_t m = 0; m < members.size(); ++m) {
    packets_[members[m]] = group[m];
    if (group[m].drop != DropReason::none) {
      drop_or_hold(members[m], sa);
      continue;
    }
    ++packets;
    bytes += group[m].length;
    // ESP in ESP is none of ours, and must not be taken for what came from the wire.
    if (group[m].protocol == net::kProtoEsp) drop(members[m], DropReason::nested_protocol);
  }
  if (packets == 0) return;
  sa.used(bytes, packets, context_.seconds);
  watch_port(sa, about_[members.back()]);
}

// A NAT that has given the peer another port: answers go to the port that the SA names, and are lost there.
void Inbound::watch_port(const sad::Sa& sa, const About& about) {
  if (about.item->kind != WireKind::udp || !sa.spec.nat.has_value() || about.link == nullptr) return;
  const uint16_t port = about.item->source_port == sa.spec.nat->remote_port ? 0 : about.item->source_port;
  std::atomic<uint16_t>& told = context_.counters(about.link).other_port;
  if (told.load(std::memory_order_relaxed) != port) told.store(port, std::memory_order_relaxed);
}

// Opening is done in place: what may have to wait is kept as it came. (Not behind AH, which would not open twice.)
void Inbound::put_aside(uint32_t index, const sad::Sa& sa, uint32_t spi_offset) {
  const net::Packet& packet = packets_[index];
  About& about = about_[index];
  about.aside.reset();
  if (sa.spec.type == sad::SaType::esp && about.ah != nullptr) return;
  if (!Held::may_wait(sa, load_be32(packet.data + spi_offset + 4))) return;
  about.aside = Held::copy(*about.item, packet.data, packet.length);
}

void Inbound::drop_or_hold(uint32_t index, const sad::Sa& sa) {
  About& about = about_[index];
  if (packets_[index].drop != DropReason::sequence_unsaved || !about.aside) return drop(index, packets_[index].drop);
  about.aside->spi = sa.spec.spi;
  about.aside->type = sa.spec.type;
  about.aside->sequence = packets_[index].sequence;
  about.aside->deadline_ns = context_.now_ns + Held::kWaitNs;
  if (!held_.put(std::move(*about.aside))) drop(index, DropReason::sequence_unsaved);
  about.aside.reset();
}

void Inbound::push_held(HeldPacket& held) {
  if (count_ == packets_.size()) carry();
  push(held.item, held.item.data, held.item.length, net::kTailroom);
}

void Inbound::retry_held() {
  if (held_.empty()) return;
  auto ready = held_.take_ready(context_.snapshot == nullptr ? nullptr : context_.snapshot->sas.get());
  for (HeldPacket& packet : ready) push_held(packet);
  carry();
  auto late = held_.take_late(context_.now_ns);
  for (HeldPacket& packet : late) {
    push(packet.item, packet.item.data, packet.item.length, net::kTailroom);
    if (context_.snapshot != nullptr)
      about_[0].link = context_.snapshot->by_outer(packet.item.destination, packet.item.source);
    drop(0, DropReason::sequence_unsaved);
    count_ = 0;
  }
}

// Step 4.
DropReason Inbound::admit_inner(uint32_t index) {
  net::Packet& packet = packets_[index];
  About& about = about_[index];
  if (about.link == nullptr) return DropReason::no_tunnel;
  if (const DropReason reason = cut_padding(packet); reason != DropReason::none) return reason;
  switch (net::read_flow(packet.bytes(), about.flow)) {
    case net::FlowError::none:
      about.described = true;
      break;
    case net::FlowError::truncated:
      return DropReason::truncated;
    default:
      return DropReason::bad_header;
  }
  if (is_martian(*about.link, about.flow.source)) return DropReason::martian;
  DropReason reason = tunnel::fold_ecn(about.item->traffic_class, packet.mutable_bytes());
  if (reason != DropReason::none) return reason;
  if (about.flow.fragment && must_be_whole(about)) return reassemble(index);
  reason = check_policy(about, packet.bytes());
  if (reason != DropReason::none) return reason;
  if (about.ah != nullptr) about.ah->used(packet.length, 1, context_.seconds);
  if (about.link->clamp_mss && about.flow.protocol == net::kProtoTcp)
    net::clamp_mss(packet.mutable_bytes(), about.link->mtu, net::FieldState::complete);
  place_[index] = Place::inside;
  return DropReason::none;
}

DropReason Inbound::check_policy(About& about, ByteSpan inner) {
  const Arrival arrival{about.link, about.esp, about.ah};
  if (last_.generation == context_.snapshot->generation && last_.arrival == arrival && last_.flow == about.flow) {
    about.rule = last_.admission.rule;
    return last_.admission.drop;
  }
  net::Flow embedded;
  const bool is_error = net::read_embedded_flow(inner, about.flow, embedded);
  if (is_error) embedded.icmp_error = true;
  const net::Flow& subject = is_error ? embedded : about.flow;
  Admission admission{admit_arrival(arrival, about.flow, subject)};
  if (admission.drop == DropReason::none) admission = admit(arrival, about.flow, subject);
  about.rule = admission.rule;
  // An ICMP error's verdict hangs on more than its own flow.
  if (!is_error) last_ = {arrival, about.flow, admission, context_.snapshot->generation};
  return admission.drop;
}

// Ports or ICMP types decide about it, and it does not show them itself.
bool Inbound::must_be_whole(const About& about) {
  const auto names_ports = [](const sad::Sa* sa) {
    return sa != nullptr && sa->spec.inner.has_value() &&
           (sa->spec.inner->source_port != 0 || sa->spec.inner->destination_port != 0);
  };
  if (about.esp == nullptr && about.ah == nullptr) return false;  // in the clear no fragment comes in
  return (about.link->head != nullptr && about.link->head->uses_ports()) || names_ports(about.esp) ||
         names_ports(about.ah);
}

// Such a fragment waits until all of its packet is there (policy.md §3.2); the packet is judged whole, and then the
// fragments go on as they came: joined they might be larger than the way behind takes (RFC 8200 §5, RFC 4301 §7).
DropReason Inbound::reassemble(uint32_t index) {
  About& about = about_[index];
  const net::Packet& packet = packets_[index];
  net::IpHeader header;
  if (const DropReason reason = net::read_ip_header(packet.bytes(), header); reason != DropReason::none) return reason;
  const uint64_t scope = uint64_t{static_cast<uint32_t>(about.link->id)} << 32 |
                         static_cast<uint32_t>((about.esp != nullptr ? about.esp : about.ah)->spec.spi);
  uint32_t length = 0;
  DropReason reason =
      fragments_.add(scope, packet.bytes(), header, context_.now(), {whole_.get(), kWholeBytes}, length);
  count_losses();
  if (reason != DropReason::none || length == 0) return reason;
  const ByteSpan whole{whole_.get(), length};
  reason =
      net::read_flow(whole, about.flow) == net::FlowError::none ? check_policy(about, whole) : DropReason::bad_header;
  deliver_fragments(about, reason);
  return DropReason::none;
}

void Inbound::deliver_fragments(const About& about, DropReason verdict) {
  for (const ByteSpan piece : fragments_.pieces()) {
    const auto bytes = static_cast<uint32_t>(piece.size());
    DropReason reason = verdict;
    if (reason == DropReason::none)
      reason = write(*about.link, {&piece, 1}, {}, 1, bytes);
    else
      count_drops(context_.counters(about.link), reason, 1);
    if (reason == DropReason::none && about.ah != nullptr) about.ah->used(bytes, 1, context_.seconds);
    if (context_.tracing) trace(about, bytes, 0, reason);
  }
}

// Fragments that were kept and will not go on.
void Inbound::count_losses() {
  for (const net::Reassembler::Loss& loss : fragments_.take_losses()) {
    About about;
    const tunnel::LinkId id{static_cast<uint32_t>(loss.scope >> 32)};
    about.link = context_.snapshot == nullptr ? nullptr : context_.snapshot->by_id(id);
    count_drops(context_.counters(about.link), loss.reason, loss.fragments);
    if (!context_.tracing) continue;
    about.spi = static_cast<uint32_t>(loss.scope);
    about.flow.source = loss.source;
    about.flow.destination = loss.destination;
    about.described = true;
    for (uint32_t i = 0; i < loss.fragments; ++i) trace(about, 0, 0, loss.reason);
  }
}

void Inbound::expire_fragments() {
  if (fragments_.waiting() == 0) return;
  fragments_.expire(context_.now());
  count_losses();
}

// Step 5. One link at a time, in the order in which they first appear.
void Inbound::deliver() {
  for (uint32_t first = 0; first < count_; ++first) {
    if (place_[first] != Place::inside) continue;
    const Link& link = *about_[first].link;
    for (uint32_t i = first; i < count_; ++i) {
      if (place_[i] != Place::inside || about_[i].link != &link) continue;
      place_[i] = Place::in_a_train;
      coalescer_.add(packets_[i].mutable_bytes());
    }
    for (uint32_t t = 0; t < coalescer_.trains(); ++t) {
      const net::Train train = coalescer_.train(t);
      // As many bytes as the packets had: each but the first gave its header up.
      const DropReason reason = write(link, train.pieces, train.offload, train.packets,
                                      train.bytes + (train.packets - 1) * train.offload.header_length);
      if (context_.tracing) trace_train(link, train.pieces, reason);
    }
    coalescer_.clear();
  }
}

// What became of those. Counted.
DropReason Inbound::write(const Link& link, std::span<const ByteSpan> pieces, const Offload& offload, uint32_t packets,
                          uint32_t bytes) {
  LinkCounters& counters = context_.counters(&link);
  TunPort* const tun = context_.tun(link.id);
  const int error = tun == nullptr ? -EIO : tun->write(pieces, offload);
  if (error == 0) {
    counters.ipackets.add(packets);
    counters.rbytes.add(bytes);
    return DropReason::none;
  }
  const DropReason reason = reason_of_write(error);
  count_drops(counters, reason, packets);
  if (reason == DropReason::link_down && error != -EIO) context_.report_rarely(LinkIoFailed{link.id, error});
  return reason;
}

void Inbound::drop(uint32_t index, DropReason reason) {
  packets_[index].drop = reason;
  count_drops(context_.counters(about_[index].link), reason, 1);
  if (context_.tracing) trace(about_[index], packets_[index].length, packets_[index].sequence, reason);
}

// A train holds pieces of its packets' own memory.
void Inbound::trace_train(const Link& link, std::span<const ByteSpan> pieces, DropReason reason) {
  for (uint32_t i = 0; i < count_; ++i) {
    if (place_[i] != Place::in_a_train || about_[i].link != &link) continue;
    const net::Packet& packet = packets_[i];
    const bool inside = std::ranges::any_of(pieces, [&](ByteSpan piece) {
      return piece.data() >= packet.data && piece.data() < packet.data + packet.length;
    });
    if (inside) trace(about_[i], packet.length, packet.sequence, reason);
  }
}

void Inbound::trace(const About& about, uint32_t length, uint64_t sequence, DropReason reason) {
  TraceRecord record;
  record.when_ns = context_.now_ns;
  if (about.link != nullptr) record.link = about.link->id;
  record.length = length;
  record.flow = about.flow;
  if (!about.described && about.item != nullptr) {
    record.outer = true;
    record.flow = {};
    record.flow.source = about.item->source;
    record.flow.destination = about.item->destination;
    record.flow.protocol = about.item->kind == WireKind::udp ? net::kProtoUdp : protocol_of(about.item->kind);
    record.flow.has_ports = about.item->kind == WireKind::udp;
    record.flow.source_port = about.item->source_port;
    record.flow.destination_port = net::kPortIkeNat;
  }
  if (about.rule != nullptr) record.rule_index = about.rule->index;
  const sad::Sa* const sa = about.esp != nullptr ? about.esp : about.ah;
  record.spi = sa == nullptr ? about.spi : static_cast<uint32_t>(sa->spec.spi);
  record.sequence = sequence;
  record.drop = reason;
  context_.shared.trace.put(record);
}

}  // namespace adit::datapath
