// Ports without an operating system: a test holds one end, a Worker the other. Two FakeWires joined back to back are an
// underlay. Any thread; each has an eventfd, so that a running worker sleeps and wakes as with the real ones.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/check.h"
#include "net/flow.h"
#include "ports/ports.h"

namespace adit::datapath {

using Bytes = std::vector<uint8_t>;

// An eventfd that is readable while there is something in the queue beside it.
class FakeBell {
 public:
  FakeBell() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) { CHECK(fd_ >= 0); }
  ~FakeBell() { close(fd_); }
  FakeBell(const FakeBell&) = delete;
  FakeBell& operator=(const FakeBell&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  void show(bool something) {
    uint64_t count = 1;
    if (something && !shown_) CHECK(write(fd_, &count, sizeof count) == sizeof count);
    if (!something && shown_) CHECK(read(fd_, &count, sizeof count) == sizeof count);
    shown_ = something;
  }

 private:
  int fd_;
  bool shown_ = false;
};

// The host's side of a TUN queue: what it sends into the tunnel, and what came out of it.
class FakeHost {
 public:
  struct Item {
    Bytes bytes;
    Offload offload;
  };

  void send(Bytes packet, Offload offload = {}) {
    const std::lock_guard lock(mutex_);
    outgoing_.push_back({std::move(packet), offload});
    bell_.show(true);
  }
  std::vector<Item> received() {
    const std::lock_guard lock(mutex_);
    return std::exchange(incoming_, {});
  }
  void fail_writes(int error) {  // 0: no more; -EAGAIN, -EIO …
    const std::lock_guard lock(mutex_);
    write_error_ = error;
  }

 private:
  friend class FakeTun;
  std::mutex mutex_;
  std::deque<Item> outgoing_;
  std::vector<Item> incoming_;
  int write_error_ = 0;
  FakeBell bell_;
};

class FakeTun final : public TunPort {
 public:
  explicit FakeTun(std::shared_ptr<FakeHost> host) : host_(std::move(host)) {}
  [[nodiscard]] int fd() const override { return host_->bell_.fd(); }

  ssize_t read(MutByteSpan buffer, Offload& offload) override {
    const std::lock_guard lock(host_->mutex_);
    if (host_->outgoing_.empty()) return 0;
    const FakeHost::Item item = std::move(host_->outgoing_.front());
    host_->outgoing_.pop_front();
    host_->bell_.show(!host_->outgoing_.empty());
    CHECK(item.bytes.size() <= buffer.size());
    std::copy(item.bytes.begin(), item.bytes.end(), buffer.begin());
    offload = item.offload;
    return static_cast<ssize_t>(item.bytes.size());
  }

  int write(std::span<const ByteSpan> pieces, const Offload& offload) override {
    const std::lock_guard lock(host_->mutex_);
    if (host_->write_error_ != 0) return host_->write_error_;
    FakeHost::Item item{{}, offload};
    for (const ByteSpan piece : pieces) item.bytes.insert(item.bytes.end(), piece.begin(), piece.end());
    host_->incoming_.push_back(std::move(item));
    return 0;
  }

 private:
  std::shared_ptr<FakeHost> host_;
};

// One side of the underlay: what was sent from here (a capture), and what waits to be received here.
class FakeNode {
 public:
  struct Datagram {
    WireKind kind = WireKind::esp;
    net::Address source, destination;
    uint16_t source_port = 0, destination_port = 0;
    uint8_t traffic_class = 0, hoplimit = 64, encaplimit = 0;
    bool has_encaplimit = false;
    bool dont_fragment = true;
    uint16_t segment_bytes = 0;  // a train, whole
    Bytes bytes;
  };

  void deliver(Datagram datagram) {  // to this side
    const std::lock_guard lock(mutex_);
    inbox_.push_back(std::move(datagram));
    show();
  }
  void deliver(const WireError& error) {
    const std::lock_guard lock(mutex_);
    errors_.push_back(error);
    show();
  }
  std::vector<Datagram> sent() {  // from this side, trains whole
    const std::lock_guard lock(mutex_);
    return std::exchange(capture_, {});
  }
  // What leaves here arrives there; a filter may change it, and says false to lose it.
  void connect(FakeNode* other, std::function<bool(Datagram&)> filter = {}) {
    const std::lock_guard lock(mutex_);
    other_ = other;
    filter_ = std::move(filter);
  }
  void keep_capture(bool keep) {
    const std::lock_guard lock(mutex_);
    keep_capture_ = keep;
  }
  // Every send fails with that errno, after `left` datagrams of a train; 0: no more.
  void fail_sends(int error, uint32_t left = 0) {
    const std::lock_guard lock(mutex_);
    send_error_ = error;
    left_ = left;
  }
  void overflow(uint64_t packets) {
    const std::lock_guard lock(mutex_);
    overflow_ = packets;
  }
  // Datagrams with more bytes behind the outer IP header are refused with EMSGSIZE; 0: none is.
  void limit(uint32_t payload_bytes, uint32_t path_mtu) {
    const std::lock_guard lock(mutex_);
    limit_ = payload_bytes;
    path_mtu_ = path_mtu;
  }

 private:
  friend class FakeWire;
  void show() { bell_.show(!inbox_.empty() || !errors_.empty()); }

  std::mutex mutex_;
  std::deque<Datagram> inbox_;
  std::deque<WireError> errors_;
  std::vector<Datagram> capture_;
  FakeNode* other_ = nullptr;
  std::function<bool(Datagram&)> filter_;
  bool keep_capture_ = true;
  uint32_t limit_ = 0, path_mtu_ = 0;
  int send_error_ = 0;
  uint32_t left_ = 0;
  uint64_t overflow_ = 0;
  FakeBell bell_;
};

class FakeWire final : public WirePort {
 public:
  explicit FakeWire(std::shared_ptr<FakeNode> node) : node_(std::move(node)), fds_{node_->bell_.fd()} {}
  [[nodiscard]] std::span<const int> fds() const override { return fds_; }

  void send(std::span<const WireSend> items, std::span<WireResult> results) override {
    for (size_t i = 0; i < items.size(); ++i) results[i] = send_one(items[i]);
  }

  size_t receive(std::span<uint8_t* const> buffers, std::span<WireReceived> items) override {
    const std::lock_guard lock(node_->mutex_);
    size_t count = 0;
    while (count < items.size() && !node_->inbox_.empty()) {
      items[count] = place(node_->inbox_.front(), buffers[count]);
      node_->inbox_.pop_front();
      ++count;
    }
    node_->show();
    return count;
  }

  size_t errors(std::span<WireError> items) override {
    const std::lock_guard lock(node_->mutex_);
    size_t count = 0;
    for (; count < items.size() && !node_->errors_.empty(); ++count) {
      items[count] = node_->errors_.front();
      node_->errors_.pop_front();
    }
    node_->show();
    return count;
  }

  uint32_t path_mtu(const net::Address&, const net::Address&) override {
    const std::lock_guard lock(node_->mutex_);
    return node_->path_mtu_;
  }

  [[nodiscard]] uint64_t overflow() const override {
    const std::lock_guard lock(node_->mutex_);
    return node_->overflow_;
  }

 private:
  WireResult send_one(const WireSend& item) {
    FakeNode::Datagram datagram{
        item.kind,          item.source,           item.destination,
        item.source_port,   item.destination_port, item.traffic_class,
        item.hoplimit,      item.encaplimit,       item.has_encaplimit,
        item.dont_fragment, item.segment_bytes,    Bytes(item.payload.begin(), item.payload.end())};
    FakeNode* other = nullptr;
    std::function<bool(FakeNode::Datagram&)> filter;
    {
      const std::lock_guard lock(node_->mutex_);
      const size_t largest = item.segment_bytes != 0 ? item.segment_bytes : item.payload.size();
      if (node_->limit_ != 0 && largest > node_->limit_) return {-EMSGSIZE};
      if (node_->send_error_ != 0) return {-node_->send_error_, node_->left_};
      if (node_->keep_capture_) node_->capture_.push_back(datagram);
      other = node_->other_;
      filter = node_->filter_;
    }
    if (filter && !filter(datagram)) return {};
    if (other != nullptr) other->deliver(std::move(datagram));
    return {};
  }

  static WireReceived place(const FakeNode::Datagram& datagram, uint8_t* buffer) {
    WireReceived item{datagram.kind,        datagram.source,        datagram.destination,
                      datagram.source_port, datagram.traffic_class, datagram.hoplimit};
    uint8_t* at = buffer + net::kHeadroom;
    if (datagram.kind == WireKind::ah && datagram.source.is_v4()) {
      item.outer_header = at;
      item.outer_header_bytes = 20;
      write_v4_header(datagram, at);
      at += 20;
    }
    std::copy(datagram.bytes.begin(), datagram.bytes.end(), at);
    item.data = at;
    item.length = static_cast<uint32_t>(datagram.bytes.size());
    item.segment_bytes = datagram.segment_bytes;
    return item;
  }

  // As the kernel does for a raw socket with DF: identification 0.
  static void write_v4_header(const FakeNode::Datagram& datagram, uint8_t* at) {
    std::fill_n(at, 20, uint8_t{0});
    at[0] = 0x45;
    at[1] = datagram.traffic_class;
    store_be16(at + 2, static_cast<uint16_t>(20 + datagram.bytes.size()));
    at[6] = 0x40;
    at[8] = datagram.hoplimit;
    at[9] = net::kProtoAh;
    std::copy_n(datagram.source.bytes().data(), 4, at + 12);
    std::copy_n(datagram.destination.bytes().data(), 4, at + 16);
    uint32_t sum = 0;
    for (int i = 0; i < 20; i += 2) sum += load_be16(at + i);
    sum = (sum & 0xffff) + (sum >> 16);
    store_be16(at + 10, static_cast<uint16_t>(~(sum + (sum >> 16))));
  }

  std::shared_ptr<FakeNode> node_;
  std::array<int, 1> fds_;
};

}  // namespace adit::datapath
