// A key as it is written: hexadecimal digits, an optional 0x, an optional /bits.
#pragma once

#include <string>
#include <string_view>

#include "protocol/pf_key/message.h"

namespace adit::config::ipseckey {

struct ParsedKey {
  sad::KeyExtension key;
  std::string warning;  // odd digits padded, bits cut off; may be empty
};

// EINVAL with a text that holds no digit of it. `field` is authkey or encrkey, for the texts.
Result<ParsedKey> parse_key(std::string_view word, std::string_view field);

}  // namespace adit::config::ipseckey
