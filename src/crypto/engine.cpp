#include "crypto/openssl_engine.h"
#ifdef ADIT_IPSEC_MB
#include "crypto/mb_engine.h"
#endif

namespace adit::crypto {

Result<std::unique_ptr<Engine>> make_engine(EngineKind kind) {
  if (kind == EngineKind::openssl) return make_openssl_engine();
#ifdef ADIT_IPSEC_MB
  return make_mb_engine();
#else
  if (kind == EngineKind::best) return make_openssl_engine();
  return fail(ENOTSUP, "this build has no libipsec-mb (it is for x86-64): use the openssl engine");
#endif
}

}  // namespace adit::crypto
