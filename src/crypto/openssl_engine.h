// The engine over OpenSSL 3 EVP: every algorithm, on every machine; one packet after the other.
// Contexts are made with the engine and keyed once a burst; afterwards they are keyed with zeros, so that no SA's key
// outlives it in OpenSSL's own memory (which is cleansed when freed, but not locked).
#pragma once

#include <memory>

#include "crypto/keyed.h"

namespace adit::crypto {

// ENOTSUP: libcrypto lacks its default provider. Without the legacy provider DES and Blowfish jobs are not ok.
Result<std::unique_ptr<Engine>> make_openssl_engine();

}  // namespace adit::crypto
