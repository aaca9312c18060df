#include "protocol/pf_key/acquire.h"

#include <algorithm>

#include <adit/pfkeyv2.h>

namespace adit::protocol {
namespace {
using namespace sad;

// What an SA of a rule gets where the rule says nothing (decision 19).
constexpr uint64_t kHardSeconds = 28'800, kSoftSeconds = kHardSeconds * 9 / 10;
constexpr uint8_t kProposedReplay = 255;

AddressExtension address_extension(const net::Prefix& prefix, uint8_t protocol, uint16_t port) {
  return {prefix.address(), prefix.length(), protocol, port};
}

void put_addresses(const Acquire& acquire, KeyMessage& message) {
  if (!acquire.rule.name_space.empty()) message.name_space = NamespaceExtension{acquire.rule.name_space, false};
  const uint8_t carried = acquire.rule.family == net::Family::v4 ? net::kProtoIpv4 : net::kProtoIpv6;
  message.source = AddressExtension{acquire.outer.local, 0, carried, 0};
  message.destination = AddressExtension{acquire.outer.remote, 0, carried, 0};
  if (acquire.rule.mode != spd::Mode::tunnel) return;
  const InnerSelector inner = inner_selector(acquire.rule);
  message.inner_source = address_extension(inner.source, inner.protocol, inner.source_port);
  message.inner_destination = address_extension(inner.destination, inner.protocol, inner.destination_port);
}

// An open end of a rule's range is where the algorithm ends.
spd::KeyBits clip(const spd::KeyBits& bits, const crypto::Algorithm* row) {
  if (row == nullptr) return bits;
  return {std::clamp(bits.min, row->min_bits, row->max_bits), std::clamp(bits.max, row->min_bits, row->max_bits)};
}

struct Wanted {
  uint8_t alg = 0, salt_bits = 0;
  spd::KeyBits bits{0, 0};
};

Wanted wanted(crypto::AlgProto proto, uint8_t alg, const spd::KeyBits& bits, const crypto::AlgorithmTable& algorithms) {
  const crypto::Algorithm* row = algorithms.find(proto, alg);
  return {alg, static_cast<uint8_t>(row == nullptr ? 0 : row->salt_bytes * 8), clip(bits, row)};
}

std::optional<Wanted> wanted_ah(const spd::Action& action, const crypto::AlgorithmTable& algorithms) {
  if (!action.ah) return std::nullopt;
  return wanted(crypto::AlgProto::ah, static_cast<uint8_t>(action.ah->alg), action.ah->bits, algorithms);
}

std::optional<Wanted> wanted_cipher(const spd::Action& action, const crypto::AlgorithmTable& algorithms) {
  if (action.encr)
    return wanted(crypto::AlgProto::esp, static_cast<uint8_t>(action.encr->alg), action.encr->bits, algorithms);
  if (action.espa) return Wanted{SADB_EALG_NULL, 0, {0, 0}};
  return std::nullopt;
}

std::optional<Wanted> wanted_integrity(const spd::Action& action, const crypto::AlgorithmTable& algorithms) {
  if (!action.espa || (action.encr && crypto::is_combined(action.encr->alg))) return std::nullopt;  // decision 1
  return wanted(crypto::AlgProto::ah, static_cast<uint8_t>(action.espa->alg), action.espa->bits, algorithms);
}

AlgorithmDescription describe(uint8_t satype, uint8_t kind, const Wanted& want) {
  return {satype, kind, want.alg, want.salt_bits, want.bits.min, want.bits.max};
}
}  // namespace

KeyMessage extended_acquire(const Acquire& acquire, const crypto::AlgorithmTable& algorithms) {
  KeyMessage message;
  message.type = KeyMessageType::acquire;
  message.seq = acquire.seq;
  put_addresses(acquire, message);
  auto& proposal = message.extended_proposal.emplace();
  proposal.replay = kProposedReplay;
  for (const spd::Action& action : acquire.rule.actions) {
    if (action.verb != spd::Verb::ipsec) continue;
    ExtendedCombination combination;
    combination.hard.add_seconds = kHardSeconds;
    combination.soft.add_seconds = kSoftSeconds;
    auto& list = combination.algorithms;
    if (const auto ah = wanted_ah(action, algorithms))
      list.push_back(describe(SADB_SATYPE_AH, SADB_X_ALGTYPE_AUTH, *ah));
    if (const auto encr = wanted_cipher(action, algorithms))
      list.push_back(describe(SADB_SATYPE_ESP, SADB_X_ALGTYPE_CRYPT, *encr));
    if (const auto espa = wanted_integrity(action, algorithms))
      list.push_back(describe(SADB_SATYPE_ESP, SADB_X_ALGTYPE_AUTH, *espa));
    if (!list.empty()) proposal.combinations.push_back(std::move(combination));
  }
  return message;
}

std::optional<KeyMessage> plain_acquire(const Acquire& acquire, SaType type, const crypto::AlgorithmTable& algorithms) {
  KeyMessage message;
  message.type = KeyMessageType::acquire;
  message.satype = static_cast<uint8_t>(type);
  message.seq = acquire.seq;
  put_addresses(acquire, message);
  auto& proposal = message.proposal.emplace();
  proposal.replay = kProposedReplay;
  for (const spd::Action& action : acquire.rule.actions) {
    const bool is_ah = type == SaType::ah;
    const auto auth = is_ah ? wanted_ah(action, algorithms) : wanted_integrity(action, algorithms);
    const auto encr = is_ah ? std::nullopt : wanted_cipher(action, algorithms);
    if (action.verb != spd::Verb::ipsec || (is_ah ? !auth : !encr)) continue;
    Combination combination;
    if (auth)
      combination.auth = auth->alg, combination.auth_min = auth->bits.min, combination.auth_max = auth->bits.max;
    if (encr) {
      combination.encr = encr->alg;
      combination.salt_bits = encr->salt_bits;
      combination.encr_min = encr->bits.min;
      combination.encr_max = encr->bits.max;
    }
    combination.hard.add_seconds = kHardSeconds;
    combination.soft.add_seconds = kSoftSeconds;
    proposal.combinations.push_back(combination);
  }
  if (proposal.combinations.empty()) return std::nullopt;
  return message;
}

}  // namespace adit::protocol
