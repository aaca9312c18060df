// Do the fields of a command agree, and is everything there?
#include "config/ipseckey/association.h"
#include "sad/validate.h"

namespace adit::config::ipseckey {
namespace {
using crypto::AlgProto;
constexpr uint8_t kAh = 2, kEsp = 3, kNullCipher = static_cast<uint8_t>(crypto::EncrAlg::null), kMature = 1;

class Checker {
 public:
  Checker(KeyVerb verb, uint8_t satype, const Word& command, const Language& language, Report& report, Values& values)
      : verb_(verb), satype_(satype), command_(command), language_(language), report_(report), values_(values) {}

  bool all() {
    if (!named()) return false;
    if (verb_ == KeyVerb::del || verb_ == KeyVerb::delete_pair || verb_ == KeyVerb::get) return true;
    if (!values_.state) values_.state = kMature;
    if (!nat() || !tunnel()) return false;
    return verb_ == KeyVerb::add ? protection() : cipher_for_type() && key_lengths();
  }

 private:
  const Word& at(Field field) const {
    const auto found = values_.at.find(field);
    return found == values_.at.end() ? command_ : found->second;
  }

  bool named() {
    const bool parameters = values_.has(Field::spi) || values_.has(Field::replay) || values_.has(Field::state) ||
                            values_.has(Field::auth_alg) || values_.has(Field::encr_alg) || values_.has(Field::encap);
    if (!parameters) return report_.error(command_, fmt::format("Need SA parameters for {}.", name_of(verb_)));
    if (values_.destination.empty())
      return report_.error(command_, fmt::format("Need destination address for {}.", name_of(verb_)), "dst ADDRESS");
    if (!values_.spi)
      return report_.error(command_, fmt::format("Need to define SPI for {}.", name_of(verb_)), "spi NUMBER");
    return true;
  }

  bool nat() {
    const bool any = values_.nat_local || values_.nat_remote || values_.nat_lport != 0 || values_.nat_rport != 0;
    if (any && !values_.udp) return report_.error(command_, "Must specify 'encap udp' with any NAT-T port/address.");
    if (values_.udp && satype_ == kAh)
      return report_.error(at(Field::encap), "AH covers the outer addresses, so it cannot cross a NAT", "SA type esp");
    return true;
  }

  bool tunnel() {
    if (values_.inner_source && values_.inner_destination &&
        values_.inner_source->family() != values_.inner_destination->family())
      return report_.error(at(Field::inner_dst), "the inner addresses are of different address families");
    if (!values_.tunnel()) return true;
    if (values_.proto != 0 && values_.proto != 4 && values_.proto != 41)
      report_.warning(at(Field::proto),
                      fmt::format("Protocol type {} not for use with Tunnel-Mode IPsec SA.", values_.proto), "4 or 41");
    return true;
  }

  bool cipher_for_type() {
    if (satype_ == kAh && values_.encr_key)
      return report_.error(at(Field::encr_key), "Cannot specify encryption with SA type ah.");
    if (values_.encr == kNullCipher && values_.encr_key)
      return report_.error(at(Field::encr_key), "Cannot specify a key with NULL encryption algorithm.");
    return true;
  }

  bool protection() {
    if (!values_.auth && !values_.encr) return report_.error(command_, "Select at least one algorithm for this add.");
    if (satype_ == kEsp && !values_.encr) values_.encr = kNullCipher;
    if (!cipher_for_type()) return false;
    if (!values_.auth_key && !values_.encr_key)
      return report_.error(command_, "Must have at least one key for an add.");
    const bool combined = values_.encr && crypto::is_combined(static_cast<crypto::EncrAlg>(*values_.encr));
    if (combined && values_.auth.value_or(0) != 0)
      return report_.error(at(Field::auth_alg),
                           fmt::format("{} authenticates by itself", row(AlgProto::esp, *values_.encr)->names[0]),
                           "leave auth_alg and authkey out");
    if (satype_ == kEsp && *values_.encr != kNullCipher && !combined && !values_.auth)
      report_.warning(at(Field::encr_alg), "encryption without authentication lets others change what is sent",
                      "add auth_alg and authkey, or use aes-gcm");
    return keys_present() && key_lengths();
  }

  const crypto::Algorithm* row(AlgProto proto, uint8_t number) const { return language_.table.find(proto, number); }

  bool keys_present() {
    if (values_.encr && *values_.encr != kNullCipher && !values_.encr_key)
      return report_.error(at(Field::encr_alg), "the encryption key is missing",
                           "encrkey with " + bits(AlgProto::esp, *values_.encr));
    if (values_.auth.value_or(0) != 0 && !values_.auth_key)
      return report_.error(at(Field::auth_alg), "the authentication key is missing",
                           "authkey with " + bits(AlgProto::ah, *values_.auth));
    if (values_.auth.value_or(0) == 0 && values_.auth_key)
      return report_.error(at(Field::auth_key), "an authentication key, but no algorithm for it", "auth_alg");
    return true;
  }

  std::string bits(AlgProto proto, uint8_t number) const {
    const crypto::Algorithm* found = row(proto, number);
    return found == nullptr ? "a key" : sad::expected_bits(*found);
  }

  bool key_lengths() {
    return key_length(AlgProto::esp, values_.encr, values_.encr_key, Field::encr_key) &&
           key_length(AlgProto::ah, values_.auth, values_.auth_key, Field::auth_key);
  }

  bool key_length(AlgProto proto, std::optional<uint8_t> alg, const std::optional<sad::KeyExtension>& key,
                  Field field) {
    const crypto::Algorithm* found = alg && key ? row(proto, *alg) : nullptr;
    if (found == nullptr) return true;
    const size_t salt = size_t{found->salt_bytes} * 8;
    if (key->bits >= salt && sad::is_key_length(*found, key->bits - salt)) return true;
    return report_.error(at(field), fmt::format("the key has {} bits", key->bits),
                         fmt::format("{} takes {}", found->names[0], sad::expected_bits(*found)));
  }

  KeyVerb verb_;
  uint8_t satype_;
  const Word& command_;
  const Language& language_;
  Report& report_;
  Values& values_;
};

}  // namespace

bool check_association(KeyVerb verb, uint8_t satype, const Word& command, const Language& language, Report& report,
                       Values& values) {
  return Checker(verb, satype, command, language, report, values).all();
}

}  // namespace adit::config::ipseckey
