#include "server/pf_key_requests.h"

#include <algorithm>

#include "protocol/pf_key/acquire.h"

namespace adit::protocol {
namespace {
using namespace sad;
using D = Diagnostic;
using engine::KeyAccess;
using Answers = KeyResult<std::vector<KeyAnswer>>;

Answers one(KeyMessage message, Audience audience) {
  std::vector<KeyAnswer> answers;
  answers.push_back({std::move(message), audience});
  return answers;
}

// The answer that repeats the question's name and number.
KeyMessage answer_to(const KeyMessage& request, KeyMessage answer) {
  answer.type = request.type;
  answer.seq = request.seq;
  answer.pid = request.pid;
  return answer;
}

KeyMessage echo(const KeyMessage& request) {
  KeyMessage message = answer_to(request, {});
  message.satype = request.satype;
  message.name_space = request.name_space;
  return message;
}

// What an SA's making and unmaking says to all: no keys.
Answers tell_all(const KeyMessage& request, const KeyResult<SaPtr>& sa) {
  if (!sa) return std::unexpected(sa.error());
  return one(answer_to(request, from_sa(**sa, request.type)), Audience::everyone);
}

KeyResult<> no_extensions(const KeyMessage& message, bool dump_filter_allowed) {
  const bool any = message.sa || message.current || message.hard || message.soft || message.idle || message.source ||
                   message.destination || message.inner_source || message.inner_destination || message.natt_local ||
                   message.natt_remote || message.auth_key || message.encr_key || message.source_identity ||
                   message.destination_identity || message.sensitivity || message.outer_sensitivity ||
                   message.proposal || message.extended_proposal || message.supported_auth || message.supported_encr ||
                   message.range || message.extended_register || message.cookie || message.pair ||
                   message.replay_value || message.string_auth || message.replay_window ||
                   (message.dump_timeout && !dump_filter_allowed);
  if (any) return refuse(EINVAL, D::no_extensions);
  return {};
}

// Who has no privilege makes SAs for its own tunnels only.
KeyResult<> permit_outer(const KeyMessage& message, const KeySession& session, KeyAccess& access,
                         const net::Address& source, const net::Address& destination) {
  const auto allowed = access.permit_outer(session.peer, to_requester(message), source, destination);
  if (!allowed) return refuse(allowed.error().code, D::not_permitted, allowed.error().text);
  return {};
}

// UPDATE may leave out the source: then it is that of the SA that is there.
KeyResult<> permit_request(const KeyMessage& message, const KeySession& session, KeyAccess& access,
                           const SaSpec& spec) {
  net::Address source = spec.source;
  if (source.is_unspecified()) {
    const auto there = access.keys().get({spec.type, spec.spi, spec.destination}, to_requester(message));
    if (there) source = (*there)->spec.source;
  }
  return permit_outer(message, session, access, source, spec.destination);
}

KeyResult<> only_privileged(const KeySession& session, const KeyAccess& access, const char* what) {
  if (access.is_privileged(session.peer)) return {};
  return refuse(EPERM, D::not_permitted,
                fmt::format("permission denied: user id {} may not {}", session.peer.uid, what));
}

Answers get_spi(KeyMessage& message, KeySession& session, KeyAccess& access) {
  TRY_ASSIGN(const SpiRequest request, to_spi_request(message));
  TRY(permit_outer(message, session, access, request.source, request.destination));
  return tell_all(message, access.keys().get_spi(request, to_requester(message)));
}

Answers add(KeyMessage& message, KeySession& session, KeyAccess& access) {
  TRY_ASSIGN(SaRequest request, to_request(message, access.algorithms()));
  TRY(permit_request(message, session, access, request.spec));
  return tell_all(message, access.keys().add(std::move(request), to_requester(message)));
}

Answers update(KeyMessage& message, KeySession& session, KeyAccess& access) {
  TRY_ASSIGN(SaRequest request, to_request(message, access.algorithms()));
  TRY(permit_request(message, session, access, request.spec));
  return tell_all(message, access.keys().update(std::move(request), to_requester(message)));
}

Answers update_pair(KeyMessage& message, KeySession& session, KeyAccess& access) {
  TRY_ASSIGN(SaRequest request, to_request(message, access.algorithms()));
  TRY(permit_request(message, session, access, request.spec));
  return tell_all(message, access.keys().update_pair(std::move(request), to_requester(message)));
}

Answers del(KeyMessage& message, KeySession&, KeyAccess& access) {
  TRY_ASSIGN(const SaName name, to_name(message));
  return tell_all(message, access.keys().remove(name, to_requester(message)));
}

Answers delete_pair(KeyMessage& message, KeySession&, KeyAccess& access) {
  TRY_ASSIGN(const SaName name, to_name(message));
  return tell_all(message, access.keys().remove_pair(name, to_requester(message)));
}

Answers delete_pair_state(KeyMessage& message, KeySession&, KeyAccess& access) {
  TRY_ASSIGN(const SaType type, optional_satype(message));
  if (!message.sa) return refuse(EINVAL, D::missing_sa);
  if (message.sa->state > static_cast<uint8_t>(SaState::dead)) return refuse(EINVAL, D::bad_state);
  access.keys().remove_pairs_in_state(type, static_cast<SaState>(message.sa->state), to_requester(message));
  KeyMessage answer = echo(message);
  answer.sa = message.sa;
  return one(std::move(answer), Audience::everyone);
}

Answers get(KeyMessage& message, KeySession&, KeyAccess& access) {
  TRY_ASSIGN(const SaName name, to_name(message));
  TRY_ASSIGN(const SaPtr sa, access.keys().get(name, to_requester(message)));
  KeyMessage told = from_sa(*sa, message.type);
  TRY(put_keys(sa->spec, told));
  return one(answer_to(message, std::move(told)), Audience::watched);
}

Answers flush(KeyMessage& message, KeySession&, KeyAccess& access) {
  TRY_ASSIGN(const SaType type, optional_satype(message));
  TRY(no_extensions(message, false));
  access.keys().flush(type, to_requester(message));
  return one(echo(message), Audience::everyone);
}

Answers dump(KeyMessage& message, KeySession& session, KeyAccess&) {
  TRY_ASSIGN(const SaType type, optional_satype(message));
  TRY(no_extensions(message, true));
  if (session.dump) return refuse(ENOMEM, D::none, "a dump is under way on this socket; read it to its end first");
  session.dump = KeyDump{
      {type, to_requester(message), message.dump_timeout.value_or(0)}, 0, message.seq, message.pid, message.satype};
  return std::vector<KeyAnswer>{};
}

// Who comes late hears what is open, as if it had been here before.
void repeat_acquires(const KeySession& session, KeyAccess& access, std::optional<SaType> type,
                     std::vector<KeyAnswer>& answers) {
  for (const auto& [seq, acquire] : access.keys().acquires()) {
    if (!access.may_see(session.peer, acquire.rule.name_space)) continue;
    if (!type)
      answers.push_back({extended_acquire(acquire, access.algorithms()), Audience::sender});
    else if (auto plain = plain_acquire(acquire, *type, access.algorithms()))
      answers.push_back({std::move(*plain), Audience::sender});
  }
}

KeyMessage register_answer(const KeyMessage& message, uint8_t satype, KeyAccess& access) {
  KeyMessage answer = answer_to(message, {});
  answer.satype = satype;
  describe_algorithms(access.algorithms(), static_cast<SaType>(satype), answer);
  return answer;
}

Answers extended_register(KeyMessage& message, KeySession& session, KeyAccess& access) {
  if (!message.extended_register)
    return refuse(EINVAL, D::satype_needed, "REGISTER without SA type needs an X_EREG list");
  if (session.extended || !session.registered.empty())
    return refuse(EBUSY, D::none, "this socket is registered already");
  for (const uint8_t satype : *message.extended_register) {
    if (satype != static_cast<uint8_t>(SaType::ah) && satype != static_cast<uint8_t>(SaType::esp))
      return refuse(EPROTONOSUPPORT, D::unknown_satype);
  }
  session.extended = true;
  session.registered = *message.extended_register;
  std::vector<KeyAnswer> answers;
  answers.reserve(session.registered.size());
  for (const uint8_t satype : session.registered)
    answers.push_back({register_answer(message, satype, access), Audience::sender});
  repeat_acquires(session, access, std::nullopt, answers);
  return answers;
}

Answers register_socket(KeyMessage& message, KeySession& session, KeyAccess& access) {
  if (message.satype == 0) return extended_register(message, session, access);
  TRY_ASSIGN(const SaType type, needed_satype(message));
  if (session.extended) return refuse(EBUSY, D::none, "this socket is extended-registered");
  std::vector<KeyAnswer> answers;
  const bool anew = !session.hears(message.satype);
  if (anew) session.registered.push_back(message.satype);
  answers.push_back({register_answer(message, message.satype, access), Audience::registered});
  if (anew) repeat_acquires(session, access, type, answers);
  return answers;
}

// From a key manager: "it failed" (errno), or a wish of its own that other key managers may serve.
Answers acquire(KeyMessage& message, KeySession& session, KeyAccess& access) {
  if (message.error != 0) {
    const Requester who = to_requester(message);
    const bool privileged = access.is_privileged(session.peer);
    const Acquire* open = access.keys().find_acquire(message.seq);
    if (!privileged && open != nullptr && open->rule.name_space != who.name_space)
      TRY(only_privileged(session, access, "end an ACQUIRE of another namespace"));
    TRY(access.keys().acquire_failed(message.seq, message.error, privileged ? nullptr : &who));
    KeyMessage answer = echo(message);
    answer.error = message.error;
    return one(std::move(answer), Audience::registered);
  }
  TRY(only_privileged(session, access, "ask other key managers for SAs"));
  TRY(needed_satype(message));
  KeyMessage passed_on = std::move(message);
  passed_on.auth_key.reset();
  passed_on.encr_key.reset();
  return one(std::move(passed_on), Audience::registered);
}

// The inner flow a question is about: outbound, from source to destination.
KeyResult<std::optional<net::Flow>> asked_flow(const KeyMessage& message) {
  if (!message.inner_source && !message.inner_destination) return std::nullopt;
  if (!message.inner_source) return refuse(EINVAL, D::missing_inner_source);
  if (!message.inner_destination) return refuse(EINVAL, D::missing_inner_destination);
  const AddressExtension &source = *message.inner_source, &destination = *message.inner_destination;
  if (source.address.family() != destination.address.family()) return refuse(EINVAL, D::inner_af_mismatch);
  net::Flow flow;
  flow.source = source.address;
  flow.destination = destination.address;
  flow.protocol = std::max(source.protocol, destination.protocol);
  flow.source_port = source.port;
  flow.destination_port = destination.port;
  flow.has_ports = source.port != 0 || destination.port != 0;
  return flow;
}

Answers inverse_acquire(KeyMessage& message, KeySession& session, KeyAccess& access) {
  if (!message.source) return refuse(EINVAL, D::missing_source);
  if (!message.destination) return refuse(EINVAL, D::missing_destination);
  if (message.source->address.family() != message.destination->address.family()) return refuse(EINVAL, D::af_mismatch);
  TRY_ASSIGN(const auto flow, asked_flow(message));
  const auto wanted = access.policy_for({message.source->address, message.destination->address}, flow);
  if (!wanted) return refuse(wanted.error().code, D::none, wanted.error().text);
  if (!access.may_see(session.peer, wanted->rule.name_space))
    TRY(only_privileged(session, access, "see what rules of another namespace want"));
  return one(answer_to(message, extended_acquire(*wanted, access.algorithms())), Audience::watched);
}

Answers promisc(KeyMessage& message, KeySession& session, KeyAccess& access) {
  TRY(only_privileged(session, access, "listen to all (X_PROMISC)"));
  session.promiscuous = message.satype != 0;
  return one(echo(message), Audience::sender);
}

Answers expire(KeyMessage&, KeySession&, KeyAccess&) {
  return refuse(EOPNOTSUPP, D::none, "EXPIRE comes from the engine only");
}

// What a request with override does to records, for the event; empty: it only looks.
std::string deed_of(const KeyMessage& message) {
  const auto name = [&] {
    return message.sa && message.destination
               ? fmt::format(" of SPI {:#x} to {}", static_cast<uint32_t>(message.sa->spi),
                             message.destination->address.str())
               : std::string();
  };
  switch (message.type) {
    case KeyMessageType::update:
    case KeyMessageType::update_pair:
      return "UPDATE" + name();
    case KeyMessageType::del:
    case KeyMessageType::delete_pair:
      return "DELETE" + name();
    case KeyMessageType::delete_pair_state:
      return "DELETE of pairs by state";
    case KeyMessageType::flush:
      return "FLUSH";
    default:
      return {};
  }
}

KeyMessage end_of_dump(const KeyDump& dump) {
  KeyMessage last;
  last.type = KeyMessageType::dump;
  last.satype = dump.satype;
  last.pid = dump.pid;
  return last;
}

using Handler = Answers (*)(KeyMessage&, KeySession&, KeyAccess&);
constexpr Handler kHandlers[kLastKeyMessageType + 1] = {nullptr,
                                                        get_spi,
                                                        update,
                                                        add,
                                                        del,
                                                        get,
                                                        acquire,
                                                        register_socket,
                                                        expire,
                                                        flush,
                                                        dump,
                                                        promisc,
                                                        inverse_acquire,
                                                        update_pair,
                                                        delete_pair,
                                                        delete_pair_state};
}  // namespace

bool KeySession::hears(uint8_t satype) const {
  return std::ranges::find(registered, satype) != registered.end();
}

Answers answer_key_request(KeyMessage& message, KeySession& session, KeyAccess& access) {
  const auto type = static_cast<uint8_t>(message.type);
  if (type == 0 || type > kLastKeyMessageType) return refuse(EINVAL, D::unknown_message);
  if (const auto allowed = access.permit(session.peer, to_requester(message)); !allowed)
    return refuse(allowed.error().code, D::not_permitted, allowed.error().text);
  const Requester who = to_requester(message);
  std::string deed = who.override_owner ? deed_of(message) : std::string();  // the handler takes from the message
  auto answers = kHandlers[type](message, session, access);
  if (answers && !deed.empty()) access.overrode(session.peer, who, deed);
  return answers;
}

std::vector<KeyMessage> next_dump_page(KeySession& session, Database& keys, size_t count) {
  std::vector<KeyMessage> messages;
  if (!session.dump) return messages;
  KeyDump& dump = *session.dump;
  for (const SaPtr& sa : keys.page(dump.filter, dump.after, count)) {
    KeyMessage& message = messages.emplace_back(from_sa(*sa, KeyMessageType::dump));
    if (const auto put = put_keys(sa->spec, message); !put) {
      messages.back() = end_of_dump(dump);
      messages.back().error = static_cast<uint8_t>(put.error().code);
      messages.back().diagnostic = static_cast<uint16_t>(put.error().diagnostic);
      session.dump.reset();
      return messages;
    }
    message.seq = dump.seq;
    message.pid = dump.pid;
    dump.after = sa->age;
  }
  if (messages.size() == count) return messages;
  messages.push_back(end_of_dump(dump));
  session.dump.reset();
  return messages;
}

}  // namespace adit::protocol
