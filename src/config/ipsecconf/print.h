// SPD rules as ipsecconf -l and -L list them (policy.md §4.1), and as JSON.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "config/source/resolver.h"
#include "crypto/algorithm.h"
#include "spd/rule.h"

namespace adit::config {

struct PolicyPrinter {
  const crypto::AlgorithmTable& table;
  const Resolver* names = nullptr;  // null: numbers (-n)

  // { tunnel mytun0 negotiate tunnel dir out } ipsec { encr_algs aes-gcm(128..256) sa shared }
  [[nodiscard]] std::string rule(std::string_view head, const spd::Rule& rule) const;
  // "#INDEX mytun0,9" or "#INDEX 3", and the rule below it; ends with a newline.
  [[nodiscard]] std::string listing(std::string_view head, const spd::Rule& rule) const;
  [[nodiscard]] nlohmann::json json(std::string_view head, const spd::Rule& rule) const;
};

}  // namespace adit::config
