#include "protocol/pf_policy/actions.h"

#include <adit/pfpolicy.h>

namespace adit::protocol {
namespace {

// One of the three algorithms of an action, as its attributes come in.
struct Wish {
  std::optional<uint32_t> alg;
  uint32_t min = 0, max = 0;

  [[nodiscard]] spd::KeyBits bits() const {
    const auto narrow = [](uint32_t value) {
      return static_cast<uint16_t>(std::min(value, uint32_t{SPD_MAX_MAXBITS}));
    };
    return {narrow(min), max == 0 ? uint16_t{SPD_MAX_MAXBITS} : narrow(max)};
  }
};

// The action under construction; NEXT and EMPTY begin it anew (decision 15).
struct Template {
  uint32_t type = 0, flags = 0;
  Wish ah, encr, espa;
};

PolicyResult<spd::Verb> verb_of(uint32_t type) {
  if (type < SPD_ACTTYPE_DROP || type > SPD_ACTTYPE_IPSEC)
    return refuse(EINVAL, SPD_DIAGNOSTIC_ADD_BAD_TYPE, fmt::format("there is no action type {}", type));
  return static_cast<spd::Verb>(type);
}

PolicyResult<> check_flags(const Template& from, bool tunnel_mode) {
  constexpr uint32_t known = SPD_APPLY_AH | SPD_APPLY_ESP | SPD_APPLY_SE | SPD_APPLY_COMP | SPD_APPLY_UNIQUE |
                             SPD_APPLY_BYPASS | SPD_APPLY_ESPA;
  if ((from.flags & ~known) != 0)
    return refuse(EINVAL, SPD_DIAGNOSTIC_ADD_BAD_FLAGS, fmt::format("unknown action flags in {:#x}", from.flags));
  const bool protects = (from.flags & (SPD_APPLY_AH | SPD_APPLY_ESP)) != 0;
  if (protects != (from.type == SPD_ACTTYPE_IPSEC))
    return refuse(EINVAL, SPD_DIAGNOSTIC_ADD_INCON_FLAGS,
                  protects ? "AH or ESP is asked of an action that does not protect"
                           : "an IPsec action asks for neither AH nor ESP");
  if ((from.flags & SPD_APPLY_UNIQUE) != 0 && tunnel_mode)
    return refuse(EINVAL, SPD_DIAGNOSTIC_ADD_INCON_FLAGS,
                  "'sa unique' does not go with 'negotiate tunnel'; write 'sa shared'");
  return {};
}

PolicyResult<uint8_t> number_of(const Wish& wish, uint16_t diagnostic) {
  if (wish.alg.value_or(0) > 255) return refuse(EINVAL, diagnostic, fmt::format("there is no algorithm {}", *wish.alg));
  return static_cast<uint8_t>(wish.alg.value_or(0));
}

PolicyResult<spd::Action> finish(const Template& from, bool tunnel_mode) {
  const auto verb = verb_of(from.type);
  if (!verb) return std::unexpected(verb.error());
  if (auto checked = check_flags(from, tunnel_mode); !checked) return std::unexpected(checked.error());
  spd::Action action{.verb = *verb,
                     .bypass = *verb == spd::Verb::pass && (from.flags & SPD_APPLY_BYPASS) != 0,
                     .unique = (from.flags & SPD_APPLY_UNIQUE) != 0};
  if ((from.flags & SPD_APPLY_AH) != 0) {
    const auto number = number_of(from.ah, SPD_DIAGNOSTIC_UNSUPP_AH_ALG);
    if (!number) return std::unexpected(number.error());
    action.ah = spd::Integrity{crypto::AuthAlg(*number), from.ah.bits()};
  }
  if ((from.flags & SPD_APPLY_ESP) == 0) return action;

  const bool authenticated = (from.flags & SPD_APPLY_ESPA) != 0 || from.espa.alg.value_or(0) != 0;
  const auto encr = number_of(from.encr, SPD_DIAGNOSTIC_UNSUPP_ESP_ENCR_ALG);
  const auto espa = number_of(from.espa, SPD_DIAGNOSTIC_UNSUPP_ESP_AUTH_ALG);
  if (!encr || !espa) return std::unexpected(encr ? espa.error() : encr.error());
  // ESP without a cipher named, but with integrity, is ESP with NULL encryption.
  action.encr = !from.encr.alg && authenticated ? spd::Cipher{crypto::EncrAlg::null, {}}
                                                : spd::Cipher{crypto::EncrAlg(*encr), from.encr.bits()};
  if (authenticated) action.espa = spd::Integrity{crypto::AuthAlg(*espa), from.espa.bits()};
  return action;
}

// False: not an attribute of a rule's action.
bool take(const PolicyAttribute& from, Template& into) {
  switch (from.tag) {
    case SPD_ATTR_NOP:
      return true;
    case SPD_ATTR_TYPE:
      into.type = from.value;
      return true;
    case SPD_ATTR_FLAGS:
      into.flags = from.value;
      return true;
    case SPD_ATTR_AH_AUTH:
      into.ah.alg = from.value;
      return true;
    case SPD_ATTR_AH_MINBITS:
      into.ah.min = from.value;
      return true;
    case SPD_ATTR_AH_MAXBITS:
      into.ah.max = from.value;
      return true;
    case SPD_ATTR_ESP_ENCR:
      into.encr.alg = from.value;
      return true;
    case SPD_ATTR_ENCR_MINBITS:
      into.encr.min = from.value;
      return true;
    case SPD_ATTR_ENCR_MAXBITS:
      into.encr.max = from.value;
      return true;
    case SPD_ATTR_ESP_AUTH:
      into.espa.alg = from.value;
      return true;
    case SPD_ATTR_ESPA_MINBITS:
      into.espa.min = from.value;
      return true;
    case SPD_ATTR_ESPA_MAXBITS:
      into.espa.max = from.value;
      return true;
    default:
      return from.tag >= SPD_ATTR_LIFE_SOFT_TIME && from.tag <= SPD_ATTR_ESPA_INCRBITS;  // key management's: not ours
  }
}

void put(PolicyActions& into, uint32_t tag, uint32_t value) {
  into.attributes.push_back({tag, value, {}});
}

template <typename Part>
void put_wish(PolicyActions& into, const std::optional<Part>& part, uint32_t alg, uint32_t min, uint32_t max) {
  if (!part) return;
  put(into, alg, static_cast<uint32_t>(part->alg));
  put(into, min, part->bits.min);
  put(into, max, part->bits.max);
}

uint32_t flags_of(const spd::Action& action) {
  return (action.ah ? SPD_APPLY_AH : 0u) | (action.encr || action.espa ? SPD_APPLY_ESP : 0u) |
         (action.espa ? SPD_APPLY_ESPA : 0u) | (action.unique ? SPD_APPLY_UNIQUE : 0u) |
         (action.bypass ? SPD_APPLY_BYPASS : 0u);
}

}  // namespace

PolicyResult<std::vector<spd::Action>> decode_actions(const PolicyActions& from, bool tunnel_mode) {
  std::vector<spd::Action> actions;
  Template current;
  bool ended = false;
  for (const PolicyAttribute& attribute : from.attributes) {
    if (ended) break;
    if (attribute.tag == SPD_ATTR_EMPTY)
      current = {};
    else if (attribute.tag == SPD_ATTR_NEXT || attribute.tag == SPD_ATTR_END) {
      auto action = finish(current, tunnel_mode);
      if (!action) return std::unexpected(action.error());
      actions.push_back(*action);
      current = {};
      ended = attribute.tag == SPD_ATTR_END;
    } else if (!take(attribute, current)) {
      return refuse(EINVAL, SPD_DIAGNOSTIC_MALFORMED_ACTION,
                    fmt::format("attribute {:#x} is none of an action", attribute.tag));
    }
  }
  if (!ended || actions.size() != from.count)
    return refuse(EINVAL, SPD_DIAGNOSTIC_ADD_WRONG_ACT_COUNT,
                  fmt::format("{} actions are announced, {} are there{}", from.count, actions.size(),
                              ended ? "" : ", the last without END"));
  return actions;
}

PolicyActions encode_actions(std::span<const spd::Action> actions) {
  PolicyActions into{.count = static_cast<uint16_t>(actions.size()), .attributes = {}};
  for (const spd::Action& action : actions) {
    put(into, SPD_ATTR_EMPTY, 0);
    put(into, SPD_ATTR_TYPE, static_cast<uint32_t>(action.verb));
    put(into, SPD_ATTR_FLAGS, flags_of(action));
    put_wish(into, action.encr, SPD_ATTR_ESP_ENCR, SPD_ATTR_ENCR_MINBITS, SPD_ATTR_ENCR_MAXBITS);
    put_wish(into, action.espa, SPD_ATTR_ESP_AUTH, SPD_ATTR_ESPA_MINBITS, SPD_ATTR_ESPA_MAXBITS);
    put_wish(into, action.ah, SPD_ATTR_AH_AUTH, SPD_ATTR_AH_MINBITS, SPD_ATTR_AH_MAXBITS);
    put(into, SPD_ATTR_NEXT, 0);
  }
  if (!into.attributes.empty()) into.attributes.back().tag = SPD_ATTR_END;
  return into;
}

}  // namespace adit::protocol
