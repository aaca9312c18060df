#include <algorithm>

#include "tunnel/link.h"

namespace adit::tunnel {
namespace {

constexpr size_t kMaxName = 15;  // the operating system's, without the final zero
constexpr uint64_t kMaxNumber = 4294967294;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_allowed(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '.';
}

Result<> check_number(std::string_view name, std::string_view digits) {
  if (digits.size() > 1 && digits.front() == '0') {
    return fail(EINVAL, "'{}' is not a valid link name: its number may not begin with 0", name);
  }
  uint64_t number = 0;
  for (const char c : digits) number = std::min(number * 10 + static_cast<uint64_t>(c - '0'), kMaxNumber + 1);
  if (number > kMaxNumber)
    return fail(EINVAL, "'{}' is not a valid link name: its number is above {}", name, kMaxNumber);
  return {};
}

}  // namespace

Result<> check_name(std::string_view name) {
  if (name.empty()) return fail(EINVAL, "a link needs a name, such as tun0");
  if (name.size() > kMaxName) {
    return fail(EINVAL, "'{}' is not a valid link name: it has {} characters, at most {} are allowed", name,
                name.size(), kMaxName);
  }
  if (!is_letter(name.front())) return fail(EINVAL, "'{}' is not a valid link name: it must begin with a letter", name);
  if (!std::ranges::all_of(name, is_allowed)) {
    return fail(EINVAL, "'{}' is not a valid link name: only letters, digits, '_' and '.' are allowed", name);
  }
  if (!is_digit(name.back()))
    return fail(EINVAL, "'{0}' is not a valid link name: it must end in a number, such as {0}0", name);
  const size_t last_other = name.find_last_not_of("0123456789");
  return check_number(name, name.substr(last_other + 1));
}

}  // namespace adit::tunnel
