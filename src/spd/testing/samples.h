// Short ways to write rules and flows, for tests and benchmarks only.
#pragma once

#include <string>

#include "net/flow.h"
#include "spd/rule.h"

namespace adit::spd::samples {

inline net::Prefix prefix(std::string_view text) {
  return net::Prefix::parse(text).value();
}
inline net::Address address(std::string_view text) {
  return net::Address::parse(text).value();
}

inline Action gcm() {
  return {.verb = Verb::ipsec, .encr = Cipher{crypto::EncrAlg::aes_gcm16, {128, 256}}};
}
inline Action cbc_sha512() {
  return {.verb = Verb::ipsec,
          .encr = Cipher{crypto::EncrAlg::aes_cbc, {128, 256}},
          .espa = Integrity{crypto::AuthAlg::hmac_sha512, {512, 512}}};
}
inline Action drop() {
  return {.verb = Verb::drop};
}
inline Action bypass() {
  return {.verb = Verb::pass, .bypass = true};
}

inline RuleSpec both_ways(Action action, Mode mode = Mode::tunnel, Selector selector = {}) {
  RuleSpec spec{.inbound = true, .outbound = true, .mode = mode, .selector = std::move(selector)};
  spec.actions = {std::move(action)};
  spec.priority = priority_of(0, spec.actions);
  return spec;
}

inline net::Flow tcp(std::string_view from, uint16_t from_port, std::string_view to, uint16_t to_port) {
  net::Flow flow;
  flow.source = address(from);
  flow.destination = address(to);
  flow.protocol = net::kProtoTcp;
  flow.has_ports = true;
  flow.source_port = from_port;
  flow.destination_port = to_port;
  return flow;
}

}  // namespace adit::spd::samples
