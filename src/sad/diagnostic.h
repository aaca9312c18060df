// PF_KEY diagnostics: why a request was refused, as a number on the wire and a sentence for an operator.
// Numbers 1-86 are the reference's (pf_key.md §2.2); 200 and above are Adit's own.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace adit::sad {

enum class Diagnostic : uint16_t {
#define ADIT_DIAGNOSTIC(number, name, text) name = number,
#include "sad/diagnostic.def"
#undef ADIT_DIAGNOSTIC
};

// "missing source address"; "unknown diagnostic code" for a number that the table lacks.
std::string_view text_of(Diagnostic diagnostic);

// An Error that PF_KEY can send: errno, diagnostic, and a sentence for local callers. Never holds key material.
struct KeyError : Error {
  Diagnostic diagnostic = Diagnostic::none;
};

template <typename T = void>
using KeyResult = std::expected<T, KeyError>;

// The sentence is the diagnostic's own.
std::unexpected<KeyError> refuse(int code, Diagnostic diagnostic);
std::unexpected<KeyError> refuse(int code, Diagnostic diagnostic, std::string text);

}  // namespace adit::sad
