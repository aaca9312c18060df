#include "linux/netlink/netlink_socket.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cstring>

namespace adit::platform {
namespace {

constexpr size_t kAnswerBytes = 65536;  // the kernel never sends more in one datagram of a dump
constexpr int kTornTries = 10;
constexpr size_t kUsualSend = 65536;  // fits every system's send buffer

std::string reason(const nlmsghdr& header, const nlmsgerr& error) {
  std::string text = std::strerror(-error.error);
  if (!(header.nlmsg_flags & NLM_F_ACK_TLVS)) return text;
  size_t skip = sizeof(nlmsgerr);
  if (!(header.nlmsg_flags & NLM_F_CAPPED)) skip += error.msg.nlmsg_len - sizeof(nlmsghdr);
  if (const nlattr* words = find_attribute(header, skip, NLMSGERR_ATTR_MSG)) {
    const auto* said = static_cast<const char*>(nla_data(words));
    text += fmt::format(" ({})", std::string(said, strnlen(said, static_cast<size_t>(nla_len(words)))));
  }
  return text;
}

}  // namespace

NetlinkMessage::NetlinkMessage(uint16_t type, uint16_t flags, size_t room) : message_(nlmsg_alloc_size(room)) {
  CHECK(message_ != nullptr);
  CHECK(nlmsg_put(message_.get(), 0, 0, type, 0, NLM_F_REQUEST | flags) != nullptr);
}

void* NetlinkMessage::append(size_t size) {
  void* room = nlmsg_reserve(message_.get(), size, NLMSG_ALIGNTO);
  CHECK(room != nullptr);
  std::memset(room, 0, size);
  return room;
}

void NetlinkMessage::put(int type, const void* bytes, size_t size) {
  CHECK(nla_put(message_.get(), type, static_cast<int>(size), bytes) == 0);
}

nlattr* NetlinkMessage::begin_nest(int type) {
  nlattr* nest = nla_nest_start(message_.get(), type);
  CHECK(nest != nullptr);
  return nest;
}

void NetlinkMessage::end_nest(nlattr* nest) {
  nla_nest_end(message_.get(), nest);
}

Result<Netlink> Netlink::open(int protocol) {
  Netlink netlink;
  netlink.socket_ = Descriptor(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!netlink.socket_.valid()) return fail(errno, "cannot open a netlink socket: {}", std::strerror(errno));
  const int on = 1, big = 1 << 20;
  setsockopt(netlink.fd(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  setsockopt(netlink.fd(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  setsockopt(netlink.fd(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  setsockopt(netlink.fd(), SOL_SOCKET, SO_RCVBUF, &big, sizeof big);
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  if (bind(netlink.fd(), reinterpret_cast<const sockaddr*>(&self), sizeof self) != 0)
    return fail(errno, "cannot bind a netlink socket: {}", std::strerror(errno));
  socklen_t size = sizeof self;
  if (getsockname(netlink.fd(), reinterpret_cast<sockaddr*>(&self), &size) == 0) netlink.port_ = self.nl_pid;
  netlink.buffer_.resize(kAnswerBytes);
  return netlink;
}

Result<> Netlink::send(NetlinkMessage& message) {
  nlmsghdr* header = message.raw();
  header->nlmsg_seq = ++sequence_;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (sendto(fd(), header, header->nlmsg_len, 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0)
    return fail(errno, "cannot talk to the kernel: {}", std::strerror(errno));
  return {};
}

Result<Netlink::Turn> Netlink::receive(bool dump, const std::function<void(const nlmsghdr&)>& each, bool& torn) {
  ssize_t got;
  do got = recv(fd(), buffer_.data(), buffer_.size(), 0);
  while (got < 0 && errno == EINTR);
  if (got < 0) return fail(errno, "no answer from the kernel: {}", std::strerror(errno));
  int left = static_cast<int>(got);
  for (auto* header = reinterpret_cast<nlmsghdr*>(buffer_.data()); nlmsg_ok(header, left);
       header = nlmsg_next(header, &left)) {
    if (header->nlmsg_seq != sequence_) continue;  // the rest of a conversation that failed
    if (header->nlmsg_flags & NLM_F_DUMP_INTR) torn = true;
    if (header->nlmsg_type == NLMSG_DONE) return torn ? Turn::torn : Turn::done;
    if (header->nlmsg_type == NLMSG_ERROR) {
      const auto* error = static_cast<const nlmsgerr*>(nlmsg_data(header));
      if (error->error == 0) return Turn::done;
      return std::unexpected(Error{-error->error, reason(*header, *error)});
    }
    if (each) each(*header);
    if (!dump && !(header->nlmsg_flags & NLM_F_MULTI)) return Turn::done;
  }
  return Turn::more;
}

Result<> Netlink::request(NetlinkMessage& message) {
  message.raw()->nlmsg_flags |= NLM_F_ACK;
  TRY(send(message));
  bool torn = false;
  for (;;) {
    TRY_ASSIGN(const Turn turn, receive(true, {}, torn));
    if (turn != Turn::more) return {};
  }
}

Result<> Netlink::query(NetlinkMessage& message, const std::function<void(const nlmsghdr&)>& each,
                        const std::function<void()>& restart) {
  const bool dump = (message.raw()->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  for (int attempt = 0; attempt < kTornTries; ++attempt) {
    TRY(send(message));
    bool torn = false;
    Turn turn = Turn::more;
    while (turn == Turn::more) {
      TRY_ASSIGN(turn, receive(dump, each, torn));
    }
    if (turn == Turn::done || !restart) return {};
    restart();
  }
  return fail(EAGAIN, "the kernel's tables change faster than they can be read; try again");
}

Result<> Netlink::transact(std::vector<NetlinkMessage>& messages, std::optional<uint32_t> generation) {
  const auto bracket = [](uint16_t type) {
    NetlinkMessage message(type, 0);
    message.header<nfgenmsg>()->res_id = host_to_be(uint16_t{NFNL_SUBSYS_NFTABLES});
    return message;
  };
  NetlinkMessage begin = bracket(NFNL_MSG_BATCH_BEGIN), end = bracket(NFNL_MSG_BATCH_END);
  if (generation) begin.put_be32(NFNL_BATCH_GENID, *generation);
  std::vector<uint8_t> whole;  // one datagram: that is what makes it one transaction
  const uint32_t first = sequence_ + 1;
  const auto add = [&](NetlinkMessage& message) {
    const nlmsghdr* header = message.raw();
    message.raw()->nlmsg_seq = ++sequence_;
    const auto* bytes = reinterpret_cast<const uint8_t*>(header);
    whole.insert(whole.end(), bytes, bytes + header->nlmsg_len);
    whole.resize(NLMSG_ALIGN(whole.size()));
  };
  add(begin);
  for (auto& message : messages) {
    message.raw()->nlmsg_flags |= NLM_F_ACK;
    add(message);
  }
  add(end);
  make_room(whole.size());
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (sendto(fd(), whole.data(), whole.size(), 0, reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0)
    return fail(errno, "cannot talk to the kernel: {}", std::strerror(errno));
  return acknowledged(first, messages.size());
}

// A datagram larger than the send buffer is refused (EMSGSIZE).
void Netlink::make_room(size_t bytes) {
  if (bytes < kUsualSend) return;
  const int wanted = static_cast<int>(bytes + kUsualSend);
  setsockopt(fd(), SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof wanted);
}

// The kernel has answered before sendmsg came back: one answer a message, and one for the whole where that failed.
Result<> Netlink::acknowledged(uint32_t first, size_t messages) {
  size_t good = 0;
  std::optional<Error> error;
  for (ssize_t got; (got = recv(fd(), buffer_.data(), buffer_.size(), MSG_DONTWAIT)) > 0;) {
    int left = static_cast<int>(got);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer_.data()); nlmsg_ok(header, left);
         header = nlmsg_next(header, &left)) {
      if (header->nlmsg_seq < first || header->nlmsg_type != NLMSG_ERROR) continue;
      const auto* answer = static_cast<const nlmsgerr*>(nlmsg_data(header));
      if (answer->error == 0)
        ++good;
      else if (!error)
        error = Error{-answer->error, reason(*header, *answer)};
    }
  }
  if (error) return std::unexpected(*error);
  if (good < messages) return fail(EIO, "the kernel did not answer for the whole transaction");
  return {};
}

const nlattr* find_attribute(const nlmsghdr& message, size_t header_bytes, int type, size_t least) {
  const auto header_size = static_cast<int>(header_bytes);
  if (nlmsg_attrlen(&message, header_size) <= 0) return nullptr;
  const nlattr* found = nla_find(nlmsg_attrdata(&message, header_size), nlmsg_attrlen(&message, header_size), type);
  return found && nla_len(found) >= static_cast<int>(least) ? found : nullptr;
}

uint32_t attribute_u32(const nlattr* attribute, uint32_t fallback) {
  return attribute && nla_len(attribute) >= 4 ? nla_get_u32(attribute) : fallback;
}

std::optional<net::Address> attribute_address(const nlattr* attribute) {
  if (!attribute) return std::nullopt;
  const auto* bytes = static_cast<const uint8_t*>(nla_data(attribute));
  if (nla_len(attribute) == 4) return net::Address::from_v4(bytes);
  if (nla_len(attribute) == 16) return net::Address::from_v6(bytes);
  return std::nullopt;
}

}  // namespace adit::platform
