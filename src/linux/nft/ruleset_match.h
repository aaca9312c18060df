// Whether one expression of an nftables rule, as nft prints it in JSON, holds for a packet: yes, no, or not to be told.
#pragma once

#include <nlohmann/json.hpp>

#include "linux/nft/ruleset_walk.h"

namespace adit::platform {

enum class Truth : uint8_t { no, maybe, yes };

Truth both(Truth a, Truth b);
Truth either(Truth a, Truth b);
Truth opposite(Truth a);

class RuleMatcher {
 public:
  // `document` must stay: named sets are looked up in it.
  RuleMatcher(const nlohmann::json& document, const WalkedPacket& packet) : document_(document), packet_(packet) {}

  void at(Hook hook, std::string table_family, std::string table);
  [[nodiscard]] Truth match(const nlohmann::json& match) const;                               // {"op", "left", "right"}
  [[nodiscard]] Truth equals(const nlohmann::json& left, const nlohmann::json& right) const;  // right: also a set
  [[nodiscard]] const nlohmann::json* elements_of(const nlohmann::json& named_or_set, const char* kind) const;

 private:
  [[nodiscard]] Truth one_of(const nlohmann::json& left, const nlohmann::json& elements) const;
  [[nodiscard]] Truth meta(const std::string& key, const nlohmann::json& right) const;
  [[nodiscard]] Truth payload(const nlohmann::json& payload, const nlohmann::json& right) const;
  [[nodiscard]] Truth fib(const nlohmann::json& fib, const nlohmann::json& right) const;
  [[nodiscard]] bool of_another_protocol(const nlohmann::json& left) const;

  const nlohmann::json& document_;
  const WalkedPacket& packet_;
  Hook hook_ = Hook::output;
  std::string family_, table_;
};

}  // namespace adit::platform
