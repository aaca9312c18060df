// Plans and changes of the guard as bytes: what is read is what writing it again gives.
#include <cstdlib>

#include "linux/guard/guardian/guard_wire.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace adit::platform;
  const adit::ByteSpan bytes(data, size);
  if (const auto plan = decode_plan(bytes)) {
    const auto again = decode_plan(encode_plan(*plan));
    if (!again || *again != *plan) std::abort();
  }
  if (const auto change = decode_change(bytes))
    if (!decode_change(encode_change(*change))) std::abort();
  (void)decode_error(bytes);
  (void)decode_state(bytes);
  return 0;
}
