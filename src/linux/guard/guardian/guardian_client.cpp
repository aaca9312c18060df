#include "linux/guard/guardian/guardian_client.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/unix_socket.h"
#include "linux/process/detached.h"

namespace adit::platform {
namespace {

using std::chrono::milliseconds;

constexpr auto kPatience = milliseconds(2000);
constexpr auto kPlanPatience = milliseconds(10000);  // it may have to be started, on a busy machine at boot
constexpr auto kBetweenStarts = std::chrono::seconds(1);
constexpr auto kBetweenCalls = milliseconds(5);

std::unexpected<Error> no_answer(int code, const std::string& why) {
  return fail(code, "the guardian does not answer ({}); nothing new was opened", why);
}

std::string program_beside_us() {
  if (const char* named = std::getenv("ADIT_GUARD_PROGRAM")) return named;
  std::array<char, 4096> own{};
  const ssize_t size = readlink("/proc/self/exe", own.data(), own.size() - 1);
  const std::string path(own.data(), size > 0 ? static_cast<size_t>(size) : 0);
  return path.substr(0, path.rfind('/') + 1) + "adit-guard";
}

}  // namespace

std::vector<std::string> guardian_words(const std::string& root, const std::string& run, const std::string& program) {
  return {program.empty() ? program_beside_us() : program, "--root", root, "--run", run};
}

GuardianClient::GuardianClient(GuardianClientSettings settings)
    : settings_(std::move(settings)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

// --- the connection

Result<> GuardianClient::connect() {
  if (socket_.valid()) return {};
  const std::string path = settings_.run + "/guard.sock";
  TRY_ASSIGN(const sockaddr_un name, unix_address(path));
  Descriptor one(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!one.valid() || ::connect(one.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
    return fail(errno, "{}: {}", path, std::strerror(errno));
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(one.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || !is_guardian(peer.uid))
    return fail(EPERM, "{}: not the guardian's", path);
  epoll_event event{};
  event.events = EPOLLIN;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, one.get(), &event) != 0)
    return fail(errno, "cannot watch the guardian: {}", std::strerror(errno));
  socket_ = std::move(one);
  agreed_ = false;
  return {};
}

bool GuardianClient::is_guardian(uid_t uid) const {
  return uid == 0 || uid == geteuid() || uid == settings_.guardian_uid;
}

void GuardianClient::let_go() {
  socket_ = Descriptor();
  agreed_ = false;
}

Result<> GuardianClient::start_program() {
  next_start_ = Clock::now() + kBetweenStarts;
  if (settings_.launcher) return settings_.launcher->start_guardian();
  return start_detached(guardian_words(settings_.root, settings_.run, settings_.program));
}

// A first start may fail: another guardian is just about to end.
Result<> GuardianClient::connect_or_start(Clock::time_point until) {
  for (auto patience = milliseconds(0);; patience = kPatience) {
    const auto connected = connect();
    if (connected) return {};
    // EACCES: of one that took us for another user. If it is dead, the next one makes the socket anew.
    const int code = connected.error().code;
    const bool none = code == ENOENT || code == ECONNREFUSED || code == EACCES;
    if (none && Clock::now() >= next_start_ + patience) TRY(start_program());
    const bool strangers = code == EPERM;  // waiting makes it nobody else's
    if (strangers || Clock::now() >= until) return connected;
    std::this_thread::sleep_for(kBetweenCalls);
  }
}

// --- asking

Result<GuardMessage> GuardianClient::ask(GuardWord word, std::vector<uint8_t> body, milliseconds patience) {
  const auto until = Clock::now() + patience;
  if (const auto there = connect_or_start(until); !there) return no_answer(there.error().code, there.error().text);
  const GuardMessage question{word, ++number_, std::move(body)};
  if (const auto sent = send_guard_message(socket_.get(), question); !sent) {
    let_go();
    return no_answer(sent.error().code, sent.error().text);
  }
  for (;;) {
    auto answer = receive_guard_message(socket_.get());
    if (!answer) {
      let_go();
      return no_answer(answer.error().code, answer.error().text);
    }
    if (*answer && (*answer)->word == GuardWord::told)
      told_.emplace_back((*answer)->body.begin(), (*answer)->body.end());
    else if (*answer && (*answer)->number == number_)
      return std::move(**answer);
    if (*answer) continue;
    const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now());
    pollfd waiting{socket_.get(), POLLIN, 0};
    if (left.count() > 0) (void)poll(&waiting, 1, static_cast<int>(left.count()) + 1);
    if (left.count() > 0) continue;
    let_go();  // what it may still do is told again, whole
    return no_answer(ETIMEDOUT, "no answer in time");
  }
}

Result<> GuardianClient::order(GuardWord word, std::vector<uint8_t> body, milliseconds patience) {
  TRY_ASSIGN(const GuardMessage answer, ask(word, std::move(body), patience));
  if (answer.word == GuardWord::done) return {};
  if (answer.word == GuardWord::failed) return std::unexpected(decode_error(answer.body));
  let_go();
  return no_answer(EPROTO, "it speaks another language; is it of another version?");
}

Result<> GuardianClient::send_plan(const GuardPlan& plan) {
  TRY(order(GuardWord::plan, encode_plan(plan), kPlanPatience + milliseconds(plan.closed.size())));
  agreed_ = true;
  standby_.reset();
  return {};
}

Result<> GuardianClient::replace(const GuardPlan& plan) {
  const auto done = send_plan(plan);
  if (done) plan_ = plan;
  return done;
}

Result<> GuardianClient::change(const GuardChange& change) {
  if (!plan_) return fail(ESTALE, "a change of the guard without a plan before it");
  if (!agreed_) {  // a new guardian: it knows the book, and not which devices may pass
    GuardPlan next = *plan_;
    advance(next, change);
    return replace(next);
  }
  // It may just look at everything, because others touched something, or make its tables for the first network.
  const auto look = milliseconds((plan_->closed.size() + plan_->flows.size()) / 2);
  TRY(order(GuardWord::change, encode_change(change), kPatience + look));
  advance(*plan_, change);
  return {};
}

GuardState GuardianClient::state() {
  if (socket_.valid()) {
    const auto answer = ask(GuardWord::state, {}, kPatience);
    if (answer && answer->word == GuardWord::standing) return decode_state(answer->body);
  }
  if (standby_) return standby_->state();
  return {false, false, false, "the guardian does not answer"};
}

// --- keeping in touch

std::vector<std::string> GuardianClient::tend() {
  hear();
  if (!socket_.valid()) come_back();
  return std::exchange(told_, {});
}

void GuardianClient::hear() {
  while (socket_.valid()) {
    const auto message = receive_guard_message(socket_.get());
    if (!message) {
      let_go();
      told_.emplace_back("the guardian (adit-guard) has ended; it is started again");
    } else if (!*message) {
      return;
    } else if ((*message)->word == GuardWord::told) {
      told_.emplace_back((*message)->body.begin(), (*message)->body.end());
    }
  }
}

void GuardianClient::come_back() {
  if (!plan_) return;
  const auto there = connect_or_start(Clock::now() + kPatience / 4);
  const auto done = there ? send_plan(*plan_) : there;
  if (done) {
    told_.emplace_back("the guardian (adit-guard) runs again, and all layers of the guard stand");
    return;
  }
  if (!standby_)
    told_.push_back(
        fmt::format("the guardian (adit-guard) cannot be reached: {}; until it can, aditd keeps the guard's "
                    "rule and its lasting table",
                    done.error().text));
  stand_in();
}

void GuardianClient::stand_in() {
  if (!standby_) {
    auto made = GuardLayers::open(false);
    if (!made) return;
    standby_ = std::move(*made);
    if (const auto done = standby_->replace(*plan_); !done) told_.push_back(done.error().text);
    return;
  }
  standby_->suspect();
  for (auto& sentence : standby_->put_back()) told_.push_back(std::move(sentence));
}

// --- looking

Result<std::optional<FoundGuard>> GuardianClient::found() {
  NftGeneration generation;
  TRY_ASSIGN(GuardTable table, GuardTable::open(GuardTable::Kind::lasting, generation));
  return table.found();
}

Result<std::vector<LeakCount>> GuardianClient::leak_counts() {
  NftGeneration generation;
  std::vector<std::vector<LeakCount>> all;
  for (const auto kind : {GuardTable::Kind::lasting, GuardTable::Kind::owned}) {
    TRY_ASSIGN(GuardTable table, GuardTable::open(kind, generation));
    TRY_ASSIGN(all.emplace_back(), table.leaks());
  }
  return sum_of_leaks(all);
}

}  // namespace adit::platform
