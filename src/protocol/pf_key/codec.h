// PF_KEY messages as bytes (include/adit/pfkeyv2.h): bounds first, then form; meaning is the server's and the
// database's. Pure. Any bytes are safe.
#pragma once

#include "base/bytes.h"
#include "base/secret_bytes.h"
#include "protocol/pf_key/message.h"
#include "sad/diagnostic.h"

namespace adit::protocol {

constexpr size_t kKeyHeaderBytes = 16;
constexpr size_t kMaxDiagnosticText = 1024;   // of a refusal's sentence
constexpr size_t kMaxKeyMessage = 65535 * 8;  // what the length field can say
constexpr size_t kMaxKeyRequest = 64 * 1024;  // what the server reads of a client

struct KeyHeader {
  uint8_t version = 2, type = 0, error = 0, satype = 0;
  uint16_t words = 0, diagnostic = 0;
  uint32_t seq = 0, pid = 0;
};
// The base header alone, for error replies. nullopt: fewer than 16 bytes.
std::optional<KeyHeader> read_key_header(ByteSpan bytes);
void write_key_header(MutByteSpan bytes, const KeyHeader& header);  // REQUIRES: 16 bytes

// EMSGSIZE: not exactly as long as it says (or no header). EINVAL with the diagnostic: unknown message or extension,
// bad extension length, duplicate or malformed extension, an address family, key bits that do not fit.
sad::KeyResult<sad::KeyMessage> decode_key_message(ByteSpan bytes);

// Always well-formed.
SecretBytes encode_key_message(const sad::KeyMessage& message);

}  // namespace adit::protocol
