// PF_KEY: any bytes are a message or are refused; what decodes encodes again to bytes that decode; and the whole way of
// a request through the server's rules and the database holds.
#include <cstdlib>

#include "protocol/pf_key/codec.h"
#include "server/pf_key_requests.h"
#include "server/testing/bare_key_access.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace adit;
  protocol::BareKeyAccess access({.maximum_sas = 16});
  protocol::KeySession session;
  // The input is a row of messages, as one client sends them: each as long as its header says.
  for (ByteSpan rest(data, size); !rest.empty();) {
    const auto header = protocol::read_key_header(rest);
    const size_t length = header && header->words != 0 ? std::min(rest.size(), size_t{header->words} * 8) : rest.size();
    if (auto message = protocol::decode_key_message(rest.first(length))) {
      if (!protocol::decode_key_message(protocol::encode_key_message(*message))) std::abort();
      (void)protocol::answer_key_request(*message, session, access);
      (void)protocol::next_dump_page(session, access.database, 4);
      access.clock.advance(Seconds(7));
      access.database.tick();
      access.keys_changed();
    }
    rest = rest.subspan(length);
  }
  if (access.database.table()->size() != access.database.size()) std::abort();
  return 0;
}
