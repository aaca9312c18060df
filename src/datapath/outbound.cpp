// The way of a packet out of here:
//   1. read from the TUN, a super-packet whole
//   2. describe: its headers become a flow; what is malformed, or is the tunnel's own outer packet, ends here; a
//      fragment whose first one shows the ports waits for that
//   3. decide (I1): the link's policy head and the SAD say how it leaves, if at all; without an SA it waits
//   4. prepare: checksum, TCP MSS, the outer header's marks
//   5. lay out: segments or fragments, each with its SA's room around it, or an ICMP answer when it is too big
//   6. seal: ESP, one SA's packets at a time
//   7. authenticate: AH, where the rule asks for it
//   8. send: trains over UDP, single packets otherwise
// Nothing is dropped but by drop() and finish_sealed(), which count.
#include "datapath/outbound.h"

#include <algorithm>
#include <cerrno>

#include "datapath/sa_limits.h"
#include "net/fragment.h"
#include "net/ip_header.h"
#include "net/mss.h"
#include "net/protocol.h"
#include "net/segment.h"
#include "tunnel/encap_limit.h"

namespace adit::datapath {

namespace {

constexpr uint32_t kReadsAVisit = 64;
constexpr uint32_t kReadBytes = 65536 + 64;  // the largest IP packet; gso_max_size keeps super-packets below
constexpr uint32_t kFullEnough = esp::kMaxBurst / 4;

net::IcmpError too_big(uint32_t mtu) {
  return {net::IcmpError::Kind::too_big, mtu};
}

DropReason reason_of(net::FlowError error) {
  if (error == net::FlowError::none) return DropReason::none;
  return error == net::FlowError::truncated ? DropReason::truncated : DropReason::bad_header;
}

// The wire's packet, come back: an outer packet of ours that a route led into a tunnel.
bool is_own_outer(const Snapshot& snapshot, const net::Flow& flow) {
  switch (flow.protocol) {
    case net::kProtoIpv4:
    case net::kProtoIpv6:
    case net::kProtoEsp:
    case net::kProtoAh:
      break;
    case net::kProtoUdp:
      if (flow.has_ports && (flow.source_port == net::kPortIkeNat || flow.destination_port == net::kPortIkeNat)) break;
      return false;
    default:
      return false;
  }
  return snapshot.by_outer(flow.source, flow.destination) != nullptr;
}

DropReason reason_of_send(int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      return DropReason::send_refused;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case ENODEV:
    case ENXIO:
    case ENONET:
      return DropReason::send_unreachable;
    case EINVAL:
    case EADDRNOTAVAIL:
      return DropReason::send_no_source;
    case EMSGSIZE:
      return DropReason::send_too_big;
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
      return DropReason::send_queue_full;
    case EAFNOSUPPORT:
      return DropReason::send_no_socket;
    default:
      return DropReason::send_failed;
  }
}

// Of a packet that has not been described, as far as it can be read.
void read_addresses(ByteSpan packet, net::Flow& flow) {
  net::Flow read;
  if (net::read_flow(packet, read) == net::FlowError::none) {
    flow = read;
    return;
  }
  net::IpHeader header;
  if (net::read_ip_header(packet, header, net::Extent::quoted) != DropReason::none) return;
  flow.source = net::source_of(packet, header);
  flow.destination = net::destination_of(packet, header);
  flow.protocol = header.protocol;
}

uint32_t spi_of(const Way& way) {
  const sad::Sa* const sa = way.esp != nullptr ? way.esp : way.ah;
  return sa == nullptr ? 0 : static_cast<uint32_t>(sa->spec.spi);
}

}  // namespace

struct Outbound::Item {
  tunnel::LinkId id{};
  const Link* link = nullptr;
  MutByteSpan packet;
  Offload offload;
  net::Flow flow;  // what policy sees
  net::Flow own;   // the packet's own; differs for an ICMP error
  Way way;
  tunnel::InnerMarks marks;
  bool placed = false;        // a part of it is in the burst
  bool waits = false;         // a fragment that came before its first
  uint64_t parked_under = 0;  // the rule that it waited for an SA of
};

Outbound::Outbound(Context& context, Answers& answers)
    : context_(context), answers_(answers), buffer_(std::make_unique<uint8_t[]>(kReadBytes)) {}

Outbound::Read Outbound::carry_from(tunnel::LinkId id, TunPort& tun) {
  Read read;
  while (read.packets < kReadsAVisit) {
    Offload offload;
    const ssize_t length = tun.read({buffer_.get(), kReadBytes}, offload);
    if (length < 0 && length != -EIO && length != -EINTR) read.error = static_cast<int>(length);
    if (length <= 0) break;
    ++read.packets;
    carry(id, {buffer_.get(), static_cast<size_t>(length)}, offload);
    if (burst_.count() >= kFullEnough) flush();
  }
  return read;
}

void Outbound::carry(tunnel::LinkId id, MutByteSpan packet, const Offload& offload) {
  Item item{id, link_of(id), packet, offload};
  const DropReason reason = item.link == nullptr ? DropReason::link_down : decide_and_lay_out(item);
  if (reason != DropReason::none) drop(item, reason);
  if (item.own.fragment && !item.waits) release_fragments(item);
}

DropReason Outbound::decide_and_lay_out(Item& item) {
  DropReason reason = describe(item);
  if (item.waits) return reason;
  if (reason == DropReason::none) reason = decide_way(item);
  if (reason == DropReason::no_sa) return wait_for_sa(item);
  if (reason == DropReason::none) reason = prepare(item);
  if (reason == DropReason::none) reason = lay_out(item);
  return reason;
}

// Step 2.
DropReason Outbound::describe(Item& item) {
  if (const DropReason reason = reason_of(net::read_flow(item.packet, item.own)); reason != DropReason::none)
    return reason;
  if (is_own_outer(*context_.snapshot, item.own)) {
    context_.report_rarely(LoopCaught{item.id});
    return DropReason::loop;
  }
  if (item.own.fragment) {
    if (const DropReason reason = follow_first(item); reason != DropReason::none || item.waits) return reason;
  }
  item.flow = item.own;
  if (net::read_embedded_flow(item.packet, item.own, item.flow))
    item.flow.icmp_error = true;
  else
    item.flow = item.own;
  return DropReason::none;
}

DropReason Outbound::follow_first(Item& item) {
  const spd::Head* head = item.link->head.get();
  if (head == nullptr || !head->uses_ports()) return DropReason::none;
  net::IpHeader header;
  if (net::read_ip_header(item.packet, header) != DropReason::none) return DropReason::bad_header;
  if (fragments_.complete(item.id, header, item.own, context_.now())) return DropReason::none;
  item.waits = true;
  return fragments_.keep(item.id, header, item.own, item.packet, context_.now()) ? DropReason::none
                                                                                 : DropReason::reassembly_limit;
}

// Behind a first fragment those that came before it.
void Outbound::release_fragments(const Item& first) {
  net::IpHeader header;
  if (!fragments_.waiting() || net::read_ip_header(first.packet, header) != DropReason::none) return;
  if (header.later_fragment()) return;
  fragments_.release(first.id, header, first.own, [&](MutByteSpan packet) { carry(first.id, packet, {}); });
}

// Step 3.
DropReason Outbound::decide_way(Item& item) {
  const Snapshot& snapshot = *context_.snapshot;
  if (const Way* known = flows_.find(snapshot.generation, *item.link, item.flow)) {
    item.way = *known;
    return DropReason::none;
  }
  Decision decision = decide(snapshot, *item.link, item.flow);
  if (decision.drop == DropReason::no_rule && item.flow.icmp_error) {
    item.flow = item.own;
    decision = decide(snapshot, *item.link, item.flow);
  }
  item.way = decision.way;
  if (decision.drop == DropReason::none) flows_.put(snapshot.generation, item.flow, item.way);
  return decision.drop;
}

DropReason Outbound::wait_for_sa(Item& item) {
  const Snapshot& snapshot = *context_.snapshot;
  const uint64_t deadline = context_.now_ns + uint64_t{snapshot.acquire_wait_seconds} * 1'000'000'000;
  const uint64_t rule = item.way.rule->index;
  const Parking::Answer answer =
      parking_.park(item.id, rule, item.packet, item.offload, deadline, snapshot.acquire_queue_packets);
  if (answer.ask) context_.report(AcquireNeeded{item.id, rule, item.flow});
  if (answer.kept) return DropReason::none;
  return snapshot.acquire_queue_packets == 0 ? DropReason::no_sa : DropReason::acquire_queue_full;
}

// Step 4.
DropReason Outbound::prepare(Item& item) {
  if (item.offload.kind == Offload::Kind::none) {
    const DropReason reason = net::finish_checksum(item.packet, item.offload);
    if (reason != DropReason::none) return reason;
  }
  if (item.link->clamp_mss && item.own.protocol == net::kProtoTcp) {
    const bool whole = item.offload.kind == Offload::Kind::none;
    net::clamp_mss(item.packet, item.way.largest, whole ? net::FieldState::complete : net::FieldState::partial);
  }
  return read_marks(item);
}

DropReason Outbound::read_marks(Item& item) {
  const DropReason reason = tunnel::read_marks(item.link->outer, item.packet, item.marks);
  if (reason == DropReason::encap_limit)
    answers_.send(context_, item.id, item.packet, {net::IcmpError::Kind::parameter_problem, item.marks.problem_offset});
  if (reason == DropReason::hop_limit)
    answers_.send(context_, item.id, item.packet, {net::IcmpError::Kind::time_exceeded});
  // An option that is handed on and that the link's MTU has no room for.
  if (item.marks.has_encaplimit && tunnel::outer_header_bytes(item.link->outer) == net::kIpv6HeaderBytes)
    item.way.largest = std::max(tunnel::kMinMtu, item.way.largest - tunnel::kEncapLimitBytes);
  if (item.way.ah != nullptr) {  // its ICV covers the outer header: nothing in it that others may add or cut
    item.marks.allow_fragmenting = false;
    item.marks.has_encaplimit = false;
  }
  return reason;
}

// Step 5.
DropReason Outbound::lay_out(Item& item) {
  if (item.offload.kind != Offload::Kind::none) return lay_out_segments(item);
  const auto length = static_cast<uint32_t>(item.packet.size());
  if (length > item.way.largest) return lay_out_fragments(item);
  uint8_t* const to = place(item, length);
  std::memcpy(to, item.packet.data(), length);
  return DropReason::none;
}

DropReason Outbound::lay_out_segments(Item& item) {
  net::Segmenter segmenter;
  const DropReason reason = segmenter.begin(item.packet, item.offload);
  if (reason != DropReason::none) return reason;
  if (segmenter.max_length() > item.way.largest) return refuse_too_big(item);
  item.marks.allow_fragmenting = item.way.ah == nullptr && segmenter.max_length() <= tunnel::kMinMtu;
  for (uint32_t i = 0; i < segmenter.count(); ++i) segmenter.write(i, place(item, segmenter.length(i)));
  return DropReason::none;
}

DropReason Outbound::lay_out_fragments(Item& item) {
  net::Fragmenter fragmenter;
  if (!item.own.source.is_v4() || fragmenter.begin(item.packet, item.way.largest) != DropReason::none)
    return refuse_too_big(item);
  item.marks.allow_fragmenting = item.way.ah == nullptr && item.way.largest <= tunnel::kMinMtu;
  for (uint32_t i = 0; i < fragmenter.count(); ++i) fragmenter.write(i, place(item, fragmenter.length(i)));
  return DropReason::none;
}

DropReason Outbound::refuse_too_big(Item& item) {
  answers_.send(context_, item.id, item.packet, too_big(item.way.largest));
  return DropReason::too_big;
}

uint8_t* Outbound::place(Item& item, uint32_t length) {
  if (!burst_.fits(item.way, length)) flush();
  OutBurst::About about{item.way, item.marks, length, !item.placed, {}};
  if (context_.tracing) about.flow = item.own;
  item.placed = true;
  return burst_.place(about, item.own.source.is_v4() ? net::kProtoIpv4 : net::kProtoIpv6);
}

void Outbound::flush() {
  if (burst_.empty()) return;
  seal();
  authenticate();
  send();
  burst_.clear();
}

namespace {

// The end of the run of packets that begins at `first` and that `sa` shall carry.
template <typename SaOf>
uint32_t run_end(const OutBurst& burst, uint32_t first, const SaOf& sa_of) {
  uint32_t end = first + 1;
  while (end < burst.count() && sa_of(end) == sa_of(first)) ++end;
  return end;
}

void refuse(std::span<net::Packet> packets, DropReason reason) {
  for (net::Packet& packet : packets) packet.drop = reason;
}

bool exhausted(std::span<const net::Packet> packets) {
  return packets.back().drop == DropReason::sequence_exhausted;
}

}  // namespace

// Step 6.
void Outbound::seal() {
  const auto sa_of = [this](uint32_t i) { return burst_.about(i).way.esp; };
  for (uint32_t first = 0, end = 0; first < burst_.count(); first = end) {
    end = run_end(burst_, first, sa_of);
    sad::Sa* const sa = sa_of(first);
    if (sa == nullptr) continue;
    const auto run = burst_.packets().subspan(first, end - first);
    if (const DropReason reason = check_limits(context_, *sa); reason != DropReason::none) {
      refuse(run, reason);
      continue;
    }
    esp::seal(context_.engine, *sa, run);
    if (exhausted(run)) stop_exhausted(context_, *sa);
    ask_for_numbers(context_, *sa);
  }
}

// Step 7. AH covers the outer header, so that is built, and taken off again for the kernel to build it anew, equal.
void Outbound::authenticate() {
  const auto sa_of = [this](uint32_t i) { return burst_.about(i).way.ah; };
  for (uint32_t first = 0, end = 0; first < burst_.count(); first = end) {
    end = run_end(burst_, first, sa_of);
    sad::Sa* const sa = sa_of(first);
    if (sa == nullptr) continue;
    const DropReason limit = check_limits(context_, *sa);
    for (uint32_t i = first; i < end; ++i) {
      net::Packet& packet = burst_.packets()[i];
      if (packet.drop == DropReason::none) packet.drop = limit;
      if (packet.drop != DropReason::none) continue;
      const OutBurst::About& about = burst_.about(i);
      tunnel::encapsulate(about.way.link->outer, about.marks, 0, packet);
      esp::ah_seal(context_.engine, *sa, {&packet, 1});
      if (packet.drop == DropReason::none)
        packet.trim_front(about.way.link->outer.local.is_v4() ? net::kIpv4HeaderBytes : net::kIpv6HeaderBytes);
      if (packet.drop == DropReason::sequence_exhausted) stop_exhausted(context_, *sa);
      ask_for_numbers(context_, *sa);
    }
  }
}

// Step 8.
void Outbound::send() {
  const auto sends = burst_.gather();
  const auto results = burst_.results().first(sends.size());
  if (!sends.empty()) context_.wire.send(sends, results);
  bool failed = false;
  for (uint32_t s = 0; s < sends.size(); ++s) {
    const int error = -results[s].error;
    if (error == 0) continue;
    failed = true;
    const auto [first, count] = burst_.range(s);
    const uint32_t left = std::min(results[s].left, count);
    refuse(burst_.packets().subspan(first + left, count - left), reason_of_send(error));
    if (error == EMSGSIZE) report_path_mtu(*burst_.about(first).way.link);
  }
  const auto same_way = [this](uint32_t i) { return burst_.about(i).way; };
  for (uint32_t first = 0, end = 0; first < burst_.count(); first = end) {
    end = run_end(burst_, first, same_way);
    finish_sealed(first, end);
  }
  if (failed) note_failures(results);
}

size_t Outbound::carry_ike() {
  return context_.ike.carry(context_.wire, [this](int error, DropReason reason) {
    context_.unlinked.oerrors.add();
    context_.unlinked.drops_out[static_cast<size_t>(error == 0 ? reason : reason_of_send(error))].add();
  });
}

// For the link's state, after its packets of this burst were counted.
void Outbound::note_failures(std::span<const WireResult> results) {
  for (uint32_t s = 0; s < results.size(); ++s) {
    if (results[s].error == 0) continue;
    LinkCounters& counters = context_.counters(burst_.about(burst_.range(s).first).way.link);
    counters.send_error.store(-results[s].error, std::memory_order_relaxed);
    counters.sent_before_error.store(counters.opackets.get(), std::memory_order_relaxed);
  }
}

// What became of the packets of one way.
void Outbound::finish_sealed(uint32_t first, uint32_t end) {
  const Way& way = burst_.about(first).way;
  LinkCounters& counters = context_.counters(way.link);
  uint64_t packets = 0, bytes = 0;
  for (uint32_t i = first; i < end; ++i) {
    const net::Packet& packet = burst_.packets()[i];
    const OutBurst::About& about = burst_.about(i);
    if (packet.drop == DropReason::none) {
      ++packets;
      bytes += about.inner_bytes;
    } else {
      counters.oerrors.add();
      counters.drops_out[static_cast<size_t>(packet.drop)].add();
    }
    if (context_.tracing && (about.first || packet.drop != DropReason::none)) trace(about, packet);
  }
  counters.opackets.add(packets);
  counters.obytes.add(bytes);
  for (sad::Sa* sa : {way.esp, way.ah})
    if (sa != nullptr && packets != 0) sa->used(bytes, packets, context_.seconds);
}

void Outbound::report_path_mtu(const Link& link) {
  const uint32_t path_mtu = context_.wire.path_mtu(link.outer.local, link.outer.remote);
  if (path_mtu == 0 || path_mtu >= link.path_mtu) return;
  // Told once by each snapshot: the next one shows what the engine made of it.
  const uint64_t generation = context_.snapshot->generation;
  if (reported_generation_ == generation && reported_.link == link.id && reported_.path_mtu == path_mtu) return;
  reported_generation_ = generation;
  reported_ = {link.id, path_mtu};
  context_.report(reported_);
}

void Outbound::drop(const Item& item, DropReason reason) {
  LinkCounters& counters = context_.counters(item.link);
  counters.oerrors.add();
  counters.drops_out[static_cast<size_t>(reason)].add();
  if (!context_.tracing) return;
  TraceRecord record;
  record.when_ns = context_.now_ns;
  record.link = item.id;
  record.outbound = true;
  record.length = static_cast<uint32_t>(item.packet.size());
  record.flow = item.own;
  if (item.own.source.is_unspecified()) read_addresses(item.packet, record.flow);
  record.rule_index = item.way.rule == nullptr ? item.parked_under : item.way.rule->index;
  record.spi = spi_of(item.way);
  record.drop = reason;
  context_.shared.trace.put(record);
}

void Outbound::trace(const OutBurst::About& about, const net::Packet& packet) {
  const Way& way = about.way;
  TraceRecord record;
  record.when_ns = context_.now_ns;
  record.link = way.link->id;
  record.outbound = true;
  record.flow = about.flow;
  record.length = about.inner_bytes;
  record.rule_index = way.rule == nullptr ? 0 : way.rule->index;
  record.spi = spi_of(way);
  record.sequence = packet.sequence;
  record.drop = packet.drop;
  context_.shared.trace.put(record);
}

void Outbound::retry_parked() {
  if (parking_.empty()) return;
  for (Parking::Queue& queue : parking_.take_all())
    for (Parking::Parked& packet : queue.packets) carry(queue.link, packet.bytes, packet.offload);
  parking_.forget_empty();
  flush();
}

void Outbound::expire_parked() {
  if (parking_.empty()) return;
  for (Parking::Queue& queue : parking_.take_expired(context_.now_ns)) {
    for (Parking::Parked& packet : queue.packets) {
      Item item{queue.link, link_of(queue.link), packet.bytes, packet.offload};
      item.parked_under = queue.rule_index;
      drop(item, DropReason::acquire_timeout);
    }
  }
}

void Outbound::expire_fragments() {
  fragments_.expire(context_.now(), [&](tunnel::LinkId id, MutByteSpan packet) {
    drop(Item{id, link_of(id), packet, {}}, DropReason::reassembly_timeout);
  });
}

const Link* Outbound::link_of(tunnel::LinkId id) const {
  return context_.snapshot == nullptr ? nullptr : context_.snapshot->by_id(id);
}

}  // namespace adit::datapath
