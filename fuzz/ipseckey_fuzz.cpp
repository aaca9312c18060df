// The ipseckey grammar: any text is commands or problems, and what is quoted of it can be printed.
#include <cstdlib>

#include "config/ipseckey/ipseckey.h"
#include "config/ipseckey/print.h"
#include "config/source/testing/fake_resolver.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace adit;
  static const auto table = crypto::AlgorithmTable::builtin();
  static const config::FakeResolver resolver;
  if (size > 65536) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto parsed = config::parse_ipseckeys(text, {"fuzz", false, ""}, table, resolver);
  for (const auto& problem : parsed.problems) {
    for (const char c : problem.source) {
      if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\f' && c != '\v') std::abort();
    }
  }
  for (const auto& command : parsed.commands) {
    for (const auto& message : command.messages) {
      (void)config::print_key_message(message, table, {});
      if (command.verb == config::KeyVerb::add) (void)config::save_association(message, table);
    }
  }
  return 0;
}
