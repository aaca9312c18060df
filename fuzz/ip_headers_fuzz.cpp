// Every parser that meets an IP packet from outside: flow, the packet in an ICMP error, marks, decapsulation, ECN, MSS,
// ICMP answers, fragmentation. Besides not crashing: what one says must agree with what another says.
#include <cstdlib>
#include <cstring>
#include <vector>

#include "net/checksum.h"
#include "net/flow.h"
#include "net/fragment.h"
#include "net/icmp.h"
#include "net/ip_header.h"
#include "net/mss.h"
#include "net/packet.h"
#include "tunnel/icmp_translate.h"
#include "tunnel/link.h"

namespace {
using namespace adit;

void check(bool holds) {
  if (!holds) std::abort();
}

void flows(ByteSpan packet) {
  net::Flow flow, embedded;
  if (net::read_flow(packet, flow) != net::FlowError::none) return;
  check(flow.payload_offset <= packet.size());
  check(!flow.has_ports || !flow.has_icmp);
  if (net::read_embedded_flow(packet, flow, embedded))
    check(embedded.icmp_error && embedded.destination == flow.destination);
}

void answers(ByteSpan packet) {
  net::IpHeader header;
  if (net::read_ip_header(packet, header, net::Extent::quoted) != DropReason::none) return;
  std::vector<uint8_t> out(net::kMaxIcmpError);
  const net::Address sender = *net::Address::parse(header.is_v4() ? "192.0.2.1" : "2001:db8::1");
  const uint32_t bytes = net::build_icmp_error(packet, sender, {net::IcmpError::Kind::too_big, 1280}, out);
  if (bytes == 0) return;
  out.resize(bytes);
  net::Flow flow;
  check(net::read_flow(out, flow) == net::FlowError::none && flow.has_icmp && flow.source == sender);
  std::vector<uint8_t> again(net::kMaxIcmpError);
  check(net::build_icmp_error(out, sender, {}, again) == 0);  // never about an error
}

void fragments(ByteSpan packet) {
  net::Fragmenter fragmenter;
  if (fragmenter.begin(packet, 100) != DropReason::none) return;
  uint8_t out[65536];
  for (uint32_t i = 0; i < fragmenter.count(); ++i) {
    const uint32_t bytes = fragmenter.write(i, out);
    check(bytes == fragmenter.length(i) && (fragmenter.count() == 1 || bytes <= 100));
    check(net::checksum({out, (out[0] & 0xfu) * 4}) == 0);
  }
}

void tunnel_ends(const std::vector<uint8_t>& packet) {
  for (const auto type : {tunnel::Type::ipv4, tunnel::Type::ipv6}) {
    const net::Family family = type == tunnel::Type::ipv4 ? net::Family::v4 : net::Family::v6;
    const tunnel::Outer outer{type, net::Address::any(family), net::Address::any(family)};
    tunnel::InnerMarks marks;
    tunnel::translate_icmp(outer, {.type = 3, .code = 4}, 1500, 0, packet);
    if (tunnel::read_marks(outer, packet, marks) != DropReason::none || packet.size() > 60000) continue;
    std::vector<uint8_t> buffer(net::kHeadroom + packet.size());
    std::copy(packet.begin(), packet.end(), buffer.begin() + net::kHeadroom);
    net::Packet carried{buffer.data() + net::kHeadroom, static_cast<uint32_t>(packet.size()), net::kHeadroom, 0,
                        net::kProtoIpv6};
    tunnel::encapsulate(outer, marks, 1, carried);
    tunnel::OuterInfo info;
    check(tunnel::decapsulate(carried, info) == DropReason::none);
    check(carried.length == packet.size() && std::memcmp(carried.data, packet.data(), packet.size()) == 0);
  }
  std::vector<uint8_t> copy = packet;
  net::Packet raw{copy.data(), static_cast<uint32_t>(copy.size()), 0, 0, 0};
  tunnel::OuterInfo info;
  if (tunnel::decapsulate(raw, info) == DropReason::none) check(raw.length <= packet.size());
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 65535) return 0;
  std::vector<uint8_t> packet(data, data + size);
  flows(packet);
  answers(packet);
  fragments(packet);
  tunnel_ends(packet);
  std::vector<uint8_t> changed = packet;
  if (net::clamp_mss(changed, 1300, net::FieldState::complete))
    check(!net::clamp_mss(changed, 1300, net::FieldState::complete));
  changed = packet;
  tunnel::fold_ecn(3, changed);
  return 0;
}
