#include "server/pf_policy_session.h"

#include <adit/pfpolicy.h>

#include "base/check.h"
#include "protocol/pf_policy/actions.h"
#include "protocol/pf_policy/algorithms.h"
#include "protocol/pf_policy/codec.h"
#include "server/door.h"
#include "server/pf_policy_lookup.h"

namespace adit::protocol {
namespace {

// The engine's errors have no diagnostic of their own; these have one on the wire.
PolicyRefusal refusal_of(const Error& error) {
  switch (error.code) {
    case EPERM:
    case EACCES:
      return {error.code, SPD_DIAGNOSTIC_NOT_PERMITTED, error.text};
    case EAGAIN:
      return {error.code, SPD_DIAGNOSTIC_OUTDATED_DRAFT, error.text};
    case EDQUOT:
      return {error.code, SPD_DIAGNOSTIC_LIMIT, error.text};
    case ENOTSUP:
      return {error.code, SPD_DIAGNOSTIC_HOST_IPSEC, error.text};
    default:
      return {error.code, 0, error.text};
  }
}

template <typename T>
PolicyResult<T> from_engine(Result<T> result) {
  if (!result) return std::unexpected(refusal_of(result.error()));
  if constexpr (std::is_void_v<T>)
    return {};
  else
    return std::move(*result);
}

// A name is in listings, which may be given back: nothing in it ends a word.
constexpr std::string_view kTunnelNameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.";
constexpr size_t kMostConsequences = 3800;  // of a text's 4000 bytes

size_t memory_of(const spd::HeadSet& heads) {
  size_t bytes = 0;
  heads.for_each([&](const std::string&, const auto& head) {
    for (const spd::Rule& rule : head->rules()) bytes += spd::memory_of(rule);
  });
  return bytes;
}

bool is_change(PolicyCommand command) {
  switch (command) {
    case PolicyCommand::lookup:
    case PolicyCommand::dump:
    case PolicyCommand::alg_list:
    case PolicyCommand::dump_algs:
      return false;
    default:
      return true;
  }
}

}  // namespace

struct PolicySession::Request {
  ByteSpan bytes;
  PolicyMessage message;
  engine::PolicyCaller caller;
  engine::Consequences::Watch watch;  // what becomes of tunnels meanwhile

  [[nodiscard]] PolicyCommand command() const { return static_cast<PolicyCommand>(message.header.type); }
  [[nodiscard]] bool standby() const { return message.header.spdid == SPD_STANDBY; }
  [[nodiscard]] bool all_heads() const { return message.tunnel && message.tunnel->empty(); }
  [[nodiscard]] bool all_namespaces() const {
    return message.name_space && (message.name_space->flags & SPD_NAMESPACE_ALL) != 0;
  }
  [[nodiscard]] std::string head() const { return message.tunnel.value_or(""); }
  // nullopt: all of them.
  [[nodiscard]] std::optional<std::string_view> one_head() const {
    if (all_heads()) return std::nullopt;
    return message.tunnel ? std::string_view(*message.tunnel) : std::string_view();
  }
  [[nodiscard]] std::string consequences() const;
};

PolicySession::PolicySession(engine::PolicyAccess& access, engine::PolicyCaller caller, Hold hold)
    : access_(access), peer_(std::move(caller)), hold_(std::move(hold)) {}
PolicySession::~PolicySession() {
  access_.connection_closed(peer_);
}

void PolicySession::handle(ByteSpan bytes) {
  CHECK(!pending());
  if (const auto wrong = at_the_door([&] { answer_one(bytes); })) answer_refusal(bytes, {wrong->code, 0, wrong->text});
}

void PolicySession::answer_one(ByteSpan bytes) {
  auto message = decode_policy(bytes);
  if (!message) return answer_refusal(bytes, message.error());
  Request request{bytes, std::move(*message), peer_, engine::Consequences::Watch(access_.consequences())};
  if (const auto& name_space = request.message.name_space) {
    request.caller.owner = {name_space->name, (name_space->flags & SPD_NAMESPACE_OVERRIDE) != 0};
    request.caller.all_namespaces = request.all_namespaces();
  }
  if (auto done = perform(request); !done) answer_refusal(bytes, done.error());
}

bool PolicySession::pending() const {
  return answer_.has_value() || dump_ != nullptr;
}

ByteSpan PolicySession::front() {
  if (!answer_ && dump_) {
    const auto& name_space = dump_->name_space();
    const spd::Database& database = access_.database();
    answer_ = dump_->next(name_space ? database.generation_of(*name_space) : database.generation());
  }
  CHECK(answer_.has_value());
  return *answer_;
}

void PolicySession::pop() {
  answer_.reset();
  if (!dump_) return;
  const auto& name_space = dump_->name_space();
  const spd::Database& database = access_.database();
  answer_ = dump_->next(name_space ? database.generation_of(*name_space) : database.generation());
  if (answer_) return;
  dump_.reset();
  (void)hold_dump(0);
}

// A sentence a line, as many as a text holds.
std::string PolicySession::Request::consequences() const {
  std::string text;
  const auto sentences = watch.sentences();
  size_t told = 0;
  for (const std::string& sentence : sentences) {
    if (text.size() + sentence.size() > kMostConsequences) break;
    text += (text.empty() ? "" : "\n") + sentence.substr(0, sentence.find('\n'));
    ++told;
  }
  if (told < sentences.size())
    text += fmt::format("\nand {} tunnels more: 'adit status' names them", sentences.size() - told);
  return text;
}

void PolicySession::echo(const Request& request, std::optional<uint64_t> index, std::optional<uint64_t> generation) {
  const std::string text = request.message.text ? request.consequences() : std::string();
  answer(echo_policy(request.bytes, {.index = index, .generation = generation, .text = text}));
}

void PolicySession::answer_refusal(ByteSpan request, const PolicyRefusal& refusal) {
  PolicyMessage message{.header = read_policy_header(request).value_or(PolicyHeader{})};
  message.header.version = PF_POLICY_V1;  // whatever was asked for: this is what is here
  message.header.error = static_cast<uint8_t>(refusal.code);
  message.header.diagnostic = refusal.diagnostic;
  if (asks_for_text(request)) message.text = refusal.text;
  answer(encode_policy(message));
}

PolicyResult<> PolicySession::check(const Request& request) const {
  switch (request.command()) {
    case PolicyCommand::flush:
    case PolicyCommand::dump:
    case PolicyCommand::flip:
    case PolicyCommand::clone:
      break;
    default:
      if (request.all_heads())
        return refuse(EINVAL, SPD_DIAGNOSTIC_NOT_GLOBAL_OP,
                      "this command is about one policy head; name the tunnel, or none for the host");
  }
  return from_engine(access_.permit(request.caller, request.one_head(), is_change(request.command())));
}

PolicyResult<> PolicySession::perform(const Request& request) {
  if (auto checked = check(request); !checked) return checked;
  switch (request.command()) {
    case PolicyCommand::flush:
      return flush(request);
    case PolicyCommand::add_rule:
      return add_rule(request);
    case PolicyCommand::delete_rule:
      return delete_rule(request);
    case PolicyCommand::flip:
      return flip(request);
    case PolicyCommand::lookup:
      return lookup(request);
    case PolicyCommand::dump:
      return dump(request);
    case PolicyCommand::clone:
      return clone(request);
    case PolicyCommand::alg_list:
    case PolicyCommand::dump_algs:
      return list_algorithms(request);
    case PolicyCommand::update_algs:
      return update_algorithms(request);
  }
  return refuse(EINVAL, SPD_DIAGNOSTIC_BAD_MSG_TYPE, "there is no such command");
}

// Standby is a draft of the connection's own; the first touch makes an empty one.
PolicyResult<spd::Draft*> PolicySession::draft_of(const Request& request) {
  const std::string& name_space = request.caller.owner.name_space;
  if (const auto found = drafts_.find(name_space); found != drafts_.end()) return &found->second;
  if (drafts_.size() == kMaxDrafts)
    return refuse(EDQUOT, SPD_DIAGNOSTIC_LIMIT,
                  fmt::format("a connection has drafts of up to {} namespaces", kMaxDrafts));
  return &drafts_.emplace(name_space, access_.database().empty_draft(name_space)).first->second;
}

// A user's drafts on all connections count together.
PolicyResult<> PolicySession::hold_drafts(size_t more) {
  if (!hold_) return {};
  for (const auto& [name_space, draft] : drafts_) more += draft.bytes();
  if (hold_(Admission::Seat::Kind::drafts, more)) return {};
  return refuse(
      EDQUOT, SPD_DIAGNOSTIC_LIMIT,
      fmt::format("the drafts of user id {}, or of all users, are too large together: flip or flush some", peer_.uid));
}

PolicyResult<> PolicySession::flush(const Request& request) {
  if (request.standby()) {
    auto draft = draft_of(request);
    if (!draft) return std::unexpected(draft.error());
    if (request.all_heads())
      access_.database().flush_all(**draft);
    else if (auto flushed = from_engine(access_.database().flush(**draft, request.head())); !flushed)
      return flushed;
    if ((*draft)->size() == 0) drafts_.erase(request.caller.owner.name_space);  // the next one begins with now
    (void)hold_drafts(0);
  } else if (auto flushed = from_engine(access_.flush_rules(request.caller, request.one_head())); !flushed) {
    return flushed;
  }
  echo(request);
  return {};
}

// What ADDRULE and DELETERULE by selectors say, without actions.
PolicyResult<spd::RuleSpec> PolicySession::spec_of(const Request& request) const {
  const PolicyMessage& message = request.message;
  if (!message.rule) return refuse(EINVAL, SPD_DIAGNOSTIC_NO_RULE_EXT, "there is no RULE extension");
  const uint32_t flags = message.rule->flags;
  if ((flags & ~uint32_t{SPD_RULE_FLAG_INBOUND | SPD_RULE_FLAG_OUTBOUND | SPD_RULE_FLAG_TUNNEL}) != 0)
    return refuse(EINVAL, SPD_DIAGNOSTIC_MALFORMED_RULE, fmt::format("unknown rule flags in {:#x}", flags));
  spd::RuleSpec spec{.priority = message.rule->priority,
                     .inbound = (flags & SPD_RULE_FLAG_INBOUND) != 0,
                     .outbound = (flags & SPD_RULE_FLAG_OUTBOUND) != 0,
                     .selector = message.selector,
                     .name_space = request.caller.owner.name_space,
                     .origin = message.origin.value_or(spd::Origin{})};
  if ((flags & SPD_RULE_FLAG_TUNNEL) != 0)
    spec.mode = spd::Mode::tunnel;
  else
    spec.mode = message.tunnel ? spd::Mode::transport : spd::Mode::none;
  if (spec.mode == spd::Mode::transport && spec.selector != spd::Selector{})
    return refuse(EINVAL, SPD_DIAGNOSTIC_NO_TUN_SELECTORS, "a tunnel that negotiates transport takes no selectors");
  return spec;
}

PolicyResult<> PolicySession::add_rule(const Request& request) {
  if (const std::string head = request.head(); head.find_first_not_of(kTunnelNameLetters) != head.npos)
    return refuse(EINVAL, SPD_DIAGNOSTIC_MALFORMED_TUN_NAME,
                  fmt::format("'{}' is not a valid tunnel name: only letters, digits, '_' and '.' are allowed", head));
  auto spec = spec_of(request);
  if (!spec) return std::unexpected(spec.error());
  if (!request.message.actions) return refuse(EINVAL, SPD_DIAGNOSTIC_NO_ACTION_EXT, "there is no ACTION extension");
  if (request.message.rule->index != 0)
    return refuse(EINVAL, SPD_DIAGNOSTIC_INVALID_RULE_INDEX, "a new rule has no index yet: it must be 0");
  const auto wishes = decode_actions(*request.message.actions, spec->mode == spd::Mode::tunnel);
  if (!wishes) return std::unexpected(wishes.error());
  auto actions = spd::resolve_algorithms(*wishes, access_.algorithms());
  if (!actions) return refuse(actions.error().error.code, actions.error().diagnostic, actions.error().error.text);
  spec->actions = std::move(*actions);

  PolicyResult<uint64_t> index;
  if (request.standby()) {
    auto draft = draft_of(request);
    if (!draft) return std::unexpected(draft.error());
    const auto entries = spd::expand(*spec);
    size_t more = 0;
    for (const spd::Rule& entry : entries) more += spd::memory_of(entry);
    if (auto held = hold_drafts(more); !held) return std::unexpected(held.error());
    index = from_engine(access_.database().add(**draft, request.head(), entries));
    (void)hold_drafts(0);
  } else {
    index = from_engine(access_.add_rules(request.caller, request.head(), spd::expand(*spec)));
  }
  if (!index) return std::unexpected(index.error());
  echo(request, *index);
  return {};
}

PolicyResult<> PolicySession::delete_rule(const Request& request) {
  const auto spec = spec_of(request);
  if (!spec) return std::unexpected(spec.error());
  const uint64_t index = request.message.rule->index;
  PolicyResult<> removed;
  if (request.standby()) {
    auto draft = draft_of(request);
    if (!draft) return std::unexpected(draft.error());
    spd::Database& database = access_.database();
    removed = from_engine(index != 0 ? database.remove(**draft, request.head(), index)
                                     : database.remove(**draft, request.head(), spd::expand(*spec)));
  } else {
    removed = from_engine(index != 0 ? access_.remove_rule(request.caller, request.head(), index)
                                     : access_.remove_rules(request.caller, request.head(), spd::expand(*spec)));
  }
  if (removed) echo(request);
  return removed;
}

PolicyResult<> PolicySession::flip(const Request& request) {
  const PolicyTransactionExt how = request.message.transaction.value_or(PolicyTransactionExt{});
  if ((how.flags & SPD_TRANSACTION_CONFIRM) != 0 || (how.flags & SPD_TRANSACTION_UNDO) != 0) {
    const bool confirm = (how.flags & SPD_TRANSACTION_CONFIRM) != 0;
    auto done = from_engine(confirm ? access_.confirm_flip(request.caller) : access_.undo_flip(request.caller));
    if (done) echo(request, {}, access_.database().generation_of(request.caller.owner.name_space));
    return done;
  }
  auto draft = draft_of(request);
  if (!draft) return std::unexpected(draft.error());
  const auto generation = from_engine(
      access_.flip(request.caller, **draft, request.one_head(),
                   {.force = (how.flags & SPD_TRANSACTION_FORCE) != 0, .confirm_seconds = how.confirm_seconds}));
  if (!generation) return std::unexpected(generation.error());
  // What was in force is in the draft now, to be flipped in again; if there is no room for it, that way back is gone.
  if (!hold_drafts(0)) {
    access_.database().flush_all(**draft);
    (void)hold_drafts(0);
  }
  echo(request, {}, *generation);
  return {};
}

PolicyResult<> PolicySession::clone(const Request& request) {
  auto draft = draft_of(request);
  if (!draft) return std::unexpected(draft.error());
  const spd::Database& database = access_.database();
  spd::Draft before = **draft;
  if (request.all_heads())
    database.clone_all(**draft);
  else if (auto cloned = from_engine(database.clone(**draft, request.head())); !cloned)
    return cloned;
  if (auto held = hold_drafts(0); !held) {
    **draft = std::move(before);
    return held;
  }
  echo(request, {}, (*draft)->based_on());
  return {};
}

PolicyResult<> PolicySession::lookup(const Request& request) {
  const auto head = access_.database().current()->find(request.head());
  const auto rule = lookup_rule(request.message, head.get());
  if (!rule) return std::unexpected(rule.error());
  if (!access_.may_see(request.caller, (*rule)->name_space))
    return refuse(EPERM, SPD_DIAGNOSTIC_NOT_PERMITTED,
                  fmt::format("a rule of {} decides that packet, and it is not yours to see",
                              (*rule)->name_space.empty() ? "the global namespace" : (*rule)->name_space));
  answer(encode_policy(
      rule_message(request.message.header, request.head(), **rule, request.message.name_space.has_value())));
  return {};
}

PolicyResult<> PolicySession::dump(const Request& request) {
  spd::Database& database = access_.database();
  const std::string& name_space = request.caller.owner.name_space;
  PolicyDump::Wish wish{.header = request.message.header, .extended = request.message.name_space.has_value()};
  if (const auto head = request.one_head()) wish.head = std::string(*head);
  if (wish.head && !database.knows_head(*wish.head))
    return refuse(ENOENT, 0, fmt::format("no tunnel and no policy by the name of {}", *wish.head));
  if (!request.all_namespaces() || request.standby()) wish.name_space = name_space;
  const uint64_t version = wish.name_space ? database.generation_of(name_space) : database.generation();
  if (request.standby()) {
    auto draft = draft_of(request);
    if (!draft) return std::unexpected(draft.error());
    if (auto held = hold_dump((*draft)->bytes()); !held) return held;
    dump_ = std::make_unique<PolicyDump>(std::move(wish), **draft, version);
  } else {
    auto heads = heads_to_tell(wish);
    if (auto held = hold_dump(hold_ ? memory_of(*heads) : 0); !held) return held;
    dump_ = std::make_unique<PolicyDump>(std::move(wish), std::move(heads), version);
  }
  return {};
}

// A dump keeps the snapshot of its beginning, however slowly it is read: no more of it than it tells.
std::shared_ptr<const spd::HeadSet> PolicySession::heads_to_tell(const PolicyDump::Wish& wish) {
  auto all = access_.database().current();
  if (!wish.head && !wish.name_space) return all;
  std::vector<std::string> names;
  if (wish.head) {
    names.push_back(*wish.head);
  } else {
    spd::Draft own = access_.database().empty_draft(*wish.name_space);
    access_.database().clone_all(own);
    names = own.heads();
  }
  auto some = std::make_shared<spd::HeadSet>();
  some->generation = all->generation;
  for (const std::string& name : names)
    if (auto head = all->find(name)) some->put(std::move(head));
  return some;
}

PolicyResult<> PolicySession::hold_dump(size_t bytes) {
  if (!hold_ || hold_(Admission::Seat::Kind::dump, bytes)) return {};
  return refuse(
      EDQUOT, SPD_DIAGNOSTIC_LIMIT,
      fmt::format("user id {}, or all users together, have too many dumps half read: read those first", peer_.uid));
}

PolicyResult<> PolicySession::list_algorithms(const Request& request) {
  PolicyMessage message{.header = request.message.header};
  message.header.type = SPD_ALGLIST;
  if (request.command() == PolicyCommand::alg_list) {
    message.actions = encode_algorithm_list(access_.algorithms());
  } else {
    config::AlgorithmText text = config::builtin_algorithms();
    text.table = access_.algorithms();
    message.actions = encode_algorithms(text);
  }
  answer(encode_policy(message));
  return {};
}

PolicyResult<> PolicySession::update_algorithms(const Request& request) {
  if (!request.message.actions) return refuse(EINVAL, SPD_DIAGNOSTIC_NO_ACTION_EXT, "there is no ACTION extension");
  auto text = decode_algorithms(*request.message.actions);
  if (!text) return std::unexpected(text.error());
  const crypto::AlgorithmTable& now = access_.algorithms();
  crypto::AlgorithmTable next;
  for (crypto::Algorithm row : text->table.rows()) {  // names do not travel: what has one keeps it
    if (const crypto::Algorithm* known = now.find(row.proto, row.number)) row.names = known->names;
    next.put(std::move(row));
  }
  auto set = from_engine(access_.set_algorithms(request.caller, std::move(next)));
  if (set) echo(request);
  return set;
}

}  // namespace adit::protocol
