// One PF_POLICY conversation: requests in, answers out; its drafts and its dump. No sockets, so that tests and fuzzers
// drive it directly. Engine thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "control/policy_access.h"
#include "protocol/pf_policy/message.h"
#include "server/admission.h"
#include "server/pf_policy_dump.h"

namespace adit::protocol {

class PolicySession {
 public:
  static constexpr size_t kMaxDrafts = 16;

  // Asked before its drafts, or what a dump keeps, are so large: may they be?
  using Hold = std::function<bool(Admission::Seat::Kind, size_t bytes)>;

  // `caller` without an owner; `access` outlives the session. Without `hold` nothing is too large.
  PolicySession(engine::PolicyAccess& access, engine::PolicyCaller caller, Hold hold = {});
  ~PolicySession();

  // REQUIRES: !pending(). Does what one message asks; its answers follow by front().
  void handle(ByteSpan request);

  // Answers wait to be sent: take no further request meanwhile. A dump makes one message at a time, so that a reader
  // that does not read costs one message and the snapshot it began with.
  [[nodiscard]] bool pending() const;
  [[nodiscard]] ByteSpan front();  // REQUIRES: pending(); valid until pop
  void pop();

 private:
  struct Request;
  void answer_one(ByteSpan request);
  PolicyResult<> perform(const Request& request);
  PolicyResult<> check(const Request& request) const;
  PolicyResult<> flush(const Request& request);
  PolicyResult<> add_rule(const Request& request);
  PolicyResult<> delete_rule(const Request& request);
  PolicyResult<> flip(const Request& request);
  PolicyResult<> clone(const Request& request);
  PolicyResult<> lookup(const Request& request);
  PolicyResult<> dump(const Request& request);
  PolicyResult<> list_algorithms(const Request& request);
  PolicyResult<> update_algorithms(const Request& request);

  PolicyResult<spd::Draft*> draft_of(const Request& request);
  PolicyResult<> hold_drafts(size_t more);
  PolicyResult<> hold_dump(size_t bytes);
  std::shared_ptr<const spd::HeadSet> heads_to_tell(const PolicyDump::Wish& wish);
  PolicyResult<spd::RuleSpec> spec_of(const Request& request) const;
  void answer(std::vector<uint8_t> bytes) { answer_ = std::move(bytes); }
  void echo(const Request& request, std::optional<uint64_t> index = {}, std::optional<uint64_t> generation = {});
  void answer_refusal(ByteSpan request, const PolicyRefusal& refusal);

  engine::PolicyAccess& access_;
  const engine::PolicyCaller peer_;
  const Hold hold_;
  std::map<std::string, spd::Draft> drafts_;  // by namespace
  std::optional<std::vector<uint8_t>> answer_;
  std::unique_ptr<PolicyDump> dump_;
};

}  // namespace adit::protocol
