// Field by field: words into Values.
#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "config/ipseckey/association.h"
#include "config/ipseckey/key.h"

namespace adit::config::ipseckey {
namespace {

template <typename Value>
struct Named {
  std::string_view name;
  Value value;
};

constexpr auto kStates = std::to_array<Named<uint8_t>>({{"larval", 0}, {"mature", 1}, {"dying", 2}, {"dead", 3}});
constexpr auto kIdentityTypes = std::to_array<Named<uint16_t>>({{"prefix", 1},
                                                                {"fqdn", 2},
                                                                {"domain", 2},
                                                                {"domainname", 2},
                                                                {"user_fqdn", 3},
                                                                {"mailbox", 3},
                                                                {"der_dn", 4},
                                                                {"der_gn", 5}});

bool same_text(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

// C style: 0x…, 0… (octal), decimal.
std::optional<uint64_t> c_number(std::string_view text) {
  int base = 10;
  if (text.size() > 2 && (text.starts_with("0x") || text.starts_with("0X"))) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
    text.remove_prefix(1);
  }
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

class FieldReader {
 public:
  FieldReader(const Words& words, size_t first, KeyVerb verb, uint8_t satype, const Language& language, Report& report,
              Values& values)
      : words_(words),
        at_(first),
        verb_(verb),
        satype_(satype),
        language_(language),
        report_(report),
        values_(values) {}

  bool all() {
    while (at_ < words_.size()) {
      const Word& word = words_[at_++];
      const FieldName* name = find_field(word.text);
      if (name == nullptr)
        return report_.error(word, "Unknown extension field " + quoted(word),
                             "the fields are listed by: ipseckey help");
      if (!allowed(word, *name) || !read(word, *name)) return false;
      values_.at.emplace(name->field, word);
    }
    return true;
  }

 private:
  bool allowed(const Word& word, const FieldName& name) {
    const bool finds = verb_ == KeyVerb::del || verb_ == KeyVerb::delete_pair || verb_ == KeyVerb::get;
    if (finds && !name.find_too)
      return report_.error(word, fmt::format("Don't use extension {} for '{}'.", word.text, name_of(verb_)),
                           "spi, src and dst name an SA");
    if (name.field == Field::label || name.field == Field::current)
      return report_.error(word, fmt::format("Don't use extension {} for add/update.", word.text));
    if (name.field == Field::pair_spi && verb_ == KeyVerb::update_pair)
      return report_.error(word, "pair-spi can not be used with the \"update-pair\" command.");
    if (values_.has(name.field)) return report_.error(word, fmt::format("Can only specify single {}.", name.noun));
    return true;
  }

  const Word* take(std::string_view expected) {
    if (at_ < words_.size()) return &words_[at_++];
    report_.error(words_.back(), fmt::format("Unexpected end of command line, was expecting {}.", expected));
    return nullptr;
  }

  template <typename Number>
  bool number(Number& value) {
    const Word* word = take("a number");
    if (word == nullptr) return false;
    const auto read = c_number(word->text);
    if (!read) return report_.error(*word, "Expecting a number, not " + quoted(*word) + "!");
    if (*read > std::numeric_limits<Number>::max())
      return report_.error(*word, fmt::format("{} is too large", word->text),
                           fmt::format("at most {}", std::numeric_limits<Number>::max()));
    value = static_cast<Number>(*read);
    return true;
  }

  template <typename Number>
  bool number(std::optional<Number>& value) {
    return number(value.emplace());
  }

  bool spi(std::optional<uint32_t>& value) {
    if (!number(value)) return false;
    const Word& word = words_[at_ - 1];
    if (*value == 0) return report_.error(word, "Invalid SPI value \"0\" .");
    if (*value < 256)
      return report_.error(word, fmt::format("SPI {} is reserved (RFC 4303 §2.1)", *value), "use 256 or more");
    return true;
  }

  bool replay() {
    if (!number(values_.replay)) return false;
    const Word& word = words_[at_ - 1];
    if (*values_.replay > sad::ReplayWindow::kMaximum)
      return report_.error(word, fmt::format("a replay window of {} packets is too large", *values_.replay),
                           "at most 4096");
    if (*values_.replay != 0) report_.warning(word, "Replay with manual keying considered harmful.");
    return true;
  }

  bool state() {
    const Word* word = take("a state");
    if (word == nullptr) return false;
    const auto named = std::ranges::find(kStates, std::string_view(word->text), &Named<uint8_t>::name);
    const auto value = named != kStates.end() ? std::optional<uint64_t>(named->value) : c_number(word->text);
    if (!value || *value > 3)
      return report_.error(*word, "Unknown state type " + quoted(*word), "larval, mature, dying or dead");
    values_.state = static_cast<uint8_t>(*value);
    if (*value == 0) report_.warning(*word, "'larval' is not a valid state for an SA that is made by hand");
    return true;
  }

  bool algorithm(crypto::AlgProto proto, std::optional<uint8_t>& value) {
    const bool encr = proto == crypto::AlgProto::esp;
    if (encr && satype_ == 2) return report_.error(words_[at_ - 1], "Cannot specify encryption with SA type ah.");
    const Word* word = take("an algorithm name");
    if (word == nullptr) return false;
    const crypto::Algorithm* row = language_.table.find(proto, word->text);
    const auto by_number = row == nullptr ? c_number(word->text) : std::nullopt;
    if (by_number && *by_number <= 255) row = language_.table.find(proto, static_cast<uint8_t>(*by_number));
    if (row == nullptr)
      return report_.error(
          *word, fmt::format("Unknown {} algorithm type {}", encr ? "encryption" : "authentication", quoted(*word)),
          "ipsecalgs lists them");
    value = row->number;
    if ((row->flags & crypto::kAlgCounter) != 0)
      report_.warning_once(
          *word,
          fmt::format("Using manual keying with a Counter mode algorithm such as \"{}\" may be insecure!",
                      row->names[0]),
          "never use the key again with another SA, nor after its sequence numbers begin anew");
    if (row->weak)
      report_.warning_once(*word, fmt::format("{} is weak", row->names[0]),
                           encr ? "write aes or aes-gcm" : "write sha256 or sha512");
    return true;
  }

  bool encap() {
    const Word* word = take("an encapsulation");
    if (word == nullptr) return false;
    if (word->text != "udp") return report_.error(*word, "Can only specify udp encapsulation.");
    return values_.udp = true;
  }

  // Literal addresses, and, without -n, names. `v6` leaves only IPv6.
  std::vector<net::Address> resolve(const std::string& text, bool v6) {
    std::vector<net::Address> found;
    if (const auto literal = net::Address::parse(text))
      found.push_back(*literal);
    else if (!language_.source.numeric)
      found = language_.resolver.host(text);
    if (v6) std::erase_if(found, [](const net::Address& address) { return address.is_v4(); });
    return found;
  }

  bool addresses(const FieldName& name, std::vector<net::Address>& value) {
    const Word* word = take("an address");
    if (word == nullptr) return false;
    value = resolve(std::string(word->text), name.v6_only);
    if (!value.empty()) return true;
    if (may_wait(std::string(word->text), name.v6_only)) return wait(*word);
    return report_.error(*word, fmt::format("Unknown {} {}", name.noun, quoted(*word)),
                         name.v6_only               ? "an IPv6 address"
                         : language_.source.numeric ? "a number, because of -n"
                                                    : "");
  }

  // A name that says nothing yet; one that has addresses of another family only is wrong.
  bool may_wait(const std::string& text, bool v6) const {
    return language_.resolver.entries_may_wait() && !language_.source.numeric && !net::Address::parse(text) &&
           !(v6 && !language_.resolver.host(text).empty());
  }
  bool wait(const Word& word) {
    return report_.wait(word, fmt::format("{} does not resolve", quoted(word)),
                        "the SA is left out until it does; it is looked up again by itself");
  }

  bool single(const FieldName& name, std::optional<net::Address>& value) {
    std::vector<net::Address> found;
    if (!addresses(name, found)) return false;
    if (found.size() > 1)
      return report_.error(words_[at_ - 1],
                           fmt::format("{} {} is vague: it has several addresses", name.noun, quoted(words_[at_ - 1])),
                           "write one");
    value = found.front();
    return true;
  }

  // A selector that cannot be read is refused: leaving it out would make the SA wider.
  bool prefix(const FieldName& name, std::optional<net::Prefix>& value) {
    const Word* word = take("an address");
    if (word == nullptr) return false;
    const size_t slash = word->text.find('/');
    const std::string host(std::string_view(word->text).substr(0, slash));
    const auto found = resolve(host, name.v6_only);
    if (found.empty() && may_wait(host, name.v6_only)) return wait(*word);
    if (found.size() != 1)
      return report_.error(*word,
                           fmt::format("{} {} {}", found.empty() ? "Unknown" : "Vague", name.noun, quoted(*word)),
                           "an address, with /prefix length if it is a network's");
    uint64_t length = net::address_bits(found[0].family());
    if (slash != std::string::npos) {
      const std::string_view text = std::string_view(word->text).substr(slash + 1);
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
      if (error != std::errc{} || end != text.data() + text.size() || length > net::address_bits(found[0].family()))
        return report_.error(*word, fmt::format("Invalid prefix /{}.", text),
                             fmt::format("0 to {}", net::address_bits(found[0].family())));
    }
    value = net::Prefix(found[0], static_cast<uint8_t>(length));
    return true;
  }

  bool key(std::string_view field, std::optional<sad::KeyExtension>& value) {
    const Word* word = take("a key");
    if (word == nullptr) return false;
    auto parsed = parse_key(word->text, field);
    if (!parsed) return report_.error(*word, parsed.error().text);
    if (!parsed->warning.empty()) report_.warning(*word, parsed->warning);
    value = std::move(parsed->key);
    return true;
  }

  bool identity(std::optional<sad::Identity>& value) {
    const Word* type = take("an identity type");
    if (type == nullptr) return false;
    const auto named =
        std::ranges::find_if(kIdentityTypes, [&](const auto& t) { return same_text(t.name, type->text); });
    const auto read = named != kIdentityTypes.end() ? std::optional<uint64_t>(named->value) : c_number(type->text);
    if (!read || *read > UINT16_MAX)
      return report_.error(*type, "Unknown identity type " + quoted(*type),
                           "prefix, fqdn, user_fqdn, der_dn, der_gn or a number");
    const Word* text = take("an identity");
    if (text == nullptr) return false;
    value = sad::Identity{static_cast<uint16_t>(*read), 0, std::string(text->text)};
    return true;
  }

  sad::Lifetime& life(std::optional<sad::Lifetime>& lifetime) { return lifetime ? *lifetime : lifetime.emplace(); }

  bool read_lifetime(Field field) {
    switch (field) {
      case Field::soft_alloc:
        return number(life(values_.soft).allocations);
      case Field::soft_bytes:
        return number(life(values_.soft).bytes);
      case Field::soft_addtime:
        return number(life(values_.soft).add_seconds);
      case Field::soft_usetime:
        return number(life(values_.soft).use_seconds);
      case Field::hard_alloc:
        return number(life(values_.hard).allocations);
      case Field::hard_bytes:
        return number(life(values_.hard).bytes);
      case Field::hard_addtime:
        return number(life(values_.hard).add_seconds);
      case Field::hard_usetime:
        return number(life(values_.hard).use_seconds);
      case Field::idle_addtime:
        return number(life(values_.idle).add_seconds);
      default:
        return number(life(values_.idle).use_seconds);
    }
  }

  bool read_address(const FieldName& name) {
    switch (name.field) {
      case Field::src:
        return addresses(name, values_.source);
      case Field::dst:
        return addresses(name, values_.destination);
      case Field::inner_src:
        return prefix(name, values_.inner_source);
      case Field::inner_dst:
        return prefix(name, values_.inner_destination);
      case Field::nat_local:
        return single(name, values_.nat_local);
      case Field::nat_remote:
        return single(name, values_.nat_remote);
      case Field::sport:
        return number(values_.sport);
      case Field::dport:
        return number(values_.dport);
      case Field::inner_sport:
        return number(values_.inner_sport);
      case Field::inner_dport:
        return number(values_.inner_dport);
      case Field::nat_lport:
        return number(values_.nat_lport);
      case Field::nat_rport:
        return number(values_.nat_rport);
      case Field::proto:
        return number(values_.proto);
      default:
        return number(values_.inner_proto);
    }
  }

  bool read(const Word& word, const FieldName& name) {
    switch (name.field) {
      case Field::spi:
        return spi(values_.spi);
      case Field::pair_spi:
        return spi(values_.pair);
      case Field::replay:
        return replay();
      case Field::state:
        return state();
      case Field::auth_alg:
        return algorithm(crypto::AlgProto::ah, values_.auth);
      case Field::encr_alg:
        return algorithm(crypto::AlgProto::esp, values_.encr);
      case Field::flags:
        return number(values_.flags);
      case Field::reserved_bits:
        return number(values_.reserved_bits);
      case Field::encap:
        return encap();
      case Field::inbound:
        return values_.inbound = true;
      case Field::outbound:
        return values_.outbound = true;
      case Field::esn:
        return values_.esn = true;
      case Field::auth_key:
        return key("authkey", values_.auth_key);
      case Field::encr_key:
        return key("encrkey", values_.encr_key);
      case Field::src_id:
        return identity(values_.source_identity);
      case Field::dst_id:
        return identity(values_.destination_identity);
      case Field::replay_value:
        return number(values_.replay_value);
      case Field::label:
      case Field::current:
        return report_.error(word, "Don't use this extension here.");
      default:
        break;
    }
    const bool is_lifetime = name.field >= Field::soft_alloc && name.field <= Field::idle_usetime;
    return is_lifetime ? read_lifetime(name.field) : read_address(name);
  }

  const Words& words_;
  size_t at_;
  KeyVerb verb_;
  uint8_t satype_;
  const Language& language_;
  Report& report_;
  Values& values_;
};

}  // namespace

std::string quoted(const Word& word) {
  if (looks_like_key(word.text)) return "\"…\"";
  std::string text(std::string_view(word.text).substr(0, 64));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = '?';
  }
  return '"' + text + '"';
}

bool Values::tunnel() const {
  return inner_source || inner_destination || has(Field::inner_sport) || has(Field::inner_dport) ||
         has(Field::inner_proto);
}

bool read_fields(const Words& words, size_t first, KeyVerb verb, uint8_t satype, const Language& language,
                 Report& report, Values& values) {
  return FieldReader(words, first, verb, satype, language, report, values).all();
}

}  // namespace adit::config::ipseckey
