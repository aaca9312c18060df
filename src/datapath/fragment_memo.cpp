#include "datapath/fragment_memo.h"

namespace adit::datapath {

FragmentMemo::Key FragmentMemo::key_of(tunnel::LinkId link, const net::IpHeader& header, const net::Flow& flow) {
  return {link, header.identification, flow.source, flow.destination, header.is_v4() ? header.protocol : uint8_t{0}};
}

bool FragmentMemo::complete(tunnel::LinkId link, const net::IpHeader& header, net::Flow& flow, MonoTime now) {
  const Key key = key_of(link, header, flow);
  Seen& seen =
      seen_[net::hash_address(flow.source, net::hash_address(flow.destination, header.identification)) % kSeen];
  if (!header.later_fragment()) {
    seen = {key, flow, now + kLifetime};
    return true;
  }
  if (seen.key != key || now >= seen.until) return false;
  const uint32_t payload_offset = flow.payload_offset;
  flow = seen.flow;
  flow.payload_offset = payload_offset;
  return true;
}

FragmentMemo::Waiting* FragmentMemo::free_place(tunnel::LinkId link) {
  Waiting* free = nullptr;
  size_t of_link = 0;
  for (Waiting& one : places_) {
    if (one.arrival == 0)
      free = &one;
    else if (one.key.link == link)
      ++of_link;
  }
  return of_link < kMostOfLink ? free : nullptr;
}

bool FragmentMemo::keep(tunnel::LinkId link, const net::IpHeader& header, const net::Flow& flow, ByteSpan packet,
                        MonoTime now) {
  Waiting* const place = free_place(link);
  if (place == nullptr) return false;
  place->key = key_of(link, header, flow);
  place->bytes.assign(packet.begin(), packet.end());
  place->until = now + kLifetime;
  place->arrival = ++arrivals_;
  ++waiting_;
  return true;
}

}  // namespace adit::datapath
