#include "datapath/answers.h"

#include "net/ip_header.h"

namespace adit::datapath {

void Answers::send(const Context& context, tunnel::LinkId link, ByteSpan offending, const net::IcmpError& error) {
  TunPort* const tun = context.tun(link);
  net::IpHeader header;
  if (tun == nullptr || net::read_ip_header(offending, header, net::Extent::quoted) != DropReason::none) return;
  const net::Address sender = net::destination_of(offending, header);
  if (sender.is_multicast() || sender.is_unspecified()) return;
  if (!bucket_.take(context.now())) return;
  const uint32_t length = net::build_icmp_error(offending, sender, error, buffer_);
  if (length == 0) return;
  const ByteSpan piece{buffer_.data(), length};
  tun->write({&piece, 1}, {});
}

}  // namespace adit::datapath
