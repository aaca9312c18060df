// The small words of libnftables-json(5) that the renderers share.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "net/address.h"

namespace adit::platform::nft {

using Json = nlohmann::json;

inline Json meta(const char* key) {
  return {{"meta", {{"key", key}}}};
}
inline Json payload(const char* protocol, const char* field) {
  return {{"payload", {{"protocol", protocol}, {"field", field}}}};
}
inline Json concatenation(Json a, Json b) {
  return {{"concat", Json::array({std::move(a), std::move(b)})}};
}
inline Json match(Json left, Json right, const char* op = "==") {
  return {{"match", {{"op", op}, {"left", std::move(left)}, {"right", std::move(right)}}}};
}
inline Json accept() {
  return {{"accept", nullptr}};
}
inline Json drop() {
  return {{"drop", nullptr}};
}
inline Json counter() {
  return {{"counter", {{"packets", 0}, {"bytes", 0}}}};
}
inline Json numbers(std::initializer_list<int> values) {
  return {{"set", Json::array_t(values.begin(), values.end())}};
}

// "ip" or "ip6".
inline const char* ip(net::Family family) {
  return family == net::Family::v4 ? "ip" : "ip6";
}
inline Json prefix(const net::Prefix& value) {
  if (value.is_host()) return value.address().str();
  return {{"prefix", {{"addr", value.masked().address().str()}, {"len", value.length()}}}};
}

}  // namespace adit::platform::nft
