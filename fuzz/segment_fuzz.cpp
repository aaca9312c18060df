// Segmentation of a TUN super-packet: kind, segment size, checksum start and offset (8 bytes), then the packet.
// Segments must carry the payload once, in order, with lengths and checksums that hold.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/bytes.h"
#include "net/checksum.h"
#include "net/flow.h"
#include "net/ip_header.h"
#include "net/segment.h"

namespace {
using namespace adit;

void check(bool holds) {
  if (!holds) std::abort();
}

void check_segment(ByteSpan segment, bool has_checksum) {
  net::IpHeader ip;
  check(net::read_ip_header(segment, ip) == DropReason::none && ip.total_length == segment.size());
  if (!has_checksum) return;
  const uint8_t* source = segment.data() + ip.address_offset();
  const ByteSpan transport = segment.subspan(ip.payload_offset);
  net::Sum sum = net::pseudo_header(ip.family, source, source + net::address_bytes(ip.family), ip.protocol,
                                    static_cast<uint32_t>(transport.size()));
  sum.add(transport);
  check(sum.checksum() == 0);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 8) return 0;
  net::Offload offload;
  offload.kind = static_cast<net::Offload::Kind>(data[0] & 3);
  offload.needs_checksum = (data[0] & 4) != 0;
  offload.segment_bytes = load_be16(data + 2);
  offload.checksum_start = load_be16(data + 4);
  offload.checksum_offset = load_be16(data + 6);
  std::vector<uint8_t> super(data + 8, data + size);
  net::Segmenter segmenter;
  if (segmenter.begin(super, offload) == DropReason::none) {
    std::vector<uint8_t> joined;
    const uint32_t headers = segmenter.header_length();
    for (uint32_t i = 0; i < segmenter.count(); ++i) {
      std::vector<uint8_t> segment(segmenter.length(i));
      check(segmenter.write(i, segment.data()) == segment.size() && segment.size() <= segmenter.max_length());
      check_segment(segment, offload.needs_checksum || offload.kind != net::Offload::Kind::udp);
      joined.insert(joined.end(), segment.begin() + headers, segment.end());
    }
    check(joined.size() <= super.size() - headers && std::equal(joined.begin(), joined.end(), super.begin() + headers));
  }
  net::finish_checksum(super, offload);
  return 0;
}
