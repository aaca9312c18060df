// Coalescing: the first byte chooses the options, then a burst of packets, each behind its length (2 bytes, network
// order). Each packet leaves once; a super-packet cut again has as many segments as it took, and its payload is theirs
// in order.
#include <algorithm>
#include <cstdlib>
#include <deque>
#include <vector>

#include "base/bytes.h"
#include "net/coalesce.h"
#include "net/segment.h"

namespace {
using namespace adit;
using Bytes = std::vector<uint8_t>;

void check(bool holds) {
  if (!holds) std::abort();
}

void check_train(const net::Train& train) {
  Bytes whole;
  for (const ByteSpan piece : train.pieces) whole.insert(whole.end(), piece.begin(), piece.end());
  check(whole.size() == train.bytes && train.pieces.size() == train.packets);
  if (train.packets == 1) return;
  check(train.offload.needs_checksum && whole.size() <= 65535);
  net::Segmenter segmenter;
  check(segmenter.begin(whole, train.offload) == DropReason::none);
  check(segmenter.count() == train.packets && segmenter.header_length() == train.offload.header_length);
  check(net::finish_checksum(whole, train.offload) == DropReason::none);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  net::Coalescer coalescer({(data[0] & 1) != 0 ? net::Checksums::trusted : net::Checksums::verify, (data[0] & 2) != 0});
  std::deque<Bytes> packets;
  uint32_t added = 0;
  for (ByteSpan rest(data + 1, size - 1); rest.size() > 2;) {
    const size_t length = std::min<size_t>(load_be16(rest.data()), rest.size() - 2);
    packets.emplace_back(rest.begin() + 2, rest.begin() + 2 + static_cast<ptrdiff_t>(length));
    rest = rest.subspan(2 + length);
    if (!coalescer.add(packets.back())) break;
    ++added;
  }
  uint32_t left = 0;
  for (uint32_t i = 0; i < coalescer.trains(); ++i) {
    const net::Train train = coalescer.train(i);
    check_train(train);
    left += train.packets;
  }
  check(left == added);
  return 0;
}
