#include "config/ipsecconf/icmp.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

namespace adit::config::ipsecconf {
namespace {

struct Keyword {
  std::string_view name;
  uint8_t number;
};

constexpr auto kTypes = std::to_array<Keyword>({
    {"unreach", 3},      {"echo", 8},         {"echorep", 0},     {"squench", 4},    {"redir", 5},
    {"timex", 11},       {"paramprob", 12},   {"timest", 13},     {"timestrep", 14}, {"inforeq", 15},
    {"inforep", 16},     {"maskreq", 17},     {"maskrep", 18},    {"unreach6", 1},   {"pkttoobig6", 2},
    {"timex6", 3},       {"paramprob6", 4},   {"echo6", 128},     {"echorep6", 129}, {"router-sol6", 133},
    {"router-ad6", 134}, {"neigh-sol6", 135}, {"neigh-ad6", 136}, {"redir6", 137},
});

constexpr auto kCodes = std::to_array<Keyword>({
    {"net-unr", 0},        {"host-unr", 1},       {"proto-unr", 2},   {"port-unr", 3},       {"needfrag", 4},
    {"srcfail", 5},        {"net-unk", 6},        {"host-unk", 7},    {"isolate", 8},        {"net-prohib", 9},
    {"host-prohib", 10},   {"net-tos", 11},       {"host-tos", 12},   {"filter-prohib", 13}, {"host-preced", 14},
    {"cutoff-preced", 15}, {"no-route6", 0},      {"adm-prohib6", 1}, {"addr-unr6", 3},      {"port-unr6", 4},
    {"hop-limex6", 0},     {"frag-re-timex6", 1}, {"err-head6", 0},   {"unrec-head6", 1},    {"unreq-opt6", 2},
});

std::optional<std::pair<uint8_t, uint8_t>> range(std::span<const Keyword> keywords, std::string_view word) {
  if (const auto found = std::ranges::find(keywords, word, &Keyword::name); found != keywords.end())
    return std::pair(found->number, found->number);
  const size_t dash = word.find('-');
  const auto first = decimal(word.substr(0, dash), 255);
  const auto last = dash == std::string_view::npos ? first : decimal(word.substr(dash + 1), 255);
  if (!first || !last || *last < *first) return std::nullopt;
  return std::pair(static_cast<uint8_t>(*first), static_cast<uint8_t>(*last));
}

}  // namespace

std::optional<uint32_t> decimal(std::string_view word, uint32_t max) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size() || value > max) return std::nullopt;
  return value;
}

std::optional<std::pair<uint8_t, uint8_t>> icmp_type(std::string_view word) {
  return range(kTypes, word);
}
std::optional<std::pair<uint8_t, uint8_t>> icmp_code(std::string_view word) {
  return range(kCodes, word);
}

}  // namespace adit::config::ipsecconf
