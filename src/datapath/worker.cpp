#include "datapath/worker.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <ctime>
#include <mutex>
#include <thread>
#include <vector>

#include "base/check.h"
#include "datapath/answers.h"
#include "datapath/context.h"
#include "datapath/inbound.h"
#include "datapath/outbound.h"
#include "datapath/outer_errors.h"

namespace adit::datapath {

namespace {

constexpr size_t kReadyAtOnce = 64;
// What epoll says became ready; a link's queue is its LinkId.
constexpr uint64_t kWakeTag = uint64_t{1} << 32, kWireTag = uint64_t{2} << 32, kIkeTag = uint64_t{3} << 32;

uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

struct Worker::Impl {
  Impl(uint32_t index, Shared& shared_, std::unique_ptr<crypto::Engine> engine_, std::unique_ptr<WirePort> wire_)
      : shared(shared_),
        engine(std::move(engine_)),
        wire(std::move(wire_)),
        context{index, shared, *engine, *wire, unlinked, {}, nullptr, 0, 0, false},
        outbound(context, answers),
        inbound(context),
        poll_fd(epoll_create1(EPOLL_CLOEXEC)),
        wake_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  // Of the world outside, so no CHECK: a full table of descriptors, a user's limit of watches.
  Result<> open() {
    if (poll_fd < 0 || wake_fd < 0) return fail(EMFILE, "a worker cannot be made: no descriptor is free");
    TRY(watch(wake_fd, kWakeTag));
    for (const int fd : wire->fds()) TRY(watch(fd, kWireTag));
    return {};
  }
  ~Impl() {
    if (poll_fd >= 0) close(poll_fd);
    if (wake_fd >= 0) close(wake_fd);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // ---- the engine's thread
  void on_worker(std::function<void()> task);
  void ring();

  // ---- the worker's thread, or the test's
  void run();
  size_t round(int timeout_ms);
  size_t carry_ready(std::span<const epoll_event> ready);
  size_t carry_link(tunnel::LinkId id);
  size_t carry_ike();
  void watch_ike_no_more();
  void begin_round();
  void run_tasks();
  int sleep_ms() const;
  [[nodiscard]] Result<> watch(int fd, uint64_t tag) const;

  Shared& shared;
  std::unique_ptr<crypto::Engine> engine;
  std::unique_ptr<WirePort> wire;
  LinkCounters unlinked;
  Context context;
  Answers answers;
  Outbound outbound;
  Inbound inbound;
  std::unordered_map<uint32_t, std::unique_ptr<TunPort>> ports;
  std::vector<tunnel::LinkId> without_fd;  // fakes that cannot be waited for are read each round

  int poll_fd, wake_fd;
  int ike_fd = -1;        // what in.iked asks to send; -1: another worker, or nobody, sends it
  uint64_t ahead_ns = 0;  // tests
  std::thread thread;
  std::atomic<bool> stopping{false};

  std::mutex task_mutex;
  std::condition_variable task_done;
  std::function<void()> task;  // at most one: its giver waits
};

// ---------------------------------------------------------------- the engine's side

// Runs `work` between two rounds, and returns when it has run.
void Worker::Impl::on_worker(std::function<void()> work) {
  if (!thread.joinable()) return work();
  std::unique_lock lock(task_mutex);
  task_done.wait(lock, [this] { return task == nullptr; });
  task = std::move(work);
  ring();
  task_done.wait(lock, [this] { return task == nullptr; });
}

void Worker::Impl::ring() {
  const uint64_t one = 1;
  // A full counter (EAGAIN) is a bell that rings already.
  if (write(wake_fd, &one, sizeof one) < 0) CHECK(errno == EAGAIN);
}

// ---------------------------------------------------------------- the worker's side

Result<> Worker::Impl::watch(int fd, uint64_t tag) const {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return fail(errno, "cannot wait for packets: {}{}", std::strerror(errno),
              errno == ENOSPC ? "; raise fs.epoll.max_user_watches" : "");
}

void Worker::Impl::run() {
  // No spinning: on few cores it takes the processor from whoever makes the next packet.
  while (!stopping.load(std::memory_order_relaxed)) round(sleep_ms());
}

// Milliseconds until something must be done without being asked; -1: nothing.
int Worker::Impl::sleep_ms() const {
  if (!without_fd.empty()) return 1;
  int longest = inbound.holds() ? 100 : inbound.waits_for_fragments() || outbound.waits_for_fragments() ? 1000 : -1;
  if (const auto deadline = outbound.next_deadline_ns()) {
    const uint64_t now = clock_ns(CLOCK_MONOTONIC);
    const uint64_t left_ms = *deadline > now ? (*deadline - now) / 1'000'000 + 1 : 0;
    const int left = static_cast<int>(std::min<uint64_t>(left_ms, 60'000));
    longest = longest < 0 ? left : std::min(longest, left);
  }
  return longest;
}

size_t Worker::Impl::round(int timeout_ms) {
  std::array<epoll_event, kReadyAtOnce> ready;
  const int count = epoll_wait(poll_fd, ready.data(), static_cast<int>(ready.size()), timeout_ms);
  CHECK(count >= 0 || errno == EINTR);
  begin_round();
  size_t moved = carry_ready({ready.data(), static_cast<size_t>(std::max(count, 0))});
  for (const tunnel::LinkId id : without_fd) moved += carry_link(id);
  outbound.flush();
  return moved;
}

void Worker::Impl::begin_round() {
  context.seconds = boot_seconds();
  context.now_ns = clock_ns(CLOCK_MONOTONIC_COARSE) + ahead_ns;
  context.tracing = shared.trace.on();
  if (shared.publisher.refresh(context.snapshot)) outbound.retry_parked();
  outbound.expire_parked();
  outbound.expire_fragments();
  inbound.expire_fragments();
  inbound.retry_held();
}

size_t Worker::Impl::carry_ready(std::span<const epoll_event> ready) {
  size_t moved = 0;
  bool wire_ready = false;
  for (const epoll_event& event : ready) {
    if (event.data.u64 == kWakeTag) {
      run_tasks();
    } else if (event.data.u64 == kWireTag) {
      wire_ready = true;
    } else if (event.data.u64 == kIkeTag) {
      moved += carry_ike();
    } else {
      moved += carry_link(tunnel::LinkId{static_cast<uint32_t>(event.data.u64)});
    }
  }
  outbound.flush();
  if (!wire_ready) return moved;
  moved += inbound.carry_burst();
  carry_outer_errors(context, answers);
  return moved;
}

size_t Worker::Impl::carry_link(tunnel::LinkId id) {
  TunPort* const port = context.tun(id);
  if (port == nullptr) return 0;  // detached earlier in this round
  const Outbound::Read read = outbound.carry_from(id, *port);
  if (read.error != 0) {  // the device is gone; the engine will detach it
    if (port->fd() >= 0) epoll_ctl(poll_fd, EPOLL_CTL_DEL, port->fd(), nullptr);
    std::erase(without_fd, id);
    context.report(LinkIoFailed{id, -read.error});
  }
  return read.packets;
}

size_t Worker::Impl::carry_ike() {
  const size_t taken = outbound.carry_ike();
  if (!context.ike.open()) watch_ike_no_more();
  return taken;
}

void Worker::Impl::watch_ike_no_more() {
  if (ike_fd >= 0) epoll_ctl(poll_fd, EPOLL_CTL_DEL, ike_fd, nullptr);
  ike_fd = -1;
}

void Worker::Impl::run_tasks() {
  uint64_t count = 0;
  if (read(wake_fd, &count, sizeof count) < 0) CHECK(errno == EAGAIN);
  std::function<void()> work;
  {
    const std::lock_guard lock(task_mutex);
    if (task == nullptr) return;
    work = task;
  }
  outbound.flush();
  begin_round();  // drain_older_snapshots() promises the newest snapshot from here on
  work();
  {
    const std::lock_guard lock(task_mutex);
    task = nullptr;
  }
  task_done.notify_all();
}

// ---------------------------------------------------------------- the interface

Worker::Worker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Worker>> Worker::make(uint32_t index, Shared& shared, std::unique_ptr<crypto::Engine> engine,
                                             std::unique_ptr<WirePort> wire) {
  auto impl = std::make_unique<Impl>(index, shared, std::move(engine), std::move(wire));
  TRY(impl->open());
  return std::unique_ptr<Worker>(new Worker(std::move(impl)));
}

Worker::~Worker() {
  stop();
}

Result<> Worker::attach(tunnel::LinkId id, std::unique_ptr<TunPort> port) {
  Result<> result;
  impl_->on_worker([this, id, &port, &result] {
    Impl& impl = *impl_;
    const auto key = static_cast<uint32_t>(id);
    CHECK(!impl.ports.contains(key));
    if (port->fd() < 0)
      impl.without_fd.push_back(id);
    else if (result = impl.watch(port->fd(), key); !result)
      return;
    impl.context.tuns[key] = port.get();
    impl.ports[key] = std::move(port);
  });
  return result;
}

void Worker::detach(tunnel::LinkId id) {
  std::unique_ptr<TunPort> gone;  // closed here, not on the worker's time
  impl_->on_worker([this, id, &gone] {
    Impl& impl = *impl_;
    const auto found = impl.ports.find(static_cast<uint32_t>(id));
    if (found == impl.ports.end()) return;
    gone = std::move(found->second);
    impl.ports.erase(found);
    impl.context.tuns.erase(static_cast<uint32_t>(id));
    std::erase(impl.without_fd, id);
    // May be out of the set already, after a failed read.
    if (gone->fd() >= 0) epoll_ctl(impl.poll_fd, EPOLL_CTL_DEL, gone->fd(), nullptr);
  });
}

Result<> Worker::attach_ike(std::shared_ptr<ike::Port> port, bool sends) {
  Result<> result;
  std::shared_ptr<ike::Port> before;  // goes here, not on the worker's time
  impl_->on_worker([this, &port, &before, sends, &result] {
    Impl& impl = *impl_;
    impl.watch_ike_no_more();
    if (port != nullptr && sends) {
      if (result = impl.watch(port->fd(), kIkeTag); !result) return;
      impl.ike_fd = port->fd();
    }
    before = impl.context.ike.set_port(std::move(port));
  });
  return result;
}

void Worker::start() {
  CHECK(!impl_->thread.joinable());
  impl_->stopping = false;
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

void Worker::stop() {
  if (!impl_->thread.joinable()) return;
  impl_->stopping = true;
  impl_->ring();
  impl_->thread.join();
}

void Worker::wake() {
  impl_->ring();
}

void Worker::drain_older_snapshots() {
  // A task runs with nothing under way and the newest snapshot taken.
  impl_->on_worker([] {});
}

void Worker::pass_time(Seconds seconds) {
  CHECK(!impl_->thread.joinable());
  impl_->ahead_ns += static_cast<uint64_t>(seconds.count()) * 1'000'000'000;
}

size_t Worker::run_once() {
  return impl_->round(0);
}

uint64_t Worker::overflow() const {
  return impl_->wire->overflow();
}

const LinkCounters& Worker::unlinked() const {
  return impl_->unlinked;
}

}  // namespace adit::datapath
