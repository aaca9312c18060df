// The engine over libipsec-mb: a burst's packets fill the lanes of the vector units. What the library lacks, and empty
// payloads, go to OpenSSL. Only in builds that have the library.
#pragma once

#include <memory>

#include "crypto/keyed.h"

namespace adit::crypto {

Result<std::unique_ptr<Engine>> make_mb_engine();

}  // namespace adit::crypto
