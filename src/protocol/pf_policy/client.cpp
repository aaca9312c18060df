#include "protocol/pf_policy/client.h"

#include <adit/pfpolicy.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "base/unix_socket.h"
#include "protocol/pf_policy/actions.h"
#include "protocol/pf_policy/codec.h"

namespace adit::protocol {
namespace {

constexpr size_t kLongestAnswer = size_t{65535} * 8;  // what a length can say

spd::Rule rule_of(const PolicyMessage& message) {
  const uint32_t flags = message.rule->flags;
  spd::Rule rule{.index = message.rule->index,
                 .priority = message.rule->priority,
                 .direction = (flags & SPD_RULE_FLAG_INBOUND) != 0 ? spd::Direction::in : spd::Direction::out,
                 .selector = message.selector};
  if (message.tunnel) rule.mode = (flags & SPD_RULE_FLAG_TUNNEL) != 0 ? spd::Mode::tunnel : spd::Mode::transport;
  if (const auto& prefix = rule.selector.local ? rule.selector.local : rule.selector.remote)
    rule.family = prefix->family();
  if (message.name_space) rule.name_space = message.name_space->name;
  if (message.origin) rule.origin = *message.origin;
  if (message.text) rule.waits_for = *message.text;
  return rule;
}

}  // namespace

PolicyMessage policy_request(PolicyCommand command, uint8_t spdid, const std::optional<std::string>& head,
                             const std::string& name_space) {
  PolicyMessage message;
  message.header.type = static_cast<uint8_t>(command);
  message.header.spdid = spdid;
  if (!head)
    message.tunnel = "";
  else if (!head->empty())
    message.tunnel = *head;
  if (!name_space.empty()) message.name_space = PolicyNamespaceExt{0, name_space};
  return message;
}

Result<PolicyClient> PolicyClient::connect(const std::string& socket_path) {
  const auto fd = connect_to_aditd(socket_path, SOCK_SEQPACKET);
  if (fd) return PolicyClient(*fd);
  if (const int error = fd.error().code; error == EACCES || error == EPERM)
    return fail(error, "Insufficient privileges to open PF_POLICY socket.");  // the reference's own words
  return std::unexpected(fd.error());
}

PolicyClient::PolicyClient(PolicyClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), seq_(other.seq_), buffer_(std::move(other.buffer_)) {}
PolicyClient& PolicyClient::operator=(PolicyClient&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(seq_, other.seq_);
  std::swap(buffer_, other.buffer_);
  return *this;
}
PolicyClient::~PolicyClient() {
  if (fd_ >= 0) ::close(fd_);
}

PolicyResult<> PolicyClient::send(PolicyMessage& message) {
  message.header.seq = ++seq_;
  message.header.pid = static_cast<uint32_t>(::getpid());
  message.text = "";
  const auto bytes = encode_policy(message);
  if (bytes.size() > SPD_MAX_MESSAGE) return refuse(E2BIG, 0, "the rule is too large for one message");
  for (;;) {
    if (::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0) return {};
    if (errno != EINTR) return refuse(errno, 0, fmt::format("aditd closed the connection: {}", std::strerror(errno)));
  }
}

PolicyResult<PolicyMessage> PolicyClient::receive() {
  buffer_.resize(kLongestAnswer);  // once: a dump has many messages
  for (;;) {
    const ssize_t got = ::recv(fd_, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return refuse(errno, 0, fmt::format("no answer from aditd: {}", std::strerror(errno)));
    if (got == 0) return refuse(EPIPE, 0, "aditd closed the connection");
    return decode_policy(ByteSpan(buffer_).first(static_cast<size_t>(got)));
  }
}

PolicyResult<PolicyMessage> PolicyClient::ask(PolicyMessage request) {
  if (auto sent = send(request); !sent) return std::unexpected(sent.error());
  for (;;) {
    auto answer = receive();
    if (!answer) return answer;
    if (answer->header.seq != request.header.seq) continue;  // left over from a dump that was given up
    if (answer->header.error == 0) return answer;
    return refuse(answer->header.error, answer->header.diagnostic,
                  answer->text && !answer->text->empty() ? *answer->text
                                                         : std::string(diagnostic_text(answer->header.diagnostic)));
  }
}

PolicyResult<uint64_t> PolicyClient::add(uint8_t spdid, const std::string& head, const spd::RuleSpec& spec,
                                         bool override_others) {
  PolicyMessage request = policy_request(PolicyCommand::add_rule, spdid, head, spec.name_space);
  if (override_others) request.name_space = PolicyNamespaceExt{SPD_NAMESPACE_OVERRIDE, spec.name_space};
  uint32_t flags = (spec.inbound ? SPD_RULE_FLAG_INBOUND : 0u) | (spec.outbound ? SPD_RULE_FLAG_OUTBOUND : 0u);
  if (spec.mode == spd::Mode::tunnel) flags |= SPD_RULE_FLAG_TUNNEL;
  request.rule = PolicyRuleExt{spec.priority, flags, 0};
  request.selector = spec.selector;
  request.actions = encode_actions(spec.actions);
  if (spec.origin.line != 0) request.origin = spec.origin;
  const auto answer = ask(std::move(request));
  if (!answer) return std::unexpected(answer.error());
  if (!answer->rule) return refuse(EPROTO, 0, "aditd answered without a rule");
  return answer->rule->index;
}

PolicyResult<PolicyMessage> PolicyClient::command(PolicyCommand command, uint8_t spdid,
                                                  const std::optional<std::string>& head,
                                                  const std::string& name_space) {
  return ask(policy_request(command, spdid, head, name_space));
}

PolicyResult<std::pair<std::vector<DumpedRule>, bool>> PolicyClient::dump_once(PolicyMessage request) {
  auto first = ask(std::move(request));
  if (!first) return std::unexpected(first.error());
  std::vector<DumpedRule> rules;
  for (;;) {
    auto message = receive();
    if (!message) return std::unexpected(message.error());
    if (message->ruleset) return std::pair(std::move(rules), message->header.error == EAGAIN);
    if (message->header.error != 0)
      return refuse(message->header.error, message->header.diagnostic, "the dump broke off");
    if (!message->rule || !message->actions) return refuse(EPROTO, 0, "aditd sent a rule without its parts");
    DumpedRule dumped{.head = message->tunnel.value_or(""),
                      .rule = rule_of(*message),
                      .family_known = message->selector.local || message->selector.remote};
    auto actions = decode_actions(*message->actions, dumped.rule.mode == spd::Mode::tunnel);
    if (!actions) return std::unexpected(actions.error());
    dumped.rule.actions = std::move(*actions);
    rules.push_back(std::move(dumped));
  }
}

PolicyResult<std::vector<DumpedRule>> PolicyClient::dump(const std::optional<std::string>& head,
                                                         const std::optional<std::string>& name_space, int tries) {
  PolicyMessage request = policy_request(PolicyCommand::dump, SPD_ACTIVE, head, "");
  request.name_space = PolicyNamespaceExt{name_space ? 0u : uint32_t{SPD_NAMESPACE_ALL}, name_space.value_or("")};
  for (int round = 1;; ++round) {
    auto told = dump_once(request);
    if (!told) return std::unexpected(told.error());
    if (!told->second || round >= tries) return std::move(told->first);
  }
}

}  // namespace adit::protocol
