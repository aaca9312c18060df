#include "config/ipseckey/key.h"

#include <algorithm>
#include <charconv>

namespace adit::config::ipseckey {
namespace {
constexpr size_t kMaxKeyBits = 4096;

// 0: not given.
Result<size_t> read_bits(std::string_view text, std::string_view field) {
  size_t bits = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
  if (error != std::errc{} || end != text.data() + text.size() || bits == 0 || bits > kMaxKeyBits)
    return fail(EINVAL, "the /bits of {} is not a bit specifier.", field);
  return bits;
}
}  // namespace

Result<ParsedKey> parse_key(std::string_view word, std::string_view field) {
  if (word.size() > 2 && (word.starts_with("0x") || word.starts_with("0X"))) word.remove_prefix(2);
  const size_t slash = word.find('/');
  std::string_view digits = word.substr(0, slash);
  if (digits.empty()) return fail(EINVAL, "the string after {} is not a hex value: it is empty.", field);
  if (digits.size() > kMaxKeyBits / 4)
    return fail(EINVAL, "the key after {} is longer than {} bits.", field, kMaxKeyBits);

  ParsedKey parsed;
  size_t bits = (digits.size() + 1) / 2 * 8;
  if (slash != std::string_view::npos) {
    TRY_ASSIGN(bits, read_bits(word.substr(slash + 1), field));
    const size_t nibbles = (bits + 3) / 4;
    if (nibbles > digits.size()) return fail(EINVAL, "bit length {} is too big for {}.", bits, field);
    if (nibbles < digits.size())
      parsed.warning = fmt::format("Lower bits will be truncated for {}: only {} bits are used.", field, bits);
    digits = digits.substr(0, nibbles);
  } else if (digits.size() % 2 != 0) {
    parsed.warning = fmt::format(
        "{} has an odd number of hex digits ({}); a 0 is put at its end, as 123 becomes 0x1230.", field, digits.size());
  }
  auto secret = Secret::from_hex(digits);
  if (!secret && secret.error().code == ENOMEM) return std::unexpected(secret.error());
  if (!secret) return fail(EINVAL, "the string after {} is not a hex value: {}.", field, secret.error().text);
  if (bits % 8 != 0) secret->bytes().back() &= static_cast<uint8_t>(0xff << (8 - bits % 8));
  parsed.key = {std::move(*secret), static_cast<uint16_t>(bits), 0};
  return parsed;
}

}  // namespace adit::config::ipseckey
