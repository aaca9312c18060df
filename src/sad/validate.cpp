#include "sad/validate.h"

#include <algorithm>

#include "sad/weak_key.h"

namespace adit::sad {
namespace {
using crypto::Algorithm;
using crypto::AlgProto;
using crypto::AuthAlg;
using crypto::EncrAlg;
using D = Diagnostic;

bool all_zero(std::span<const uint8_t> bytes) {
  return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

KeyResult<> check_addresses(const SaSpec& spec) {
  if (spec.source.is_multicast() || spec.source.is_limited_broadcast()) return refuse(EINVAL, D::bad_source);
  if (spec.destination.is_unspecified() || spec.destination.is_limited_broadcast())
    return refuse(EINVAL, D::bad_destination);
  if (spec.source.family() != spec.destination.family()) return refuse(EINVAL, D::af_mismatch);
  if (spec.nat && spec.nat->local.family() != spec.destination.family()) return refuse(EINVAL, D::bad_natt_local_af);
  if (spec.nat && spec.nat->remote.family() != spec.destination.family()) return refuse(EINVAL, D::bad_natt_remote_af);
  if (spec.nat && spec.type == SaType::ah)
    return refuse(EINVAL, D::bad_flags, "AH covers the outer addresses, so it cannot cross a NAT; use ESP");
  return {};
}

KeyResult<> check_inner(const SaSpec& spec) {
  if (!spec.inner) return {};
  if (spec.inner->source.family() != spec.inner->destination.family()) return refuse(EINVAL, D::inner_af_mismatch);
  constexpr uint8_t kIpip = 4, kIpv6 = 41;
  if (spec.outer_protocol != 0 && spec.outer_protocol != kIpip && spec.outer_protocol != kIpv6)
    return refuse(EINVAL, D::protocol_mismatch, "an SA with inner addresses carries protocol 4 or 41");
  return {};
}

KeyResult<> check_auth(const SaSpec& spec, const crypto::AlgorithmTable& algorithms) {
  if (spec.auth == AuthAlg::none) {
    if (!spec.auth_key.empty()) return refuse(EINVAL, D::auth_key_not_needed);
    if (spec.type == SaType::ah) return refuse(EINVAL, D::bad_auth_alg, "AH needs an authentication algorithm");
    return {};
  }
  const Algorithm* row = algorithms.find(AlgProto::ah, static_cast<uint8_t>(spec.auth));
  if (row == nullptr) return refuse(EINVAL, D::bad_auth_alg);
  if (crypto::is_combined(spec.encr))
    return refuse(EINVAL, spec.auth_key.empty() ? D::bad_auth_alg : D::auth_key_not_needed,
                  fmt::format("{} authenticates by itself; leave {} out", crypto::name_of(spec.encr), row->names[0]));
  if (spec.auth_key.empty()) return refuse(EINVAL, D::missing_auth_key);
  if (all_zero(spec.auth_key.bytes()))
    return refuse(EINVAL, D::malformed_auth_key, "the authentication key is all zero");
  if (!is_key_length(*row, spec.auth_key.size() * 8))
    return refuse(EINVAL, D::bad_auth_bits,
                  fmt::format("{} takes a key of {}; this one has {}", row->names[0], expected_bits(*row),
                              spec.auth_key.size() * 8));
  return {};
}

KeyResult<> check_encr_key(const SaSpec& spec, const Algorithm& row) {
  if (spec.encr_key.empty()) return refuse(EINVAL, D::missing_encr_key);
  if (all_zero(spec.encr_key.bytes())) return refuse(EINVAL, D::malformed_encr_key, "the encryption key is all zero");
  if (!is_key_length(row, spec.encr_key.size() * 8) || spec.salt.size() != row.salt_bytes)
    return refuse(EINVAL, D::bad_encr_bits,
                  fmt::format("{} takes a key of {}; this one has {}", row.names[0], expected_bits(row),
                              (spec.encr_key.size() + spec.salt.size()) * 8));
  if (is_weak_key(spec.encr, spec.encr_key.bytes())) return refuse(EINVAL, D::weak_encr_key);
  return {};
}

KeyResult<> check_encr(const SaSpec& spec, const crypto::AlgorithmTable& algorithms) {
  if (spec.type == SaType::ah) {
    if (spec.encr == EncrAlg::none && spec.encr_key.empty()) return {};
    return refuse(EINVAL, D::encr_not_for_satype);
  }
  if (spec.encr == EncrAlg::none || spec.encr == EncrAlg::null) {
    if (!spec.encr_key.empty()) return refuse(EINVAL, D::encr_key_not_needed);
    if (spec.auth == AuthAlg::none)
      return refuse(EINVAL, D::bad_auth_alg, "ESP with neither encryption nor authentication protects nothing");
    if (algorithms.find(AlgProto::esp, static_cast<uint8_t>(EncrAlg::null)) == nullptr)
      return refuse(EINVAL, D::bad_encr_alg);
    return {};
  }
  const Algorithm* row = algorithms.find(AlgProto::esp, static_cast<uint8_t>(spec.encr));
  if (row == nullptr) return refuse(EINVAL, D::bad_encr_alg);
  return check_encr_key(spec, *row);
}

KeyResult<> check_replay(const SaRequest& request) {
  if (request.spec.replay_window > ReplayWindow::kMaximum) return refuse(EINVAL, D::bad_replay_window);
  if (request.replay_value && !request.spec.esn && *request.replay_value > UINT32_MAX)
    return refuse(EOPNOTSUPP, D::bad_replay_counter,
                  "the replay value needs 64 bits, but the SA has no extended sequence numbers");
  return {};
}
}  // namespace

bool is_key_length(const Algorithm& algorithm, size_t bits) {
  if (bits < algorithm.min_bits || bits > algorithm.max_bits) return false;
  return algorithm.increment_bits == 0 || (bits - algorithm.min_bits) % algorithm.increment_bits == 0;
}

std::string expected_bits(const Algorithm& algorithm) {
  const unsigned salt = algorithm.salt_bytes * 8u;
  const unsigned low = algorithm.min_bits + salt, high = algorithm.max_bits + salt, step = algorithm.increment_bits;
  std::string text;
  if (low == high || step == 0) {
    text = low == high ? fmt::format("{} bits", low) : fmt::format("{} to {} bits", low, high);
  } else if ((high - low) / step <= 2) {
    for (unsigned bits = low; bits <= high; bits += step)
      text += bits == low ? fmt::format("{}", bits) : fmt::format("{}{}", bits + step > high ? " or " : ", ", bits);
    text += " bits";
  } else {
    text = fmt::format("{} to {} bits in steps of {}", low, high, step);
  }
  return salt == 0 ? text : text + fmt::format(" (the last {} are the salt)", salt);
}

KeyResult<> validate_lifetimes(const Lifetime& hard, const Lifetime& soft, const Lifetime& idle) {
  const auto above = [](uint64_t low, uint64_t high) { return high != 0 && low > high; };
  if (above(soft.allocations, hard.allocations)) return refuse(EINVAL, D::allocations_soft_above_hard);
  if (above(soft.bytes, hard.bytes)) return refuse(EINVAL, D::bytes_soft_above_hard);
  if (above(soft.add_seconds, hard.add_seconds)) return refuse(EINVAL, D::addtime_soft_above_hard);
  if (above(soft.use_seconds, hard.use_seconds)) return refuse(EINVAL, D::usetime_soft_above_hard);
  if (above(idle.add_seconds, hard.add_seconds) || above(idle.use_seconds, hard.use_seconds))
    return refuse(EINVAL, D::inappropriate_lifetimes, "an idle lifetime is longer than the hard one");
  return {};
}

KeyResult<> validate(const SaRequest& request, const crypto::AlgorithmTable& algorithms) {
  const SaSpec& spec = request.spec;
  if (spec.type != SaType::ah && spec.type != SaType::esp) return refuse(EINVAL, D::unknown_satype);
  if (static_cast<uint32_t>(spec.spi) < 256) return refuse(EINVAL, D::reserved_spi);
  if (request.state != SaState::mature) return refuse(EINVAL, D::bad_state);
  if (spec.name_space.size() > 255) return refuse(EINVAL, D::malformed_namespace);
  TRY(check_addresses(spec));
  TRY(check_inner(spec));
  TRY(check_encr(spec, algorithms));
  TRY(check_auth(spec, algorithms));
  TRY(check_replay(request));
  return validate_lifetimes(request.hard.value_or(Lifetime{}), request.soft.value_or(Lifetime{}),
                            request.idle.value_or(Lifetime{}));
}

}  // namespace adit::sad
