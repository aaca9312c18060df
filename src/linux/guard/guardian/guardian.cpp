#include "linux/guard/guardian/guardian.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>

#include "base/unix_socket.h"
#include "linux/guard/layers/lwtunnel_hooks.h"
#include "linux/netlink/netlink_addresses.h"
#include "linux/netlink/netlink_links.h"
#include "linux/platform/mark.h"
#include "linux/process/cage.h"

namespace adit::platform {
namespace {

constexpr size_t kMostClients = 16;
constexpr size_t kMostUntold = 256;
constexpr auto kTryAgain = std::chrono::seconds(1);
constexpr auto kLook = std::chrono::seconds(30);  // at everything, in case a notice never came
constexpr auto kQuiet = std::chrono::seconds(1);  // without a change: a look at everything would keep the next waiting
constexpr auto kPutOff = std::chrono::minutes(1);
constexpr auto kLookAtSaved = std::chrono::minutes(1);

// 0: there is no such file.
ino_t inode_of(const std::string& path) {
  struct stat found{};
  return lstat(path.c_str(), &found) == 0 ? found.st_ino : 0;
}

// What cannot be looked at is still there.
bool is_still(const std::string& path, ino_t inode) {
  struct stat found{};
  return lstat(path.c_str(), &found) == 0 ? found.st_ino == inode : errno == EACCES;
}

bool has_hung_up(int socket) {
  pollfd one{socket, 0, 0};
  return poll(&one, 1, 0) > 0 && (one.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

}  // namespace

// --- starting

Result<std::unique_ptr<Guardian>> Guardian::start(GuardianSettings settings) {
  std::unique_ptr<Guardian> guardian(new Guardian(std::move(settings)));
  TRY(guardian->take_directory());
  TRY(guardian->bind_socket());
  TRY(guardian->give_up_rights());
  TRY_ASSIGN(guardian->watch_, GuardWatch::start());  // before the layers, so that no touch of them falls between
  TRY_ASSIGN(guardian->layers_, GuardLayers::open(true));
  if (const auto& why = guardian->layers_->lwtunnel_hooks().why_not; !why.empty()) guardian->tell(why);
  if (guardian->layers_->switched_off()) guardian->tell(kGuardSwitchedOff);
  TRY(guardian->close_by_book());
  TRY(guardian->listen());
  return guardian;
}

// The lock is on a file that only root can open.
Result<> Guardian::take_directory() {
  const std::string path = settings_.run + "/adit-guard.pid";
  if (pid_file_.valid() && inode_of(path) == pid_inode_) return {};
  Descriptor file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.valid()) return fail(errno, "cannot write {}: {}", path, std::strerror(errno));
  if (flock(file.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(EBUSY, "another guardian keeps {}; this one is not needed", settings_.run);
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(file.get(), 0) != 0 || pwrite(file.get(), pid.data(), pid.size(), 0) < 0)
    return fail(errno, "cannot write {}: {}", path, std::strerror(errno));
  pid_file_ = std::move(file);
  pid_inode_ = inode_of(path);
  return {};
}

// The book is the authority; what stands in the kernel counts only where no book is there or it is not whole. Either
// way nothing passes before aditd says which devices may.
GuardPlan Guardian::first_plan() {
  GuardPlan plan;
  const auto book = settings_.read_book ? settings_.read_book() : Result<std::optional<GuardianBook>>(std::nullopt);
  if (!book) tell("the guard's book cannot be read: " + book.error().text);
  if (book && *book) {
    plan = (*book)->plan;
    inside_ = (*book)->inside;
  }
  if (!book || !*book || !(*book)->whole) add_what_stands(plan);
  plan.book = settings_.root;
  if (plan.mark == 0) plan.mark = kOuterMark;
  return plan;
}

void Guardian::add_what_stands(GuardPlan& plan) {
  const auto found = layers_->found();
  if (!found || !*found || (*found)->book != settings_.root) return;
  for (const auto& network : (*found)->networks) plan.closed[network];
  plan.generation = std::max(plan.generation, (*found)->generation);
  if (!(*found)->networks.empty())
    tell(fmt::format("no whole book of the guard is there; {} networks that stand closed in the kernel stay closed",
                     (*found)->networks.size()));
}

Result<> Guardian::close_by_book() {
  GuardPlan plan = first_plan();
  const auto done = layers_->replace(plan);
  if (done) {
    follow_inside();
    return {};
  }
  if (done.error().code == EPERM || done.error().code == EBUSY) return done;
  tell(fmt::format("what the book closes cannot be closed in every layer: {}; it is tried again every second",
                   done.error().text));
  owed_ = std::move(plan);
  return {};
}

// Whoever connects before it listens is refused, as where there is no guardian. Root's, and aditd's group's: so from
// the start, since aditd may put something else in its place.
Result<> Guardian::bind_socket() {
  const std::string path = settings_.run + "/guard.sock";
  TRY_ASSIGN(const sockaddr_un name, unix_address(path));
  Descriptor listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.valid()) return fail(errno, "cannot make a socket: {}", std::strerror(errno));
  unlink(path.c_str());  // the directory is ours: its lock is held
  const gid_t group = getegid();
  const bool shared = settings_.daemon && setegid(settings_.daemon->gid) == 0;
  const mode_t mask = umask(shared ? 0117 : 0177);
  const int bound = bind(listener.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name);
  const int error = errno;
  umask(mask);
  if (shared) (void)setegid(group);
  if (bound != 0) return fail(error, "cannot make {}: {}", path, std::strerror(error));
  listener_ = std::move(listener);
  socket_inode_ = inode_of(path);
  return {};
}

Result<> Guardian::give_up_rights() {
  (void)turn_on_lwtunnel_hooks();  // a setting of the machine; the layers ask how it came out
  if (!settings_.give_up_rights) return {};
  TRY_ASSIGN(const auto lacking, settings_.give_up_rights());
  for (const auto& sentence : lacking) tell(sentence);
  return {};
}

Result<> Guardian::listen() {
  if (::listen(listener_.get(), static_cast<int>(kMostClients)) != 0)
    return fail(errno, "cannot listen at {}/guard.sock: {}", settings_.run, std::strerror(errno));
  return {};
}

// The run directory may be lost, or tidied up by somebody: a guardian that no aditd reaches keeps every tunnel closed.
// In its cage it cannot make it again: where no aditd is connected it makes room for a new one, which the service
// manager or aditd starts. False: it does.
bool Guardian::listen_again() {
  if (is_still(settings_.run + "/guard.sock", socket_inode_)) return true;
  if (settings_.give_up_rights) return std::ranges::any_of(clients_, &Client::sends_plans);
  (void)::mkdir(settings_.run.c_str(), 0755);
  if (take_directory() && bind_socket() && listen())
    tell(fmt::format("{}/guard.sock was taken away; it is there again", settings_.run));
  return true;
}

Guardian::~Guardian() {
  if (listener_.valid()) unlink((settings_.run + "/guard.sock").c_str());
}

// --- running

// `adit guard open` without aditd has written an opening into the book.
void Guardian::read_again(int again) {
  std::array<char, 1024> ignored;
  (void)!read(again, ignored.data(), ignored.size());
  if (!alone()) return;
  GuardPlan plan = first_plan();
  const auto done = layers_->replace(plan);
  opened_inside_.clear();
  look_inside_ = true;
  tell(done ? "the book was read again" : "the book was read again and is not in force yet: " + done.error().text);
  if (!done) owed_ = std::move(plan);
}

bool Guardian::alone() const {
  return std::ranges::none_of(clients_, &Client::sends_plans);
}

// What aditd knew when it ended: which interfaces are inside is in the book, as it is now.
void Guardian::learn_inside() {
  const auto book = settings_.read_book ? settings_.read_book() : Result<std::optional<GuardianBook>>(std::nullopt);
  if (book && *book) inside_ = (*book)->inside;
  look_inside_ = true;
}

// nullopt: the kernel does not say.
std::optional<std::set<net::Prefix>> Guardian::inside_networks() {
  std::set<net::Prefix> networks;
  if (inside_.empty()) return networks;
  auto asking = Netlink::open(NETLINK_ROUTE);
  if (!asking) return std::nullopt;
  const auto links = list_links(*asking);
  const auto addresses = list_addresses(*asking);
  if (!links || !addresses) return std::nullopt;
  std::set<int> named;
  for (const LinkDetail& link : *links)
    if (inside_.contains(link.info.name)) named.insert(link.info.index);
  for (const AddressInfo& address : *addresses) {
    if (!named.contains(address.interface_index) || !address.in_a_network()) continue;
    const net::Prefix network = address.local.masked();
    const auto& closed = layers_->plan().closed;
    const bool cut = std::ranges::any_of(closed, [&](const auto& item) {
      return item.first.length() < network.length() && item.first.contains(network);
    });
    if (cut) networks.insert(network);
  }
  return networks;
}

// Without aditd, which knows better: what an inside interface has now is reachable, what it has no more is closed.
void Guardian::follow_inside() {
  if (!alone() || owed_ || !std::exchange(look_inside_, false)) return;
  const auto wanted = inside_networks();
  if (!wanted) {
    look_inside_ = true;
    return;
  }
  GuardChange change{.generation = layers_->plan().generation};
  for (const auto& network : *wanted)
    if (!layers_->plan().inside.contains(network)) change.inside.insert(network);
  for (const auto& network : opened_inside_)
    if (!wanted->contains(network)) change.not_inside.insert(network);
  if (change.nothing()) return;
  if (const auto done = layers_->change(change); !done) {
    tell("the networks of inside interfaces changed, and the guard could not follow: " + done.error().text);
    look_inside_ = true;
    return;
  }
  opened_inside_.insert(change.inside.begin(), change.inside.end());
  for (const auto& network : change.not_inside) opened_inside_.erase(network);
}

void Guardian::let_go_of_gone(const std::vector<pollfd>& ready) {
  const bool was_alone = alone();
  std::erase_if(clients_, [&](Client& client) {
    const auto at = std::ranges::find(ready, client.socket.get(), &pollfd::fd);
    return at != ready.end() && at->revents != 0 && !serve(client);
  });
  if (!was_alone && alone()) learn_inside();
}

void Guardian::run(int stop, int again) {
  for (;;) {
    const auto watched = watch_->fds();
    const int listener = Clock::now() < accept_again_ ? -1 : listener_.get();
    std::vector<pollfd> waiting{{stop, POLLIN, 0}, {listener, POLLIN, 0}, {again, POLLIN, 0}};
    for (const int fd : watched) waiting.push_back({fd, POLLIN, 0});
    for (const Client& client : clients_) waiting.push_back({client.socket.get(), POLLIN, 0});
    const int ready =
        poll(waiting.data(), waiting.size(), static_cast<int>(std::chrono::milliseconds(kTryAgain).count()));
    if (ready < 0 && errno != EINTR) std::this_thread::sleep_for(kTryAgain);  // no memory: not a reason to end
    if (waiting[0].revents != 0) return;
    watch_->drain(*layers_);
    look_inside_ |= watch_->addresses_touched();
    tend();
    if (!listen_again())
      return tell(settings_.run + "/guard.sock was taken away: this guardian ends for one that makes it again");
    if (waiting[1].revents != 0) accept_clients();
    if (waiting[2].revents != 0) read_again(again);
    let_go_of_gone(waiting);
    follow_inside();
  }
}

void Guardian::tend() {
  const auto now = Clock::now();
  if (owed_)
    if (layers_->replace(*owed_)) {
      owed_.reset();
      tell("what the book closes is closed in every layer now");
    }
  if (now >= next_look_ && (now - changed_ >= kQuiet || now >= next_look_ + kPutOff)) {
    next_look_ = now + kLook;
    look_inside_ = true;
    layers_->suspect();
  }
  for (const auto& sentence : layers_->put_back()) tell(sentence);
  for (const auto& sentence : refused_calls()) tell("adit-guard: " + sentence);
  if (now < next_saved_) return;
  next_saved_ = now + kLookAtSaved;
  look_at_saved_rules();
}

void Guardian::look_at_saved_rules() {
  auto told = saved_rules_with_guard(settings_.saved_rules);
  for (const auto& sentence : told)
    if (std::ranges::find(saved_told_, sentence) == saved_told_.end()) tell(sentence);
  saved_told_ = std::move(told);
}

void Guardian::tell(const std::string& sentence) {
  if (settings_.say) settings_.say(sentence);
  bool heard = false;
  GuardMessage message{GuardWord::told, 0, {sentence.begin(), sentence.end()}};
  message.body.resize(std::min(message.body.size(), kMostInline));
  for (const Client& client : clients_)
    if (client.sends_plans) heard |= send_guard_message(client.socket.get(), message).has_value();
  if (heard) return;
  if (untold_.size() >= kMostUntold) untold_.pop_front();
  untold_.push_back(sentence);
}

// --- serving

bool Guardian::may_speak(int socket) const {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid() || (settings_.daemon && peer.uid == settings_.daemon->uid);
}

void Guardian::accept_clients() {
  for (;;) {
    Descriptor one(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!one.valid() && errno != EAGAIN && errno != EINTR) accept_again_ = Clock::now() + kTryAgain;
    if (!one.valid()) return;
    if (!may_speak(one.get())) continue;
    if (clients_.size() >= kMostClients) clients_.erase(clients_.begin());  // the eldest: a new one is never kept out
    clients_.push_back({std::move(one), false});
  }
}

// What somebody asked for and did not wait for has failed for him, and is told again, whole: it is not carried out
// later.
bool Guardian::serve(Client& client) {
  if (has_hung_up(client.socket.get())) return false;
  const auto request = receive_guard_message(client.socket.get());
  if (!request) return false;
  if (!*request) return true;
  const GuardMessage reply = answer(client, **request);
  if (!send_guard_message(client.socket.get(), reply)) return false;
  if (!client.sends_plans) return true;
  auto waiting = std::exchange(untold_, {});
  for (const auto& sentence : waiting) {
    const GuardMessage message{GuardWord::told, 0, {sentence.begin(), sentence.end()}};
    if (!send_guard_message(client.socket.get(), message)) untold_.push_back(sentence);
  }
  return true;
}

GuardMessage Guardian::answer(Client& client, const GuardMessage& request) {
  const auto reply = [&](GuardWord word, std::vector<uint8_t> body = {}) {
    return GuardMessage{word, request.number, std::move(body)};
  };
  if (request.word == GuardWord::state) {
    auto state = layers_->state();
    if (owed_) state = {false, false, false, "what the book closes is not closed in every layer yet"};
    return reply(GuardWord::standing, encode_state(state));
  }
  Result<> done = fail(EINVAL, "not a message of this version of Adit");
  if (request.word == GuardWord::plan) {
    client.sends_plans = true;
    done = take_plan(request.body);
  } else if (request.word == GuardWord::change) {
    const auto change = decode_change(request.body);
    if (!change)
      done = std::unexpected(change.error());
    else if (!client.sends_plans)
      done = fail(ESTALE, "a change without a plan before it");
    else
      done = take_change(*change);
    changed_ = Clock::now();
  }
  return done ? reply(GuardWord::done) : reply(GuardWord::failed, encode_error(done.error()));
}

Result<> Guardian::take_plan(ByteSpan body) {
  TRY_ASSIGN(const GuardPlan plan, decode_plan(body));
  if (plan.book != settings_.root)
    return fail(EBUSY, "this guardian keeps the guard of the Adit with root {}, not of {}", settings_.root, plan.book);
  if (settings_.opening)
    for (const auto& [network, devices] : layers_->plan().closed)
      if (!plan.closed.contains(network)) settings_.opening(network);
  TRY(layers_->replace(plan));
  owed_.reset();
  opened_inside_.clear();
  return {};
}

Result<> Guardian::take_change(const GuardChange& change) {
  if (settings_.opening)
    for (const auto& network : change.open)
      if (layers_->plan().closed.contains(network)) settings_.opening(network);
  return layers_->change(change);
}

}  // namespace adit::platform
