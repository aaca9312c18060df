// PF_POLICY messages of a client: packets behind their 16-bit length, in one conversation with a database.
#include <cstdlib>

#include "base/bytes.h"
#include "protocol/pf_policy/codec.h"
#include "server/pf_policy_session.h"
#include "server/testing/fake_policy_access.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace adit;
  protocol::FakePolicyAccess access;
  protocol::PolicySession session(access, {.uid = 0});
  ByteReader reader(ByteSpan(data, size));
  while (const auto length = reader.be<uint16_t>()) {
    const auto packet = reader.take(std::min<size_t>(*length, reader.left()));
    session.handle(*packet);
    while (session.pending()) {
      const ByteSpan answer = session.front();
      const auto header = protocol::read_policy_header(answer);
      if (!header || size_t{header->words} * 8 != answer.size()) std::abort();
      if (header->error == 0 && !protocol::decode_policy(answer)) std::abort();
      session.pop();
    }
    size_t rules = 0;  // what is published is what the database counts
    access.db.current()->for_each([&](const auto&, const auto& head) { rules += head->rules().size(); });
    if (rules != access.db.size()) std::abort();
  }
  return 0;
}
