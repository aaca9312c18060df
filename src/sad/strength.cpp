#include "sad/strength.h"

namespace adit::sad {
namespace {
bool within(const spd::KeyBits& bits, uint16_t have) {
  return have >= bits.min && have <= bits.max;
}
}  // namespace

Strength strength_of(const SaSpec& spec) {
  return {spec.encr, spec.auth, static_cast<uint16_t>(spec.encr_key.size() * 8),
          static_cast<uint16_t>(spec.auth_key.size() * 8)};
}

bool wants_esp(const spd::Action& action) {
  return action.verb == spd::Verb::ipsec && (action.encr || action.espa);
}
bool wants_ah(const spd::Action& action) {
  return action.verb == spd::Verb::ipsec && action.ah.has_value();
}

bool esp_fits(const spd::Action& action, const Strength& esp) {
  const crypto::EncrAlg asked = action.encr ? action.encr->alg : crypto::EncrAlg::null;
  if (esp.encr != asked) return false;
  if (action.encr && asked != crypto::EncrAlg::null && !within(action.encr->bits, esp.encr_bits)) return false;
  if (!action.espa || crypto::is_combined(asked)) return true;
  return esp.auth == action.espa->alg && within(action.espa->bits, esp.auth_bits);
}

bool ah_fits(const spd::Action& action, const Strength& ah) {
  return ah.auth == action.ah->alg && within(action.ah->bits, ah.auth_bits);
}

}  // namespace adit::sad
