#include "config/ipsecconf/action.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "config/ipsecconf/algorithm.h"

namespace adit::config::ipsecconf {
namespace {

using crypto::AlgProto;

enum class Property : uint8_t { ah, encr, espa, sa, dir };

struct PropertyName {
  std::string_view name;
  Property property;
  std::string_view field;
};
constexpr auto kProperties = std::to_array<PropertyName>({
    {"auth_algs", Property::ah, "Authentication Algorithm"},
    {"encr_algs", Property::encr, "Encryption Algorithm"},
    {"encr_auth_algs", Property::espa, "ESP Authentication Algorithm"},
    {"sa", Property::sa, "SA"},
    {"dir", Property::dir, "Direction"},
});

std::string_view instead_of(const crypto::Algorithm& row) {
  return row.proto == AlgProto::esp ? "write 'encr_algs aes-gcm(256)', which needs no encr_auth_algs"
                                    : "write hmac-sha256 or hmac-sha512";
}

// One alternative: `action { properties }`.
class AlternativeReader {
 public:
  AlternativeReader(const Alternative& alternative, const Pattern& pattern, const crypto::AlgorithmTable& table,
                    WeakSeen& weak, Report& report)
      : alternative_(alternative), pattern_(pattern), table_(table), weak_(weak), report_(report) {}

  bool read(Actions& into) {
    const auto& words = alternative_.properties;
    for (size_t at = 0; at < words.size(); at += 2) {
      const auto property = std::ranges::find(kProperties, words[at].text, &PropertyName::name);
      if (property == kProperties.end()) {
        wrong(words[at], fmt::format("Invalid properties on line {}: {}", words[at].line, words[at].text),
              "expected auth_algs, encr_algs, encr_auth_algs or sa");
        return false;
      }
      if (at + 1 == words.size()) return bad(*property, words[at], "a value is missing"), false;
      Token& name = names_[static_cast<size_t>(property->property)];
      if (!name.text.empty()) wrong(words[at], complaint("Duplicate", property->field, words[at]));
      name = words[at];
      take(*property, words[at + 1], into);
    }
    take_verb(into);
    if (right_) check();
    if (right_) finish(into);
    return right_;
  }

 private:
  void wrong(const Token& at, std::string text, std::string expected = "") {
    report_.error(at, std::move(text), std::move(expected));
    right_ = false;
  }
  void bad(const PropertyName& property, const Token& at, std::string expected) {
    wrong(at, complaint("Bad", property.field, at), std::move(expected));
  }

  void take(const PropertyName& property, const Token& at, Actions& into) {
    switch (property.property) {
      case Property::ah:
        return take_algorithm(property, at, AlgProto::ah, [&](const AlgorithmWish& wish) {
          action_.ah = spd::Integrity{crypto::AuthAlg(wish.number), wish.bits};
        });
      case Property::encr:
        return take_algorithm(property, at, AlgProto::esp, [&](const AlgorithmWish& wish) {
          action_.encr = spd::Cipher{crypto::EncrAlg(wish.number), wish.bits};
          cipher_at_ = at;
          any_cipher_ = wish.row == nullptr;
        });
      case Property::espa:
        return take_algorithm(property, at, AlgProto::ah, [&](const AlgorithmWish& wish) {
          action_.espa = spd::Integrity{crypto::AuthAlg(wish.number), wish.bits};
          integrity_at_ = at;
        });
      case Property::sa:
        if (at.text == "unique")
          action_.unique = true;
        else if (at.text != "shared")
          bad(property, at, "expected shared or unique");
        return;
      case Property::dir:
        return take_direction(property, at, into);
    }
  }

  template <typename Put>
  void take_algorithm(const PropertyName& property, const Token& at, AlgProto proto, const Put& put) {
    const auto wish = read_algorithm(at.text, proto, table_);
    if (!wish) return bad(property, at, wish.error());
    if (!*wish) return;
    if ((*wish)->row != nullptr) warn_if_weak(at, *(*wish)->row);
    put(**wish);
  }

  void warn_if_weak(const Token& at, const crypto::Algorithm& row) {
    if (row.weak && weak_.first(row.proto, row.number))
      report_.warning(at, fmt::format("{} is weak", row.names.front()), std::string(instead_of(row)));
  }

  void take_direction(const PropertyName& property, const Token& at, Actions& into) {
    if (pattern_.style == Style::fresh)
      return bad(property, at, "with laddr and raddr, 'dir' stands in the first braces");
    if (pattern_.direction) return wrong(at, complaint("Duplicate", property.field, at));
    if (at.text == "in")
      into.direction = spd::Direction::in;
    else if (at.text == "out")
      into.direction = spd::Direction::out;
    else
      return bad(property, at, "expected in or out");
    into.old_style = true;
  }

  void take_verb(Actions& into) {
    const std::string_view word = alternative_.action.text;
    const bool fixed = word == "apply" || word == "permit";
    if (word == "drop")
      action_.verb = spd::Verb::drop;
    else if (word == "bypass" || word == "pass")
      action_.verb = spd::Verb::pass, action_.bypass = true;
    else
      action_.verb = spd::Verb::ipsec;
    if (!fixed) return;
    const auto own = word == "apply" ? spd::Direction::out : spd::Direction::in;
    const auto said = into.direction ? into.direction : pattern_.direction;
    if (said.value_or(own) != own)
      wrong(alternative_.action, "Direction in conflict with action",
            fmt::format("{} means dir {}", word, own == spd::Direction::out ? "out" : "in"));
    into.direction = own;
    into.old_style = into.old_style || pattern_.style != Style::fresh;
  }

  void check() {
    const bool algorithms = action_.ah || action_.encr || action_.espa;
    if (action_.verb != spd::Verb::ipsec) {
      if (algorithms)
        wrong(alternative_.action, "Algorithms found for bypass policy",
              fmt::format("{} protects nothing: empty its braces, or write ipsec", alternative_.action.text));
      return;
    }
    if (!algorithms)
      return wrong(alternative_.action, "No IPsec algorithms given", "write 'encr_algs aes-gcm(256)', for example");
    const bool combined = action_.encr && !any_cipher_ && crypto::is_combined(action_.encr->alg);
    if (combined && action_.espa)
      report_.warning(integrity_at_,
                      fmt::format("{} authenticates by itself; encr_auth_algs {} is not applied", cipher_at_.text,
                                  integrity_at_.text),
                      "leave it out");
    if (action_.encr && !combined && !action_.espa && !action_.ah)
      report_.warning(cipher_at_,
                      fmt::format("DANGER:  Rule on line {} has encryption with no authentication.", cipher_at_.line),
                      "add encr_auth_algs hmac-sha256, or use aes-gcm, which authenticates by itself");
  }

  void finish(Actions& into) {
    if (action_.espa && !action_.encr)  // integrity alone is ESP with NULL encryption
      action_.encr = spd::Cipher{crypto::EncrAlg::null, {0, 65535}};
    auto resolved = spd::resolve_algorithms(std::span(&action_, 1), table_);
    if (!resolved) return wrong(alternative_.action, resolved.error().error.text);
    if (into.actions.size() + resolved->size() > spd::kMaxActions)
      return wrong(alternative_.action, fmt::format("more than {} alternatives", spd::kMaxActions),
                   "name the algorithms instead of 'any'");
    into.actions.insert(into.actions.end(), resolved->begin(), resolved->end());
  }

  const Alternative& alternative_;
  const Pattern& pattern_;
  const crypto::AlgorithmTable& table_;
  WeakSeen& weak_;
  Report& report_;
  spd::Action action_;
  std::array<Token, 5> names_{};
  Token cipher_at_, integrity_at_;
  bool any_cipher_ = false, right_ = true;
};

}  // namespace

bool WeakSeen::first(crypto::AlgProto proto, uint8_t number) {
  const std::pair alg(proto, number);
  if (std::ranges::find(seen_, alg) != seen_.end()) return false;
  seen_.push_back(alg);
  return true;
}

std::optional<Actions> read_actions(const Entry& entry, const Pattern& pattern, const crypto::AlgorithmTable& table,
                                    WeakSeen& weak, Report& report) {
  Actions actions;
  bool right = true;
  for (const Alternative& alternative : entry.alternatives)
    right = AlternativeReader(alternative, pattern, table, weak, report).read(actions) && right;
  const bool old_style = pattern.style == Style::old || actions.old_style;
  if (right && old_style && entry.alternatives.size() > 1) {
    report.error(entry.alternatives[1].action, "or's only with new style", "write laddr and raddr, or two entries");
    right = false;
  }
  return right ? std::optional(std::move(actions)) : std::nullopt;
}

}  // namespace adit::config::ipsecconf
