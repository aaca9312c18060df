// Limits of the policy language: a text above kMaxPolicyBytes is refused unread.
#pragma once

#include <cstddef>

namespace adit::config {

constexpr size_t kMaxPolicyBytes = 16u << 20;
constexpr size_t kMaxPolicyLine = 1024, kMaxPolicyEntry = 8192, kMaxPolicyWords = 20, kMaxPolicyActions = 20;
constexpr size_t kMaxTunnelName = 15;  // as long as the links are here
constexpr size_t kMaxProblems = 50;    // errors told of one text

}  // namespace adit::config
