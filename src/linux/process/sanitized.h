// Whether this build has a sanitizer, whose runtime does more than the program.
#pragma once

namespace adit::platform {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ADIT_SANITIZED 1
#endif
#endif
#if defined(ADIT_SANITIZED) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace adit::platform
