#include "net/protocol.h"

#include <initializer_list>

namespace adit::net {
namespace {

struct Row {
  uint8_t number;
  std::string_view name;
};

// One row a name, those of one number in the order of the table.
constexpr auto for_each_row = [](auto&& visit) {
  const auto rows = [&](uint8_t number, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) visit(Row{number, name});
  };
#define ADIT_PROTOCOL(constant, number, ...) rows(number, {__VA_ARGS__});
#include "net/protocol.def"
#undef ADIT_PROTOCOL
};

}  // namespace

std::optional<uint8_t> protocol_number(std::string_view name) {
  std::optional<uint8_t> found;
  for_each_row([&](const Row& row) {
    if (row.name == name) found = row.number;
  });
  return found;
}

std::string_view protocol_name(uint8_t number) {
  std::string_view found;
  for_each_row([&](const Row& row) {
    if (row.number == number && found.empty()) found = row.name;
  });
  return found;
}

}  // namespace adit::net
