// The commands' side of PF_POLICY: blocking, one socket. Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "protocol/pf_policy/message.h"

namespace adit::protocol {

struct DumpedRule {
  std::string head;  // "": the host
  spd::Rule rule;    // its family only as far as an address tells; otherwise v4
  bool family_known = false;
};

class PolicyClient {
 public:
  // ENOENT, ECONNREFUSED: no daemon there; EACCES. The text says what to do.
  static Result<PolicyClient> connect(const std::string& socket_path);
  PolicyClient(PolicyClient&& other) noexcept;
  PolicyClient& operator=(PolicyClient&& other) noexcept;
  ~PolicyClient();

  // Numbers the message, asks for sentences, sends it and waits for the answer. A refusal: the errno, diagnostic and
  // sentence of the answer, or EPIPE and such of the connection.
  PolicyResult<PolicyMessage> ask(PolicyMessage request);

  // ADDRULE of one spec; the last index.
  PolicyResult<uint64_t> add(uint8_t spdid, const std::string& head, const spd::RuleSpec& spec,
                             bool override_others = false);
  // FLUSH, FLIP, CLONE … of one head, "" the host's, nullopt all.
  PolicyResult<PolicyMessage> command(PolicyCommand command, uint8_t spdid, const std::optional<std::string>& head,
                                      const std::string& name_space);
  // DUMP. Starts again while the rules change, up to `tries` times; then what was told last, which is whole, only not
  // the newest. `name_space`: nullopt all.
  PolicyResult<std::vector<DumpedRule>> dump(const std::optional<std::string>& head,
                                             const std::optional<std::string>& name_space, int tries = 5);

 private:
  explicit PolicyClient(int fd) : fd_(fd) {}
  PolicyResult<> send(PolicyMessage& message);
  PolicyResult<PolicyMessage> receive();
  PolicyResult<std::pair<std::vector<DumpedRule>, bool>> dump_once(PolicyMessage request);

  int fd_ = -1;
  uint32_t seq_ = 0;
  std::vector<uint8_t> buffer_;
};

// The message that asks for a head: no TUN_NAME for "", an empty one for nullopt.
PolicyMessage policy_request(PolicyCommand command, uint8_t spdid, const std::optional<std::string>& head,
                             const std::string& name_space);

}  // namespace adit::protocol
