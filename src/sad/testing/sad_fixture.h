// Shared by the SAD's tests: SAs, rules and flows between two sites.
#pragma once

#include <string>

#include "sad/database.h"

namespace adit::sad::testing {

inline net::Address address(std::string_view text) {
  return *net::Address::parse(text);
}
inline net::Prefix prefix(std::string_view text) {
  return *net::Prefix::parse(text);
}

inline Secret key_of(size_t bytes, uint8_t seed) {
  Secret key(bytes);
  for (size_t i = 0; i < bytes; ++i) key.bytes()[i] = static_cast<uint8_t>(seed + i * 7 + 1);
  return key;
}

inline const Endpoints kOuter{address("1.2.3.4"), address("5.6.7.8")};

// ESP, AES-CBC 128 with HMAC-SHA-256, from here to there, no inner selectors.
inline SaSpec esp(uint32_t spi, std::string_view source = "1.2.3.4", std::string_view destination = "5.6.7.8") {
  SaSpec spec;
  spec.spi = Spi{spi};
  spec.source = address(source);
  spec.destination = address(destination);
  spec.encr = crypto::EncrAlg::aes_cbc;
  spec.auth = crypto::AuthAlg::hmac_sha256;
  spec.encr_key = key_of(16, 1);
  spec.auth_key = key_of(32, 2);
  return spec;
}

inline SaSpec gcm(uint32_t spi, size_t key_bytes = 16) {
  SaSpec spec = esp(spi);
  spec.encr = crypto::EncrAlg::aes_gcm16;
  spec.encr_key = key_of(key_bytes, 3);
  spec.salt = key_of(4, 4);
  spec.auth = crypto::AuthAlg::none;
  spec.auth_key = Secret();
  return spec;
}

inline SaSpec ah(uint32_t spi) {
  SaSpec spec = esp(spi);
  spec.type = SaType::ah;
  spec.encr = crypto::EncrAlg::none;
  spec.encr_key = Secret();
  return spec;
}

inline SaSpec with_inner(SaSpec spec, std::string_view source, std::string_view destination) {
  spec.inner = InnerSelector{prefix(source), prefix(destination), 0, 0, 0};
  return spec;
}

inline spd::Action action_of(std::optional<crypto::EncrAlg> encr, std::optional<crypto::AuthAlg> espa,
                             std::optional<crypto::AuthAlg> ah = std::nullopt, spd::KeyBits bits = {}) {
  spd::Action action;
  action.verb = spd::Verb::ipsec;
  if (encr) action.encr = spd::Cipher{*encr, bits};
  if (espa) action.espa = spd::Integrity{*espa, {}};
  if (ah) action.ah = spd::Integrity{*ah, {}};
  return action;
}

inline spd::Rule rule_of(std::vector<spd::Action> actions, std::string_view local = "", std::string_view remote = "") {
  spd::Rule rule;
  rule.index = 1;
  rule.mode = spd::Mode::tunnel;
  if (!local.empty()) rule.selector.local = prefix(local);
  if (!remote.empty()) rule.selector.remote = prefix(remote);
  rule.actions = std::move(actions);
  return rule;
}

inline net::Flow flow_of(std::string_view source, std::string_view destination, uint8_t protocol = 17) {
  net::Flow flow;
  flow.source = address(source);
  flow.destination = address(destination);
  flow.protocol = protocol;
  flow.has_ports = true;
  flow.source_port = 4000;
  flow.destination_port = 53;
  return flow;
}

}  // namespace adit::sad::testing
