#include "sad/diagnostic.h"

namespace adit::sad {

std::string_view text_of(Diagnostic diagnostic) {
  switch (diagnostic) {
#define ADIT_DIAGNOSTIC(number, name, text) \
  case Diagnostic::name:                    \
    return text;
#include "sad/diagnostic.def"
#undef ADIT_DIAGNOSTIC
  }
  return "unknown diagnostic code";
}

std::unexpected<KeyError> refuse(int code, Diagnostic diagnostic) {
  return refuse(code, diagnostic, std::string(text_of(diagnostic)));
}

std::unexpected<KeyError> refuse(int code, Diagnostic diagnostic, std::string text) {
  return std::unexpected(KeyError{{code, std::move(text)}, diagnostic});
}

}  // namespace adit::sad
