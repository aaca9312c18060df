// Reassembly: the input is a train of packets, each behind its length (2 bytes, network order) and a step in time (1
// byte, 50 ms). What comes out whole must be a packet that reads, and no fragment any more; and every fragment that
// went in is told once: among the pieces of a whole packet, as an error, or as a loss.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/bytes.h"
#include "net/ip_header.h"
#include "net/reassemble.h"

namespace {
using namespace adit;

void check(bool holds) {
  if (!holds) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  net::Reassembler reassembler({.datagrams = 4});
  std::vector<uint8_t> out(66000);
  MonoTime now{Seconds(1)};
  uint64_t added = 0, told = 0;
  const auto take_losses = [&] {
    for (const net::Reassembler::Loss& loss : reassembler.take_losses()) told += loss.fragments;
  };
  for (ByteSpan rest(data, size); rest.size() > 3;) {
    const size_t length = std::min<size_t>(load_be16(rest.data()), rest.size() - 3);
    const uint8_t step = rest[2];
    now += Millis(50 * step);
    if ((step & 1) != 0) {
      reassembler.expire(now);
      take_losses();
    }
    const std::vector<uint8_t> packet(rest.begin() + 3, rest.begin() + 3 + static_cast<ptrdiff_t>(length));
    rest = rest.subspan(3 + length);
    net::IpHeader header;
    if (net::read_ip_header(packet, header) != DropReason::none || !header.fragment()) continue;
    uint32_t whole = 0;
    const DropReason drop = reassembler.add(1, packet, header, now, out, whole);
    check(drop == DropReason::none || whole == 0);
    ++added;
    take_losses();
    if (drop != DropReason::none) ++told;
    if (whole != 0) told += reassembler.pieces().size();
    check(told <= added && (reassembler.waiting() != 0 || told == added));
    check(reassembler.waiting() <= 4);
    if (whole == 0) continue;
    net::IpHeader result;
    const DropReason read = net::read_ip_header(ByteSpan(out).first(whole), result);
    if (header.is_v4())
      check(read == DropReason::none && !result.fragment());  // IPv6: the chain behind may be anything
    if (read == DropReason::none) check(result.total_length == whole);
  }
  reassembler.expire(now + Seconds(10));
  take_losses();
  check(told == added);
  return 0;
}
