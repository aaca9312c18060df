#include <netinet/ip6.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cstring>

#include "linux/ports/wire_batch.h"

namespace adit::platform {
namespace {

using datapath::WireResult;
using datapath::WireSend;

// Appends control messages to one message's buffer.
class ControlWriter {
 public:
  ControlWriter(msghdr& message, WireBatch::Control& room) : message_(message), room_(room) {}
  ~ControlWriter() {
    message_.msg_control = used_ == 0 ? nullptr : room_.bytes.data();
    message_.msg_controllen = used_;
  }
  void put(int level, int type, const void* value, size_t size) {
    auto* control = reinterpret_cast<cmsghdr*>(room_.bytes.data() + used_);
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(control), value, size);
    used_ += CMSG_SPACE(size);
  }
  void put_int(int level, int type, int value) { put(level, type, &value, sizeof value); }

 private:
  msghdr& message_;
  WireBatch::Control& room_;
  size_t used_ = 0;
};
static_assert(CMSG_SPACE(sizeof(in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(8) +
                  CMSG_SPACE(sizeof(uint16_t)) <=
              kControlBytes);

bool is_train(const WireSend& item) {
  return item.segment_bytes != 0 && item.payload.size() > item.segment_bytes;
}

void name_v4(const WireSend& item, sockaddr_in6& room, msghdr& message) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = item.kind == WireKind::udp ? htons(item.destination_port) : 0;
  std::memcpy(&name.sin_addr, item.destination.bytes().data(), 4);
  std::memcpy(&room, &name, sizeof name);
  message.msg_namelen = sizeof name;
}

void name_v6(const WireSend& item, sockaddr_in6& room, msghdr& message) {
  room = {};
  room.sin6_family = AF_INET6;
  room.sin6_port = item.kind == WireKind::udp ? htons(item.destination_port) : 0;
  std::memcpy(&room.sin6_addr, item.destination.bytes().data(), 16);
  message.msg_namelen = sizeof room;
}

void control_v4(const WireSend& item, ControlWriter& control) {
  in_pktinfo info{};
  std::memcpy(&info.ipi_spec_dst, item.source.bytes().data(), 4);
  control.put(IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
  if (item.traffic_class != 0) control.put_int(IPPROTO_IP, IP_TOS, item.traffic_class);
  if (item.hoplimit != kDefaultHops) control.put_int(IPPROTO_IP, IP_TTL, item.hoplimit);
}

void control_v6(const WireSend& item, ControlWriter& control) {
  in6_pktinfo info{};
  std::memcpy(&info.ipi6_addr, item.source.bytes().data(), 16);
  control.put(IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
  if (item.traffic_class != 0) control.put_int(IPPROTO_IPV6, IPV6_TCLASS, item.traffic_class);
  if (item.hoplimit != kDefaultHops) control.put_int(IPPROTO_IPV6, IPV6_HOPLIMIT, item.hoplimit);
  if (!item.has_encaplimit) return;
  // RFC 2473 §4.1.1: next header (the kernel's), length 0; option 4 of one byte; PadN of one.
  const std::array<uint8_t, 8> option{0, 0, 4, 1, item.encaplimit, 1, 1, 0};
  control.put(IPPROTO_IPV6, IPV6_DSTOPTS, option.data(), option.size());
}

// An error that an earlier packet caused waits in the socket and is reported once, to whoever comes next.
bool may_be_anothers(int code) {
  return code == ECONNREFUSED || code == EHOSTUNREACH || code == ENETUNREACH || code == EMSGSIZE || code == EPROTO ||
         code == ENOPROTOOPT || code == EACCES || code == EOPNOTSUPP || code == EHOSTDOWN;
}

}  // namespace

void WireSender::fill(size_t slot, const WireSocket& socket, const WireSend& item) {
  batch_.parts[slot] = {const_cast<uint8_t*>(item.payload.data()), item.payload.size()};
  msghdr& message = batch_.messages[slot].msg_hdr;
  message = {};
  message.msg_name = &batch_.names[slot];
  message.msg_iov = &batch_.parts[slot];
  message.msg_iovlen = 1;
  ControlWriter control(message, batch_.controls[slot]);
  if (socket.is_v4()) {
    name_v4(item, batch_.names[slot], message);
    control_v4(item, control);
  } else {
    name_v6(item, batch_.names[slot], message);
    control_v6(item, control);
  }
  if (is_train(item)) control.put(IPPROTO_UDP, UDP_SEGMENT, &item.segment_bytes, sizeof item.segment_bytes);
}

// The IPv4 header says DF or not, so the socket is switched between runs. IPv6 has no such bit: there only a packet
// that turns out too big for the path is sent again with fragments allowed (send_one).
void WireSender::send(WireSocket& socket, std::span<const WireSend> items, std::span<WireResult> results) {
  for (size_t start = 0; start < items.size();) {
    size_t end = start + 1;
    const bool df = items[start].dont_fragment;
    while (end < items.size() && end - start < kBurst && (!socket.is_v4() || items[end].dont_fragment == df)) ++end;
    allow_fragmenting(socket, socket.is_v4() && !df);
    send_run(socket, items.subspan(start, end - start), results.subspan(start, end - start));
    start = end;
  }
}

void WireSender::send_run(WireSocket& socket, std::span<const WireSend> items, std::span<WireResult> results) {
  for (size_t i = 0; i < items.size(); ++i) fill(i, socket, items[i]);
  for (size_t done = 0; done < items.size();) {
    const bool alone = is_train(items[done]) && !trains_;
    const int sent = alone ? -1
                           : sendmmsg(socket.fd.get(), &batch_.messages[done],
                                      static_cast<unsigned>(items.size() - done), MSG_NOSIGNAL);
    if (sent > 0) {
      std::fill_n(results.begin() + static_cast<ptrdiff_t>(done), sent, WireResult{});
      done += static_cast<size_t>(sent);
      continue;
    }
    if (!alone && errno == EINTR) continue;
    results[done] = alone ? send_segments(socket, items[done]) : WireResult{-errno};
    const bool full = results[done].error == -EAGAIN || results[done].error == -ENOBUFS;
    if (!alone && !full) results[done] = send_one(socket, done, items[done]);
    ++done;
    if (full) {
      std::fill(results.begin() + static_cast<ptrdiff_t>(done), results.end(), WireResult{-EAGAIN});
      return;
    }
  }
}

// After an error: again alone, in the way that the error asks for.
WireResult WireSender::send_one(WireSocket& socket, size_t slot, const WireSend& item) {
  const auto attempt = [&] {
    return sendmsg(socket.fd.get(), &batch_.messages[slot].msg_hdr, MSG_NOSIGNAL) >= 0 ? 0 : -errno;
  };
  int result = attempt();
  if (result != 0 && may_be_anothers(-result)) result = attempt();
  if (result == -EIO && is_train(item)) trains_ = false;  // the device cannot checksum: no GSO
  const bool split =
      is_train(item) && (result == -EIO || result == -EINVAL || (result == -EMSGSIZE && !item.dont_fragment));
  if (split) return send_segments(socket, item);
  if (result == -EMSGSIZE && !item.dont_fragment && !socket.is_v4()) {
    allow_fragmenting(socket, true);
    result = attempt();
    allow_fragmenting(socket, false);
  }
  return {result};
}

// A train as the datagrams that it stands for, up to the first failure.
WireResult WireSender::send_segments(WireSocket& socket, const WireSend& item) {
  WireBatch::Control control;
  sockaddr_in6 name;
  WireResult result;
  for (size_t at = 0; at < item.payload.size() && result.error == 0; at += item.segment_bytes) {
    WireSend one = item;
    one.payload = item.payload.subspan(at, std::min<size_t>(item.segment_bytes, item.payload.size() - at));
    one.segment_bytes = 0;
    iovec part{const_cast<uint8_t*>(one.payload.data()), one.payload.size()};
    msghdr message{};
    message.msg_name = &name;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    {
      ControlWriter writer(message, control);
      if (socket.is_v4())
        name_v4(one, name, message), control_v4(one, writer);
      else
        name_v6(one, name, message), control_v6(one, writer);
    }
    if (!socket.is_v4()) allow_fragmenting(socket, !item.dont_fragment);
    if (sendmsg(socket.fd.get(), &message, MSG_NOSIGNAL) < 0)
      result.error = -errno;
    else
      ++result.left;
  }
  if (!socket.is_v4()) allow_fragmenting(socket, false);
  return result;
}

}  // namespace adit::platform
