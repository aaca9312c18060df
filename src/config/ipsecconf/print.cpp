#include "config/ipsecconf/print.h"

#include <fmt/format.h>

namespace adit::config {
namespace {

using crypto::AlgProto;

std::string algorithm_name(const crypto::AlgorithmTable& table, AlgProto proto, uint8_t number) {
  const crypto::Algorithm* row = table.find(proto, number);
  return row == nullptr ? fmt::format("{}", number) : row->names.front();
}

std::string bits_text(spd::KeyBits bits) {
  const bool open = bits.max == 0 || bits.max == 65535;
  if (bits.min == 0 && open) return "";
  if (bits.min == bits.max) return fmt::format("({})", bits.min);
  return fmt::format("({}..{})", bits.min == 0 ? "" : fmt::format("{}", bits.min),
                     open ? "" : fmt::format("{}", bits.max));
}

std::string range_text(uint8_t first, uint8_t last) {
  return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
}

std::string_view mode_word(spd::Mode mode) {
  return mode == spd::Mode::tunnel ? "tunnel" : "transport";
}
std::string_view direction_word(spd::Direction direction) {
  return direction == spd::Direction::in ? "in" : "out";
}

std::string_view verb_word(const spd::Action& action) {
  switch (action.verb) {
    case spd::Verb::drop:
      return "drop";
    case spd::Verb::pass:
      return "pass";
    case spd::Verb::ipsec:
      return "ipsec";
  }
  return "drop";
}

class Words {
 public:
  Words(const crypto::AlgorithmTable& table, const Resolver* names) : table_(table), names_(names) {}

  std::string pattern(std::string_view head, const spd::Rule& rule) const {
    const spd::Selector& selector = rule.selector;
    std::string text = "{ ";
    if (!head.empty()) text += fmt::format("tunnel {} negotiate {} ", head, mode_word(rule.mode));
    if (selector.protocol) text += fmt::format("ulp {} ", protocol(*selector.protocol));
    if (selector.local) text += fmt::format("laddr {} ", address(*selector.local));
    if (selector.local_port) text += fmt::format("lport {} ", port(*selector.local_port));
    if (selector.remote) text += fmt::format("raddr {} ", address(*selector.remote));
    if (selector.remote_port) text += fmt::format("rport {} ", port(*selector.remote_port));
    if (selector.icmp) text += icmp(*selector.icmp);
    return text + fmt::format("dir {} }}", direction_word(rule.direction));
  }

  std::string action(const spd::Action& action) const {
    std::string text = fmt::format("{} {{ ", verb_word(action));
    if (action.ah) text += integrity("auth_algs", *action.ah);
    if (action.encr)
      text +=
          fmt::format("encr_algs {}{} ", algorithm_name(table_, AlgProto::esp, static_cast<uint8_t>(action.encr->alg)),
                      bits_text(action.encr->bits));
    if (action.espa) text += integrity("encr_auth_algs", *action.espa);
    if (action.verb == spd::Verb::ipsec) text += action.unique ? "sa unique " : "sa shared ";
    return text + "}";
  }

 private:
  std::string protocol(uint8_t number) const {
    const auto name = names_ ? names_->protocol_name(number) : std::nullopt;
    return name ? *name : fmt::format("{}", number);
  }
  std::string port(uint16_t number) const {
    const auto name = names_ ? names_->service_name(number) : std::nullopt;
    return name ? *name : fmt::format("{}", number);
  }
  // A network has no host's name, even when its first address has one.
  std::string address(const net::Prefix& prefix) const {
    const auto name = names_ && prefix.is_host() ? names_->host_name(prefix.address()) : std::nullopt;
    return fmt::format("{}/{}", name ? *name : prefix.address().str(), prefix.length());
  }
  static std::string icmp(const spd::IcmpRange& range) {
    std::string text = fmt::format("type {} ", range_text(range.type, range.type_end));
    if (range.code != 255) text += fmt::format("code {} ", range_text(range.code, range.code_end));
    return text;
  }
  std::string integrity(std::string_view property, const spd::Integrity& wish) const {
    return fmt::format("{} {}{} ", property, algorithm_name(table_, AlgProto::ah, static_cast<uint8_t>(wish.alg)),
                       bits_text(wish.bits));
  }

  const crypto::AlgorithmTable& table_;
  const Resolver* names_;
};

nlohmann::json algorithm_json(std::string name, spd::KeyBits bits) {
  nlohmann::json json{{"algorithm", std::move(name)}, {"min_bits", bits.min}};
  if (bits.max != 65535) json["max_bits"] = bits.max;
  return json;
}

nlohmann::json selector_json(const spd::Selector& selector) {
  nlohmann::json json = nlohmann::json::object();
  if (selector.protocol) json["protocol"] = *selector.protocol;
  if (selector.local) json["local"] = selector.local->str();
  if (selector.remote) json["remote"] = selector.remote->str();
  if (selector.local_port) json["local_port"] = *selector.local_port;
  if (selector.remote_port) json["remote_port"] = *selector.remote_port;
  if (selector.icmp) {
    json["icmp_type"] = {selector.icmp->type, selector.icmp->type_end};
    if (selector.icmp->code != 255) json["icmp_code"] = {selector.icmp->code, selector.icmp->code_end};
  }
  return json;
}

nlohmann::json action_json(const crypto::AlgorithmTable& table, const spd::Action& action) {
  nlohmann::json json{{"action", verb_word(action)}};
  if (action.ah)
    json["ah"] =
        algorithm_json(algorithm_name(table, AlgProto::ah, static_cast<uint8_t>(action.ah->alg)), action.ah->bits);
  if (action.encr)
    json["encryption"] =
        algorithm_json(algorithm_name(table, AlgProto::esp, static_cast<uint8_t>(action.encr->alg)), action.encr->bits);
  if (action.espa)
    json["integrity"] =
        algorithm_json(algorithm_name(table, AlgProto::ah, static_cast<uint8_t>(action.espa->alg)), action.espa->bits);
  if (action.verb == spd::Verb::ipsec) json["sa"] = action.unique ? "unique" : "shared";
  return json;
}

}  // namespace

std::string PolicyPrinter::rule(std::string_view head, const spd::Rule& rule) const {
  const Words words(table, names);
  std::string text = words.pattern(head, rule);
  for (size_t at = 0; at < rule.actions.size(); ++at)
    text += fmt::format("{} {}", at == 0 ? "" : " or", words.action(rule.actions[at]));
  return text;
}

std::string PolicyPrinter::listing(std::string_view head, const spd::Rule& one) const {
  return fmt::format("#INDEX {}{}{}\n{}\n", head, head.empty() ? "" : ",", one.index, rule(head, one));
}

nlohmann::json PolicyPrinter::json(std::string_view head, const spd::Rule& one) const {
  nlohmann::json json{{"index", one.index},
                      {"priority", one.priority},
                      {"direction", direction_word(one.direction)},
                      {"family", one.family == net::Family::v4 ? "ipv4" : "ipv6"},
                      {"selector", selector_json(one.selector)},
                      {"actions", nlohmann::json::array()},
                      {"namespace", one.name_space},
                      {"text", rule(head, one)}};
  if (!head.empty()) {
    json["tunnel"] = head;
    json["negotiate"] = mode_word(one.mode);
  }
  for (const spd::Action& action : one.actions) json["actions"].push_back(action_json(table, action));
  if (one.waits()) json["waits_for"] = one.waits_for;
  if (one.origin.line > 0) json["origin"] = {{"file", one.origin.file}, {"line", one.origin.line}};
  return json;
}

}  // namespace adit::config
