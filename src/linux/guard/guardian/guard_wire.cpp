#include "linux/guard/guardian/guard_wire.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

namespace adit::platform {
namespace {

constexpr uint32_t kMagic = 0x41475501;  // "AGU", version 1
constexpr size_t kHeadBytes = 16;
constexpr size_t kMostText = 4096;
constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;

class Writer {
 public:
  template <typename T>
  void number(T value) {
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof value);
    store_be<T>(bytes_.data() + at, value);
  }
  void text(const std::string& value) {
    const size_t size = std::min(value.size(), kMostText);
    number(static_cast<uint16_t>(size));
    bytes_.insert(bytes_.end(), value.begin(), value.begin() + static_cast<ptrdiff_t>(size));
  }
  void address(const net::Address& value) {
    number(static_cast<uint8_t>(value.family()));
    bytes_.insert(bytes_.end(), value.bytes().begin(), value.bytes().end());
  }
  void prefix(const net::Prefix& value) {
    address(value.address());
    number(value.length());
  }
  void closed(const std::map<net::Prefix, std::vector<int>>& networks) {
    number(static_cast<uint32_t>(networks.size()));
    for (const auto& [network, devices] : networks) {
      prefix(network);
      number(static_cast<uint16_t>(devices.size()));
      for (const int device : devices) number(static_cast<uint32_t>(device));
    }
  }
  void prefixes(const std::set<net::Prefix>& some) {
    number(static_cast<uint32_t>(some.size()));
    for (const auto& one : some) prefix(one);
  }
  void flows(const std::set<OuterFlow>& some) {
    number(static_cast<uint32_t>(some.size()));
    for (const auto& one : some) {
      address(one.local);
      address(one.remote);
    }
  }
  void addresses(const std::set<net::Address>& some) {
    number(static_cast<uint32_t>(some.size()));
    for (const auto& one : some) address(one);
  }
  std::vector<uint8_t> finish() { return std::move(bytes_); }

 private:
  std::vector<uint8_t> bytes_;
};

// Each read gives something; whether it was there, ok() says at the end. Loops over a count stop with the bytes.
class Reader {
 public:
  explicit Reader(ByteSpan bytes) : bytes_(bytes) {}
  [[nodiscard]] bool ok() const { return good_ && bytes_.ok(); }
  [[nodiscard]] bool whole() const { return ok() && bytes_.left() == 0; }

  template <typename T>
  T number() {
    return bytes_.be<T>().value_or(0);
  }
  std::string text() {
    const auto size = number<uint16_t>();
    good_ &= size <= kMostText;
    const auto taken = bytes_.take(size);
    return taken ? std::string(taken->begin(), taken->end()) : std::string();
  }
  net::Address address() {
    const auto family = number<uint8_t>();
    good_ &= family == 4 || family == 6;
    if (!ok()) return {};
    const auto taken = bytes_.take(family == 4 ? 4 : 16);
    const auto of = family == 4 ? net::Family::v4 : net::Family::v6;
    return taken ? net::Address::from_bytes(of, taken->data()) : net::Address();
  }
  net::Prefix prefix() {
    const net::Address start = address();
    const auto length = number<uint8_t>();
    good_ &= length <= net::address_bits(start.family());
    if (!ok()) return {};
    const net::Prefix network(start, length);
    good_ &= !network.has_host_bits();
    return network;
  }
  template <typename Each>
  void list(const Each& each) {
    const auto count = number<uint32_t>();
    for (uint32_t i = 0; i < count && ok(); ++i) each();
  }
  std::map<net::Prefix, std::vector<int>> closed() {
    std::map<net::Prefix, std::vector<int>> networks;
    list([&] {
      auto& devices = networks[prefix()];
      const auto count = number<uint16_t>();
      for (uint16_t i = 0; i < count && ok(); ++i) {
        const auto device = static_cast<int>(number<uint32_t>());
        good_ &= device > (devices.empty() ? 0 : devices.back());
        devices.push_back(device);
      }
    });
    return networks;
  }
  std::set<net::Prefix> prefixes() {
    std::set<net::Prefix> some;
    list([&] { some.insert(prefix()); });
    return some;
  }
  std::set<OuterFlow> flows() {
    std::set<OuterFlow> some;
    list([&] {
      const net::Address local = address(), remote = address();
      good_ &= local.family() == remote.family();
      some.insert({local, remote});
    });
    return some;
  }
  std::set<net::Address> addresses() {
    std::set<net::Address> some;
    list([&] { some.insert(address()); });
    return some;
  }

 private:
  ByteReader bytes_;
  bool good_ = true;
};

std::unexpected<Error> malformed() {
  return fail(EINVAL, "not a message of this version of Adit");
}

Result<Descriptor> sealed_memory(const std::vector<uint8_t>& bytes) {
  Descriptor file(memfd_create("adit-guard", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid()) return fail(errno, "cannot make a memory file: {}", std::strerror(errno));
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t wrote = write(file.get(), bytes.data() + at, bytes.size() - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return fail(errno, "cannot fill a memory file: {}", std::strerror(errno));
    at += static_cast<size_t>(wrote);
  }
  if (fcntl(file.get(), F_ADD_SEALS, kSeals) != 0)
    return fail(errno, "cannot seal a memory file: {}", std::strerror(errno));
  return file;
}

// Only a sealed one: its bytes cannot change or vanish while they are read.
Result<std::vector<uint8_t>> read_sealed(const Descriptor& file) {
  const int seals = fcntl(file.get(), F_GET_SEALS);
  struct stat status{};
  if (seals < 0 || (seals & kSeals) != kSeals || fstat(file.get(), &status) != 0 ||
      static_cast<uint64_t>(status.st_size) > kMostInMemory)
    return malformed();
  std::vector<uint8_t> bytes(static_cast<size_t>(status.st_size));
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t got = pread(file.get(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return malformed();
    at += static_cast<size_t>(got);
  }
  return bytes;
}

Descriptor descriptor_of(msghdr& message) {
  Descriptor first;
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); control; control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= control->cmsg_len; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(control) + i * sizeof fd, sizeof fd);
      Descriptor one(fd);
      if (!first.valid()) first = std::move(one);
    }
  }
  return first;
}

}  // namespace

// --- values

std::vector<uint8_t> encode_plan(const GuardPlan& plan) {
  Writer out;
  out.text(plan.book);
  out.number(plan.generation);
  out.number(plan.mark);
  out.number(plan.uid);
  out.closed(plan.closed);
  out.prefixes(plan.inside);
  out.flows(plan.flows);
  out.addresses(plan.peers);
  return out.finish();
}

Result<GuardPlan> decode_plan(ByteSpan bytes) {
  Reader in(bytes);
  GuardPlan plan;
  plan.book = in.text();
  plan.generation = in.number<uint64_t>();
  plan.mark = in.number<uint32_t>();
  plan.uid = in.number<uint32_t>();
  plan.closed = in.closed();
  plan.inside = in.prefixes();
  plan.flows = in.flows();
  plan.peers = in.addresses();
  if (!in.whole()) return malformed();
  return plan;
}

std::vector<uint8_t> encode_change(const GuardChange& change) {
  Writer out;
  out.number(change.generation);
  out.closed(change.close);
  for (const auto* some : {&change.open, &change.inside, &change.not_inside}) out.prefixes(*some);
  for (const auto* some : {&change.flows, &change.not_flows}) out.flows(*some);
  for (const auto* some : {&change.peers, &change.not_peers}) out.addresses(*some);
  return out.finish();
}

Result<GuardChange> decode_change(ByteSpan bytes) {
  Reader in(bytes);
  GuardChange change;
  change.generation = in.number<uint64_t>();
  change.close = in.closed();
  for (auto* some : {&change.open, &change.inside, &change.not_inside}) *some = in.prefixes();
  for (auto* some : {&change.flows, &change.not_flows}) *some = in.flows();
  for (auto* some : {&change.peers, &change.not_peers}) *some = in.addresses();
  if (!in.whole()) return malformed();
  const bool both = std::ranges::any_of(change.open, [&](const auto& one) { return change.close.contains(one); });
  if (both) return fail(EINVAL, "a network is to be closed and opened by one change");
  return change;
}

std::vector<uint8_t> encode_error(const Error& error) {
  Writer out;
  out.number(static_cast<uint32_t>(error.code));
  out.text(error.text);
  return out.finish();
}

Error decode_error(ByteSpan body) {
  Reader in(body);
  Error error;
  error.code = static_cast<int>(in.number<uint32_t>());
  error.text = in.text();
  return error;
}

std::vector<uint8_t> encode_state(const GuardState& state) {
  Writer out;
  out.number(static_cast<uint8_t>((state.rule ? 1 : 0) | (state.lasting ? 2 : 0) | (state.owned ? 4 : 0)));
  out.text(state.trouble);
  return out.finish();
}

GuardState decode_state(ByteSpan body) {
  Reader in(body);
  const auto bits = in.number<uint8_t>();
  return {(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, in.text()};
}

// --- messages

Result<> send_guard_message(int socket, const GuardMessage& message) {
  std::array<uint8_t, kHeadBytes> head{};
  store_be32(head.data(), kMagic);
  head[4] = static_cast<uint8_t>(message.word);
  store_be64(head.data() + 8, message.number);
  Descriptor file;
  const bool apart = message.body.size() > kMostInline || message.word == GuardWord::plan;
  if (apart) {
    TRY_ASSIGN(file, sealed_memory(message.body));
  }
  std::array<iovec, 2> parts{
      {{head.data(), head.size()}, {const_cast<uint8_t*>(message.body.data()), message.body.size()}}};
  msghdr out{};
  out.msg_iov = parts.data();
  out.msg_iovlen = apart ? 1 : 2;
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof(int))> room{};
  if (apart) {
    out.msg_control = room.data();
    out.msg_controllen = room.size();
    cmsghdr* control = CMSG_FIRSTHDR(&out);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = file.get();
    std::memcpy(CMSG_DATA(control), &fd, sizeof fd);
  }
  if (sendmsg(socket, &out, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return {};
  return fail(errno == ECONNRESET ? EPIPE : errno, "cannot send: {}", std::strerror(errno));
}

Result<std::optional<GuardMessage>> receive_guard_message(int socket) {
  std::array<uint8_t, kHeadBytes + kMostInline> bytes;
  iovec part{bytes.data(), bytes.size()};
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(4 * sizeof(int))> room{};
  msghdr in{};
  in.msg_iov = &part;
  in.msg_iovlen = 1;
  in.msg_control = room.data();
  in.msg_controllen = room.size();
  const ssize_t got = recvmsg(socket, &in, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  if (got <= 0) return fail(EPIPE, "the other end is gone");
  const Descriptor file = descriptor_of(in);
  if (in.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || got < static_cast<ssize_t>(kHeadBytes) ||
      load_be32(bytes.data()) != kMagic)
    return malformed();
  GuardMessage message;
  message.word = static_cast<GuardWord>(bytes[4]);
  message.number = load_be64(bytes.data() + 8);
  if (file.valid()) {
    TRY_ASSIGN(message.body, read_sealed(file));
  } else {
    message.body.assign(bytes.begin() + kHeadBytes, bytes.begin() + got);
  }
  return message;
}

}  // namespace adit::platform
