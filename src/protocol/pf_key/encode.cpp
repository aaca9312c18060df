#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include <adit/pfkeyv2.h>

#include "base/check.h"
#include "protocol/pf_key/codec.h"

namespace adit::protocol {
namespace {
using namespace sad;

// Appends extensions: a wire struct, its tail, zeros to the next word; then the length goes into the front.
class Writer {
 public:
  explicit Writer(SecretBytes& out) : out_(out) {}

  template <typename Wire>
  void extension(uint16_t type, Wire header, ByteSpan tail = {}) {
    const size_t start = out_.size();
    append(&header, sizeof header);
    append(tail.data(), tail.size());
    out_.resize((out_.size() + 7) / 8 * 8);
    const auto words = static_cast<uint16_t>((out_.size() - start) / 8);
    const sadb_ext front{words, type};
    std::memcpy(&out_[start], &front, sizeof front);
  }

  void append(const void* bytes, size_t size) {
    const auto* at = static_cast<const uint8_t*>(bytes);
    out_.insert(out_.end(), at, at + size);
  }

 private:
  SecretBytes& out_;
};

template <typename Wire>
ByteSpan bytes_of(const Wire& wire) {
  return {reinterpret_cast<const uint8_t*>(&wire), sizeof wire};
}

void put(Writer& out, const SaExtension& sa) {
  out.extension(SADB_EXT_SA, sadb_sa{0, 0, host_to_be(static_cast<uint32_t>(sa.spi)), sa.replay, sa.state, sa.auth,
                                     sa.encr, sa.flags});
}

void put(Writer& out, uint16_t type, const Lifetime& life) {
  out.extension(type, sadb_lifetime{0, 0, life.allocations, life.bytes, life.add_seconds, life.use_seconds});
}

void put(Writer& out, uint16_t type, const AddressExtension& extension) {
  const sadb_address header{0, 0, extension.protocol, extension.prefix_length, 0};
  const net::Address& address = extension.address;
  if (address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = host_to_be(extension.port);
    std::memcpy(&v4.sin_addr, address.bytes().data(), 4);
    out.extension(type, header, bytes_of(v4));
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = host_to_be(extension.port);
    std::memcpy(&v6.sin6_addr, address.bytes().data(), 16);
    out.extension(type, header, bytes_of(v6));
  }
}

void put(Writer& out, uint16_t type, const KeyExtension& key) {
  out.extension(type, sadb_key{0, 0, key.bits, key.reserved}, key.key.bytes());
}

void put(Writer& out, uint16_t type, const Identity& identity) {
  std::string text = identity.text.substr(0, 4096);
  text.push_back('\0');
  out.extension(type, sadb_ident{0, 0, identity.type, 0, identity.id},
                {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

void put(Writer& out, uint16_t type, const SensitivityExtension& label) {
  out.extension(type, sadb_ext{}, label.bytes);
}

void put(Writer& out, const Proposal& proposal) {
  std::vector<uint8_t> tail;
  for (const Combination& c : proposal.combinations) {
    const sadb_comb comb{c.auth,
                         c.encr,
                         c.flags,
                         c.auth_min,
                         c.auth_max,
                         c.encr_min,
                         c.encr_max,
                         c.salt_bits,
                         {},
                         c.soft.allocations,
                         c.hard.allocations,
                         c.soft.bytes,
                         c.hard.bytes,
                         c.soft.add_seconds,
                         c.hard.add_seconds,
                         c.soft.use_seconds,
                         c.hard.use_seconds};
    tail.insert(tail.end(), bytes_of(comb).begin(), bytes_of(comb).end());
  }
  out.extension(SADB_EXT_PROPOSAL, sadb_prop{0, 0, proposal.replay, 0, 0}, tail);
}

void put(Writer& out, const ExtendedProposal& proposal) {
  std::vector<uint8_t> tail;
  for (const ExtendedCombination& c : proposal.combinations) {
    const sadb_x_ecomb comb{static_cast<uint8_t>(c.algorithms.size()),
                            0,
                            c.flags,
                            0,
                            c.soft.allocations,
                            c.hard.allocations,
                            c.soft.bytes,
                            c.hard.bytes,
                            c.soft.add_seconds,
                            c.hard.add_seconds,
                            c.soft.use_seconds,
                            c.hard.use_seconds};
    tail.insert(tail.end(), bytes_of(comb).begin(), bytes_of(comb).end());
    for (const AlgorithmDescription& d : c.algorithms) {
      const sadb_x_algdesc desc{d.satype, d.kind, d.alg, d.salt_bits, d.min_bits, d.max_bits};
      tail.insert(tail.end(), bytes_of(desc).begin(), bytes_of(desc).end());
    }
  }
  out.extension(SADB_X_EXT_EPROP,
                sadb_prop{0, 0, proposal.replay, 0, static_cast<uint16_t>(proposal.combinations.size())}, tail);
}

void put(Writer& out, uint16_t type, const std::vector<SupportedAlgorithm>& list) {
  std::vector<uint8_t> tail;
  for (const SupportedAlgorithm& a : list) {
    const sadb_alg alg{a.id, a.iv_bytes, a.min_bits, a.max_bits, a.increment, a.salt_bits};
    tail.insert(tail.end(), bytes_of(alg).begin(), bytes_of(alg).end());
  }
  out.extension(type, sadb_supported{}, tail);
}

void put_string_auth(Writer& out, std::string_view text) {
  out.extension(SADB_X_EXT_STR_AUTH, sadb_key{0, 0, static_cast<uint16_t>(text.size() * 8), 0},
                {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

void put(Writer& out, const NamespaceExtension& name_space) {
  std::string name = name_space.name.substr(0, 255);
  name.push_back('\0');
  const uint16_t flags = name_space.override_owner ? SADB_X_NAMESPACE_OVERRIDE : 0;
  out.extension(SADB_X_EXT_NAMESPACE, sadb_x_namespace{0, 0, flags, 0},
                {reinterpret_cast<const uint8_t*>(name.data()), name.size()});
}

void put_text(Writer& out, const std::string& text) {
  std::string shown = text.substr(0, kMaxDiagnosticText);
  shown.push_back('\0');
  out.extension(SADB_X_EXT_DIAGNOSTIC, sadb_x_diagnostic{},
                {reinterpret_cast<const uint8_t*>(shown.data()), shown.size()});
}

void put_addresses(Writer& out, const KeyMessage& m) {
  if (m.source) put(out, SADB_EXT_ADDRESS_SRC, *m.source);
  if (m.destination) put(out, SADB_EXT_ADDRESS_DST, *m.destination);
  if (m.inner_source) put(out, SADB_X_EXT_ADDRESS_INNER_SRC, *m.inner_source);
  if (m.inner_destination) put(out, SADB_X_EXT_ADDRESS_INNER_DST, *m.inner_destination);
  if (m.natt_local) put(out, SADB_X_EXT_ADDRESS_NATT_LOC, *m.natt_local);
  if (m.natt_remote) put(out, SADB_X_EXT_ADDRESS_NATT_REM, *m.natt_remote);
}

void put_lifetimes(Writer& out, const KeyMessage& m) {
  if (m.current) put(out, SADB_EXT_LIFETIME_CURRENT, *m.current);
  if (m.hard) put(out, SADB_EXT_LIFETIME_HARD, *m.hard);
  if (m.soft) put(out, SADB_EXT_LIFETIME_SOFT, *m.soft);
  if (m.idle) put(out, SADB_X_EXT_LIFETIME_IDLE, *m.idle);
}

void put_rest(Writer& out, const KeyMessage& m) {
  if (m.proposal) put(out, *m.proposal);
  if (m.extended_proposal) put(out, *m.extended_proposal);
  if (m.supported_auth) put(out, SADB_EXT_SUPPORTED_AUTH, *m.supported_auth);
  if (m.supported_encr) put(out, SADB_EXT_SUPPORTED_ENCRYPT, *m.supported_encr);
  if (m.range)
    out.extension(SADB_EXT_SPIRANGE,
                  sadb_spirange{0, 0, host_to_be(m.range->minimum), host_to_be(m.range->maximum), 0});
  if (m.extended_register) {
    std::vector<uint8_t> list = *m.extended_register;
    list.push_back(0);
    out.extension(SADB_X_EXT_EREG, sadb_ext{}, list);
  }
  if (m.cookie)
    out.extension(SADB_X_EXT_KM_COOKIE,
                  sadb_x_kmc{0, 0, static_cast<uint8_t>(m.cookie->protocol), {}, m.cookie->cookie});
  if (m.pair) out.extension(SADB_X_EXT_PAIR, sadb_x_pair{0, 0, host_to_be(static_cast<uint32_t>(*m.pair))});
  if (m.replay_value)
    out.extension(SADB_X_EXT_REPLAY_VALUE, sadb_x_replay_ctr{0, 0, m.replay_value->low, m.replay_value->full});
  if (m.dump_timeout) out.extension(SADB_X_EXT_EDUMP, sadb_x_edump{0, 0, 0, *m.dump_timeout});
  if (m.string_auth)
    put_string_auth(out, {reinterpret_cast<const char*>(m.string_auth->data()), m.string_auth->size()});
  if (m.name_space) put(out, *m.name_space);
  if (m.replay_window) out.extension(SADB_X_EXT_REPLAY_WINDOW, sadb_x_replay_window{0, 0, *m.replay_window});
  if (m.text) put_text(out, *m.text);
}
}  // namespace

void write_key_header(MutByteSpan bytes, const KeyHeader& header) {
  CHECK(bytes.size() >= kKeyHeaderBytes);
  const sadb_msg message{header.version, header.type,       header.error, header.satype,
                         header.words,   header.diagnostic, header.seq,   header.pid};
  std::memcpy(bytes.data(), &message, sizeof message);
}

SecretBytes encode_key_message(const KeyMessage& m) {
  SecretBytes bytes(kKeyHeaderBytes);
  Writer out(bytes);
  if (m.sa) put(out, *m.sa);
  put_lifetimes(out, m);
  put_addresses(out, m);
  if (m.auth_key) put(out, SADB_EXT_KEY_AUTH, *m.auth_key);
  if (m.encr_key) put(out, SADB_EXT_KEY_ENCRYPT, *m.encr_key);
  if (m.source_identity) put(out, SADB_EXT_IDENTITY_SRC, *m.source_identity);
  if (m.destination_identity) put(out, SADB_EXT_IDENTITY_DST, *m.destination_identity);
  if (m.sensitivity) put(out, SADB_EXT_SENSITIVITY, *m.sensitivity);
  if (m.outer_sensitivity) put(out, SADB_X_EXT_OUTER_SENS, *m.outer_sensitivity);
  put_rest(out, m);
  write_key_header(bytes, {PF_KEY_V2, static_cast<uint8_t>(m.type), m.error, m.satype,
                           static_cast<uint16_t>(bytes.size() / 8), m.diagnostic, m.seq, m.pid});
  return bytes;
}

}  // namespace adit::protocol
