#include "net/flow.h"

#include "net/ip_header.h"

namespace adit::net {
namespace {

bool is_icmp(const Flow& flow) {
  return flow.protocol == (flow.source.is_v4() ? kProtoIcmp : kProtoIcmp6);
}

// Ports, or ICMP type and code. False: the packet ends before them.
bool read_upper_layer(ByteSpan packet, Flow& flow) {
  const ByteSpan upper = packet.subspan(flow.payload_offset);
  if (has_ports(flow.protocol)) {
    if (upper.size() < 4) return false;
    flow.has_ports = true;
    flow.source_port = load_be16(upper.data());
    flow.destination_port = load_be16(upper.data() + 2);
  } else if (is_icmp(flow)) {
    if (upper.size() < 2) return false;
    flow.has_icmp = true;
    flow.icmp_type = upper[0];
    flow.icmp_code = upper[1];
  }
  return true;
}

DropReason read(ByteSpan packet, Extent extent, Flow& flow) {
  IpHeader header;
  const DropReason reason = read_ip_header(packet, header, extent);
  if (reason != DropReason::none) return reason;
  flow = Flow{};
  flow.source = source_of(packet, header);
  flow.destination = destination_of(packet, header);
  flow.protocol = header.protocol;
  flow.fragment = header.fragment();
  flow.payload_offset = header.payload_offset;
  if (header.later_fragment()) return DropReason::none;
  if (packet.size() > header.total_length) packet = packet.first(header.total_length);
  return read_upper_layer(packet, flow) ? DropReason::none : DropReason::truncated;
}

bool is_icmp_error(const Flow& flow) {
  if (!flow.has_icmp) return false;
  const uint8_t type = flow.icmp_type;
  if (flow.source.is_v4()) return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
  return type >= 1 && type <= 4;
}

}  // namespace

FlowError read_flow(ByteSpan packet, Flow& flow) {
  if (packet.empty()) return FlowError::truncated;
  if (const uint8_t version = packet[0] >> 4; version != 4 && version != 6) return FlowError::bad_version;
  switch (read(packet, Extent::whole, flow)) {
    case DropReason::none:
      return FlowError::none;
    case DropReason::truncated:
      return FlowError::truncated;
    default:
      return FlowError::bad_header;
  }
}

bool read_embedded_flow(ByteSpan packet, const Flow& outer, Flow& embedded) {
  constexpr uint32_t kIcmpHeader = 8;
  if (!is_icmp_error(outer) || packet.size() < outer.payload_offset + kIcmpHeader) return false;
  Flow quoted;
  if (read(packet.subspan(outer.payload_offset + kIcmpHeader), Extent::quoted, quoted) != DropReason::none)
    return false;
  if (quoted.source != outer.destination) return false;
  embedded = quoted;
  embedded.source = quoted.destination;
  embedded.destination = quoted.source;
  embedded.source_port = quoted.destination_port;
  embedded.destination_port = quoted.source_port;
  embedded.icmp_error = true;
  embedded.payload_offset = outer.payload_offset;
  return true;
}

}  // namespace adit::net
