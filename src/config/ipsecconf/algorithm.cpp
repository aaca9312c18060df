#include "config/ipsecconf/algorithm.h"

#include <algorithm>

#include <fmt/format.h>

#include "config/ipsecconf/icmp.h"

namespace adit::config::ipsecconf {
namespace {

constexpr uint16_t kOpen = 65535;

bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return std::tolower(static_cast<unsigned char>(x)) == y; });
}

std::string known_names(crypto::AlgProto proto, const crypto::AlgorithmTable& table) {
  std::string names;
  for (const crypto::Algorithm& row : table.rows())
    if (row.proto == proto && row.number != 0) names += (names.empty() ? "" : ", ") + row.names.front();
  return names;
}

// "(n)", "(n..)", "(..n)", "(n..m)"; the parentheses included.
std::optional<spd::KeyBits> read_bits(std::string_view suffix) {
  if (suffix.size() < 3 || suffix.front() != '(' || suffix.back() != ')') return std::nullopt;
  const std::string_view inside = suffix.substr(1, suffix.size() - 2);
  const size_t dots = inside.find("..");
  const std::string_view low = inside.substr(0, dots);
  const std::string_view high = dots == std::string_view::npos ? low : inside.substr(dots + 2);
  if (low.empty() && high.empty()) return std::nullopt;
  const auto min = low.empty() ? std::optional<uint32_t>(0) : decimal(low, kOpen);
  const auto max = high.empty() ? std::optional<uint32_t>(kOpen) : decimal(high, kOpen);
  if (!min || !max || *min > *max) return std::nullopt;
  return spd::KeyBits{static_cast<uint16_t>(*min), static_cast<uint16_t>(*max)};
}

}  // namespace

std::expected<std::optional<AlgorithmWish>, std::string> read_algorithm(std::string_view word, crypto::AlgProto proto,
                                                                        const crypto::AlgorithmTable& table) {
  const size_t paren = word.find('(');
  const std::string_view name = word.substr(0, paren);
  std::optional<spd::KeyBits> bits;
  if (paren != std::string_view::npos) {
    bits = read_bits(word.substr(paren));
    if (!bits) return std::unexpected("a key length is (n), (n..), (..n) or (n..m), in bits");
  }
  if (same(name, "none")) return std::nullopt;
  if (same(name, "any")) return AlgorithmWish{.number = 0, .bits = bits.value_or(spd::KeyBits{0, kOpen})};

  const auto number = decimal(name, 255);
  const crypto::Algorithm* row = number ? table.find(proto, static_cast<uint8_t>(*number)) : table.find(proto, name);
  if (row == nullptr || row->number == 0)
    return std::unexpected(fmt::format("known are {}", known_names(proto, table)));
  const spd::KeyBits wanted = bits.value_or(spd::KeyBits{row->default_bits, kOpen});
  if (wanted.min > row->max_bits || wanted.max < row->min_bits)
    return std::unexpected(
        row->min_bits == row->max_bits
            ? fmt::format("{} has keys of {} bits", row->names.front(), row->max_bits)
            : fmt::format("{} has keys of {} to {} bits", row->names.front(), row->min_bits, row->max_bits));
  return AlgorithmWish{row->number, wanted, row};
}

}  // namespace adit::config::ipsecconf
