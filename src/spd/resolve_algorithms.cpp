// "any" and open key lengths of a rule's actions, made concrete by the algorithm table.
#include <algorithm>

#include "spd/rule.h"

namespace adit::spd {
namespace {

using crypto::Algorithm;
using crypto::AlgProto;
using crypto::AuthAlg;
using crypto::EncrAlg;

struct Kind {  // what an error says about one of the three places of an action
  std::string_view word;
  uint16_t unknown, bad_bits;  // diagnostics
};
constexpr Kind kAh{"AH algorithm", 30, 33};
constexpr Kind kEncr{"ESP encryption algorithm", 31, 34};
constexpr Kind kEspa{"ESP authentication algorithm", 32, 35};

template <typename T>
using ActionResult = std::expected<T, ActionError>;

bool encrypts(const Algorithm& row) {
  const auto alg = static_cast<EncrAlg>(row.number);
  return row.number != 0 && alg != EncrAlg::null && alg != EncrAlg::aes_gmac;
}

ActionResult<KeyBits> clip(const Kind& kind, const Algorithm& row, KeyBits bits) {
  if (bits.max < row.min_bits || bits.min > row.max_bits || bits.min > bits.max)
    return std::unexpected(
        ActionError{kind.bad_bits,
                    {EINVAL, fmt::format("{} {} has keys of {} to {} bits, not {}..{}", kind.word, row.names.front(),
                                         row.min_bits, row.max_bits, bits.min, bits.max)}});
  return KeyBits{std::max(bits.min, row.min_bits), std::min(bits.max, row.max_bits)};
}

// The choices for one place: one when it is named, none when it is not asked for (an empty optional), all for "any".
template <typename Wish>
ActionResult<std::vector<std::optional<Wish>>> choices(const Kind& kind, AlgProto proto,
                                                       const std::optional<Wish>& wish,
                                                       const crypto::AlgorithmTable& table) {
  std::vector<std::optional<Wish>> found;
  if (!wish) return std::vector<std::optional<Wish>>{std::nullopt};
  const auto number = static_cast<uint8_t>(wish->alg);
  if (number == 0) {
    for (const Algorithm& row : table.rows()) {
      if (row.proto != proto || row.number == 0 || (proto == AlgProto::esp && !encrypts(row))) continue;
      if (const auto bits = clip(kind, row, wish->bits)) found.push_back(Wish{decltype(wish->alg)(row.number), *bits});
    }
  } else if (const Algorithm* row = table.find(proto, number); row != nullptr) {
    const auto bits = clip(kind, *row, wish->bits);
    if (!bits) return std::unexpected(bits.error());
    found.push_back(Wish{wish->alg, *bits});
  }
  if (found.empty())
    return std::unexpected(ActionError{kind.unknown,
                                       {EINVAL, number == 0 ? fmt::format("no {} of the table fits", kind.word)
                                                            : fmt::format("{} number {} is not in the algorithm table; "
                                                                          "'ipsecalgs -l' lists it",
                                                                          kind.word, number)}});
  return found;
}

// A combined cipher out of "any" needs no "any" integrity beside it.
bool redundant(const Action& wish, const std::optional<Cipher>& encr, bool first_integrity) {
  return encr && crypto::is_combined(encr->alg) && wish.espa && wish.espa->alg == AuthAlg::none && !first_integrity;
}

ActionResult<std::vector<Action>> resolve_one(const Action& wish, const crypto::AlgorithmTable& table) {
  const auto ah = choices(kAh, AlgProto::ah, wish.ah, table);
  if (!ah) return std::unexpected(ah.error());
  const auto encr = choices(kEncr, AlgProto::esp, wish.encr, table);
  if (!encr) return std::unexpected(encr.error());
  const auto espa = choices(kEspa, AlgProto::ah, wish.espa, table);
  if (!espa) return std::unexpected(espa.error());

  std::vector<Action> actions;
  for (const auto& one_encr : *encr)
    for (const auto& one_espa : *espa) {
      if (redundant(wish, one_encr, &one_espa == &espa->front())) continue;
      for (const auto& one_ah : *ah) {
        Action action{.verb = wish.verb,
                      .bypass = wish.bypass,
                      .ah = one_ah,
                      .encr = one_encr,
                      .espa = one_espa,
                      .unique = wish.unique};
        if (one_encr && crypto::is_combined(one_encr->alg) && wish.espa && wish.espa->alg == AuthAlg::none)
          action.espa.reset();
        actions.push_back(action);
      }
    }
  return actions;
}

}  // namespace

ActionResult<std::vector<Action>> resolve_algorithms(std::span<const Action> actions,
                                                     const crypto::AlgorithmTable& table) {
  std::vector<Action> all;
  for (const Action& wish : actions) {
    auto resolved = resolve_one(wish, table);
    if (!resolved) return std::unexpected(std::move(resolved).error());
    if (all.size() + resolved->size() > kMaxActions)
      return std::unexpected(
          ActionError{0,
                      {E2BIG, fmt::format("the rule has more than {} alternatives after 'any' is spelled out; name the "
                                          "algorithms",
                                          kMaxActions)}});
    all.insert(all.end(), resolved->begin(), resolved->end());
  }
  return all;
}

}  // namespace adit::spd
