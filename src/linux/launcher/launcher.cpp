#include "linux/launcher/launcher.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

#include "linux/nft/nft_render.h"
#include "linux/process/detached.h"

namespace adit::platform {
namespace {

// What the guardian needs for its own start, and nft.
constexpr std::array kKept = {CAP_NET_ADMIN, CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_CHOWN};
constexpr std::array kNftKeeps = {CAP_NET_ADMIN};

enum class Task : uint8_t { guardian, tun, nft };
struct Order {
  Task task = Task::guardian;
  uint8_t nft = 0;  // which of kNftWays
};
struct Answer {
  int code = 0;  // errno
  pid_t process = 0;
  int status = 0;
};

const std::vector<std::vector<std::string>>& nft_ways() {
  static const std::vector<std::vector<std::string>> ways = {
      {"-j", "-f", "-"}, {"-j", "list", "table", "inet", kTableName}, {"-j", "list", "ruleset"}};
  return ways;
}

// --- messages: a plain struct, and descriptors beside it

constexpr size_t kMostDescriptors = 3;

bool send_with(int socket, const void* data, size_t size, std::initializer_list<int> descriptors) {
  iovec part{const_cast<void*>(data), size};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostDescriptors * sizeof(int))> room{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptors.size() != 0) {
    message.msg_control = room.data();
    message.msg_controllen = CMSG_SPACE(descriptors.size() * sizeof(int));
    cmsghdr* control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
    std::memcpy(CMSG_DATA(control), std::data(descriptors), descriptors.size() * sizeof(int));
  }
  ssize_t sent;
  do sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(size);
}

// The number of bytes, 0 at the end; descriptors that came are `descriptors`'.
ssize_t receive_with(int socket, void* data, size_t size, std::vector<Descriptor>& descriptors) {
  iovec part{data, size};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostDescriptors * sizeof(int))> room{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room.data();
  message.msg_controllen = room.size();
  ssize_t got;
  do got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  for (cmsghdr* control = CMSG_FIRSTHDR(&message); got >= 0 && control != nullptr;
       control = CMSG_NXTHDR(&message, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    std::array<int, kMostDescriptors> numbers{};
    const size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::memcpy(numbers.data(), CMSG_DATA(control), count * sizeof(int));
    for (size_t i = 0; i < count; ++i) descriptors.emplace_back(numbers.at(i));
  }
  return got;
}

// --- the other process

[[noreturn]] void become_nft(const LauncherSettings& settings, const std::vector<std::string>& arguments,
                             const NftFiles& files) {
  for (const int one : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) std::signal(one, SIG_DFL);
  if (!keep_only(kNftKeeps, settings.nft_user)) _exit(126);
  exec_nft(arguments, files);
  _exit(127);
}

Answer run_nft_for(const LauncherSettings& settings, const Order& order, const std::vector<Descriptor>& files) {
  if (files.size() != kMostDescriptors || order.nft >= nft_ways().size()) return {.code = EINVAL};
  if (!has_nft()) return {.code = ENOENT};
  const pid_t child = fork();
  if (child < 0) return {.code = errno};
  if (child == 0) become_nft(settings, nft_ways().at(order.nft), {files[0].get(), files[1].get(), files[2].get()});
  Answer answer{.process = child};
  while (waitpid(child, &answer.status, 0) < 0 && errno == EINTR) {
  }
  return answer;
}

bool serve_one(int socket, const LauncherSettings& settings) {
  Order order;
  std::vector<Descriptor> came;
  if (receive_with(socket, &order, sizeof order, came) != static_cast<ssize_t>(sizeof order)) return false;
  Answer answer;
  Descriptor tun;
  if (order.task == Task::guardian) {
    if (const auto started = start_detached(settings.guardian); !started) answer.code = started.error().code;
  } else if (order.task == Task::tun) {
    tun = Descriptor(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (!tun.valid()) answer.code = errno;
  } else {
    answer = run_nft_for(settings, order, came);
  }
  return tun.valid() ? send_with(socket, &answer, sizeof answer, {tun.get()})
                     : send_with(socket, &answer, sizeof answer, {});
}

[[noreturn]] void launch(int socket, const LauncherSettings& settings) {
  (void)prctl(PR_SET_NAME, "aditd-launcher", 0, 0, 0);
  // It ends with aditd, and not before it: a service manager's signal comes to both.
  for (const int one : {SIGTERM, SIGINT, SIGHUP}) std::signal(one, SIG_IGN);
  if (!keep_only(kKept)) _exit(1);
  while (serve_one(socket, settings)) {
  }
  _exit(0);
}

// --- aditd's side

struct Heard {
  Answer answer;
  std::vector<Descriptor> descriptors;
};

Result<Heard> ask(int socket, const Order& order, std::initializer_list<int> descriptors) {
  Heard heard;
  if (!send_with(socket, &order, sizeof order, descriptors) ||
      receive_with(socket, &heard.answer, sizeof heard.answer, heard.descriptors) !=
          static_cast<ssize_t>(sizeof heard.answer))
    return fail(EPIPE, "aditd's launcher has ended; restart aditd");
  return heard;
}

}  // namespace

Result<std::shared_ptr<Launcher>> Launcher::start(const LauncherSettings& settings) {
  std::array<int, 2> pair{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0)
    return fail(errno, "cannot make the launcher's sockets: {}", std::strerror(errno));
  Descriptor ours(pair[0]), theirs(pair[1]);
  const pid_t child = fork();
  if (child < 0) return fail(errno, "cannot start the launcher: {}", std::strerror(errno));
  if (child == 0) {
    ours = Descriptor();
    launch(theirs.get(), settings);
  }
  return std::shared_ptr<Launcher>(new Launcher(std::move(ours)));
}

Result<> Launcher::start_guardian() const {
  TRY_ASSIGN(const Heard heard, ask(socket_.get(), {Task::guardian}, {}));
  if (heard.answer.code == 0) return {};
  return fail(heard.answer.code, "cannot start the guardian (adit-guard): {}", std::strerror(heard.answer.code));
}

Result<Descriptor> Launcher::open_tun() const {
  TRY_ASSIGN(Heard heard, ask(socket_.get(), {Task::tun}, {}));
  if (heard.descriptors.size() == 1) return std::move(heard.descriptors.front());
  return fail(heard.answer.code, "cannot open /dev/net/tun: {}", std::strerror(heard.answer.code));
}

Result<NftEnd> Launcher::run_nft(const std::vector<std::string>& arguments, const NftFiles& files) const {
  const auto way = std::ranges::find(nft_ways(), arguments);
  if (way == nft_ways().end()) return fail(EINVAL, "aditd does not run nft so");
  const Order order{Task::nft, static_cast<uint8_t>(way - nft_ways().begin())};
  TRY_ASSIGN(const Heard heard, ask(socket_.get(), order, {files.in, files.out, files.errors}));
  if (heard.answer.code == ENOENT) return no_nft();
  if (heard.answer.code != 0) return fail(heard.answer.code, "cannot run nft: {}", std::strerror(heard.answer.code));
  return NftEnd{heard.answer.process, heard.answer.status};
}

bool Launcher::lives() const {
  pollfd end{socket_.get(), 0, 0};
  return poll(&end, 1, 0) == 0;
}

}  // namespace adit::platform
