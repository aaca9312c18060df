// What in.iked writes into the pair: what is read is what writing it again gives.
#include <algorithm>
#include <cstdlib>

#include "ike/door/frame.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace adit;
  const ByteSpan frame(data, size);
  ike::Datagram datagram;
  if (ike::read_frame(frame, datagram) != DropReason::none) return 0;
  ike::FrameHeader header;
  if (ike::write_frame_header(datagram, header) != DropReason::none) std::abort();
  if (!std::ranges::equal(header, frame.first(header.size()))) std::abort();
  if (datagram.message.size() != size - header.size()) std::abort();
  return 0;
}
