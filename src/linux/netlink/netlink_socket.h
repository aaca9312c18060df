// One netlink socket: requests with their answers. libnl builds and parses the messages; the conversation is ours,
// because the errno and the kernel's own words (extended ack) must reach the operator unchanged. One thread.
#pragma once

#include <netlink/attr.h>
#include <netlink/msg.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/result.h"
#include "linux/process/descriptor.h"
#include "net/address.h"

namespace adit::platform {

class NetlinkMessage {
 public:
  static constexpr size_t kUsualRoom = 4096;  // the largest but nf_tables elements: a route with its nexthops
  // `room`: bytes that the message may grow to.
  NetlinkMessage(uint16_t type, uint16_t flags, size_t room = kUsualRoom);

  // The fixed header behind nlmsghdr; zeroed.
  template <typename T>
  T* header() {
    return static_cast<T*>(append(sizeof(T)));
  }
  void* append_header(size_t size) { return append(size); }
  void put_u8(int type, uint8_t value) { put(type, &value, sizeof value); }
  void put_u32(int type, uint32_t value) { put(type, &value, sizeof value); }
  void put_be32(int type, uint32_t value) { put_u32(type, host_to_be(value)); }
  void put_string(int type, const std::string& text) { put(type, text.c_str(), text.size() + 1); }
  void put_address(int type, const net::Address& address) { put(type, address.bytes().data(), address.bytes().size()); }
  void put(int type, const void* bytes, size_t size);
  [[nodiscard]] nlattr* begin_nest(int type);
  void end_nest(nlattr* nest);
  [[nodiscard]] nlmsghdr* raw() { return nlmsg_hdr(message_.get()); }

 private:
  void* append(size_t size);
  struct Free {
    void operator()(nl_msg* message) const { nlmsg_free(message); }
  };
  std::unique_ptr<nl_msg, Free> message_;
};

class Netlink {
 public:
  // protocol: NETLINK_ROUTE, NETLINK_NETFILTER. EPROTONOSUPPORT: the kernel lacks it.
  static Result<Netlink> open(int protocol);

  // A change; the kernel's errno, its text as "reason (kernel's own words)".
  Result<> request(NetlinkMessage& message);
  // Every message of the answer, of a dump (NLM_F_DUMP) or of a single get. The callback sees one message at a time.
  // EINTR is handled: a dump that a change tore is made again, after `restart`.
  Result<> query(NetlinkMessage& message, const std::function<void(const nlmsghdr&)>& each,
                 const std::function<void()>& restart = {});

  // An nf_tables transaction (nfnetlink's batch): all messages take effect at once, or none does and the first error
  // comes back. `generation`: only if the kernel has counted no transaction since then (ERESTART).
  Result<> transact(std::vector<NetlinkMessage>& messages, std::optional<uint32_t> generation = {});

  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] uint32_t port() const { return port_; }  // by which notices name whose change it was

 private:
  enum class Turn : uint8_t { more, done, torn };
  Result<> send(NetlinkMessage& message);
  void make_room(size_t bytes);
  Result<> acknowledged(uint32_t first, size_t messages);
  Result<Turn> receive(bool dump, const std::function<void(const nlmsghdr&)>& each, bool& torn);
  Descriptor socket_;
  uint32_t port_ = 0;
  uint32_t sequence_ = 0;
  std::vector<uint8_t> buffer_;
};

// One attribute of a message whose fixed header is of `header_bytes`; null: not there, or shorter than `least`.
const nlattr* find_attribute(const nlmsghdr& message, size_t header_bytes, int type, size_t least = 0);
uint32_t attribute_u32(const nlattr* attribute, uint32_t fallback);
std::optional<net::Address> attribute_address(const nlattr* attribute);  // 4 or 16 bytes

}  // namespace adit::platform
