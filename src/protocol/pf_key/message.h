// A PF_KEY message as values: what the codec makes of bytes and bytes of, what ipseckey's grammar writes and its dump
// reads. Extensions are there or not; numbers are in host order. Nothing here has been judged: protocol/pf_key/codec.h
// checks form, sad/database.h meaning.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/secret_bytes.h"
#include "net/address.h"
#include "sad/sa.h"

namespace adit::sad {

enum class KeyMessageType : uint8_t {
  reserved = 0,
  getspi = 1,
  update = 2,
  add = 3,
  del = 4,
  get = 5,
  acquire = 6,
  reg = 7,
  expire = 8,
  flush = 9,
  dump = 10,
  promisc = 11,
  inverse_acquire = 12,
  update_pair = 13,
  delete_pair = 14,
  delete_pair_state = 15
};
constexpr uint8_t kLastKeyMessageType = 15;

// SADB_SAFLAGS_ and SADB_X_SAFLAGS_ (include/adit/pfkeyv2.h).
constexpr uint32_t kSaPfs = 0x1, kSaNoReplay = 0x2, kSaEsn = 0x100, kSaNatted = 0x1000, kSaInbound = 0x4000,
                   kSaOutbound = 0x8000, kSaPaired = 0x10000, kSaTunnel = 0x20000, kSaNattRemote = 0x80000,
                   kSaNattLocal = 0x100000, kSaUsed = 0x80000000;

struct SaExtension {
  Spi spi{};
  uint8_t replay = 0, state = 0, auth = 0, encr = 0;
  uint32_t flags = 0;
};
struct AddressExtension {
  net::Address address;
  uint8_t prefix_length = 0, protocol = 0;
  uint16_t port = 0;
};
struct KeyExtension {
  Secret key;  // salt at its end
  uint16_t bits = 0, reserved = 0;
};
struct SensitivityExtension {
  std::vector<uint8_t> bytes;
};  // behind the extension header, as it came
struct Combination {  // of a PROPOSAL
  uint8_t auth = 0, encr = 0, salt_bits = 0;
  uint16_t flags = 0, auth_min = 0, auth_max = 0, encr_min = 0, encr_max = 0;
  Lifetime soft, hard;
};
struct AlgorithmDescription {
  uint8_t satype = 0, kind = 0, alg = 0, salt_bits = 0;  // kind: 1 authentication, 2 encryption
  uint16_t min_bits = 0, max_bits = 0;
};
struct ExtendedCombination {  // of an EPROP: one alternative of a rule
  uint16_t flags = 0;
  Lifetime soft, hard;
  std::vector<AlgorithmDescription> algorithms;
};
struct Proposal {
  uint8_t replay = 0;
  std::vector<Combination> combinations;
};
struct ExtendedProposal {
  uint8_t replay = 0;
  std::vector<ExtendedCombination> combinations;
};
struct SupportedAlgorithm {
  uint8_t id = 0, iv_bytes = 0, increment = 0, salt_bits = 0;
  uint16_t min_bits = 0, max_bits = 0;
};
struct SpiRange {
  uint32_t minimum = 0, maximum = 0;
};
struct ReplayValue {
  uint32_t low = 0;
  uint64_t full = 0;
};  // full: 0, or all 64 bits
struct NamespaceExtension {
  std::string name;
  bool override_owner = false;
};

struct KeyMessage {
  KeyMessageType type = KeyMessageType::reserved;
  uint8_t error = 0;
  uint8_t satype = 0;
  uint16_t diagnostic = 0;
  uint32_t seq = 0, pid = 0;
  uint16_t words = 0;  // length on the wire; set by decoding

  std::optional<SaExtension> sa;
  std::optional<Lifetime> current, hard, soft, idle;  // current: add and use are times since 1970
  std::optional<AddressExtension> source, destination, inner_source, inner_destination, natt_local, natt_remote;
  std::optional<KeyExtension> auth_key, encr_key;
  std::optional<Identity> source_identity, destination_identity;
  std::optional<SensitivityExtension> sensitivity, outer_sensitivity;
  std::optional<Proposal> proposal;
  std::optional<ExtendedProposal> extended_proposal;
  std::optional<std::vector<SupportedAlgorithm>> supported_auth, supported_encr;
  std::optional<SpiRange> range;
  std::optional<std::vector<uint8_t>> extended_register;  // SA types
  std::optional<KmCookie> cookie;
  std::optional<Spi> pair;
  std::optional<ReplayValue> replay_value;
  std::optional<uint64_t> dump_timeout;
  std::optional<SecretBytes> string_auth;  // a key as text
  std::optional<NamespaceExtension> name_space;
  std::optional<uint32_t> replay_window;
  std::optional<std::string> text;  // of a refusal; in a request, empty: send me sentences

  [[nodiscard]] uint32_t window() const { return replay_window ? *replay_window : sa ? sa->replay : 0; }
};

}  // namespace adit::sad
