// DropReason: what a stage of the packet path returns. Only datapath/outbound.cpp and inbound.cpp count.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace adit {

enum class DropReason : uint8_t {
  none,
#define ADIT_DROP(name, severity, sentence) name,
#include "base/drop_reason.def"
#undef ADIT_DROP
  count_
};

constexpr size_t kDropReasons = static_cast<size_t>(DropReason::count_);

struct DropReasonText {
  std::string_view name;      // no_rule
  std::string_view severity;  // guard, peer, limit, local
  std::string_view sentence;  // for an operator
};

inline constexpr std::array<DropReasonText, kDropReasons> kDropReasonTexts{{
    {"none", "", "the packet went on"},
#define ADIT_DROP(name, severity, sentence) {#name, #severity, sentence},
#include "base/drop_reason.def"
#undef ADIT_DROP
}};

constexpr const DropReasonText& text_of(DropReason reason) {
  return kDropReasonTexts[static_cast<size_t>(reason)];
}

}  // namespace adit
