#include "linux/nft/ruleset_match.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "net/flow.h"
#include "net/ip_header.h"
#include "net/protocol.h"

namespace adit::platform {
namespace {

using nlohmann::json;

Truth truth(bool holds) {
  return holds ? Truth::yes : Truth::no;
}

std::string text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<uint64_t> number_of(const json& value) {
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  if (value.is_number_integer() && value.get<int64_t>() >= 0) return static_cast<uint64_t>(value.get<int64_t>());
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

std::optional<uint64_t> protocol_of(const json& value) {
  if (const auto number = number_of(value)) return number;
  if (!value.is_string()) return std::nullopt;
  return net::protocol_number(value.get_ref<const std::string&>());
}

template <typename Number>
Truth number_is(std::optional<uint64_t> mine, const json& right, Number number) {
  if (const auto range = right.find("range"); right.is_object() && range != right.end() && range->size() == 2) {
    const auto low = number((*range)[0]), high = number((*range)[1]);
    if (!mine || !low || !high) return Truth::maybe;
    return truth(*low <= *mine && *mine <= *high);
  }
  const auto wanted = number(right);
  return mine && wanted ? truth(*mine == *wanted) : Truth::maybe;
}

Truth address_is(const net::Address& mine, const json& right) {
  if (right.is_string()) {
    const auto wanted = net::Address::parse(right.get<std::string>());
    return wanted ? truth(*wanted == mine) : Truth::maybe;
  }
  if (!right.is_object()) return Truth::maybe;
  if (const auto prefix = right.find("prefix"); prefix != right.end() && prefix->is_object()) {
    const auto length = number_of(prefix->value("len", json()));
    const auto wanted = net::Prefix::parse(fmt::format("{}/{}", text_at(*prefix, "addr"), length.value_or(999)));
    return wanted ? truth(wanted->contains(mine)) : Truth::maybe;
  }
  if (const auto range = right.find("range"); range != right.end() && range->is_array() && range->size() == 2 &&
                                              (*range)[0].is_string() && (*range)[1].is_string()) {
    const auto low = net::Address::parse((*range)[0].get<std::string>());
    const auto high = net::Address::parse((*range)[1].get<std::string>());
    if (!low || !high || low->family() != mine.family()) return Truth::maybe;
    const auto a = low->bytes(), b = mine.bytes(), c = high->bytes();
    const bool above = !std::lexicographical_compare(b.begin(), b.end(), a.begin(), a.end());
    const bool below = !std::lexicographical_compare(c.begin(), c.end(), b.begin(), b.end());
    return truth(above && below);
  }
  return Truth::maybe;
}

Truth name_is(const std::string& mine, const json& right) {
  if (mine.empty() || !right.is_string()) return Truth::maybe;
  const auto wanted = right.get<std::string>();
  if (wanted.ends_with('*')) return truth(mine.starts_with(wanted.substr(0, wanted.size() - 1)));
  return truth(mine == wanted);
}

// Of a packet that nobody follows: it may be of a known connection or not, and is not invalid.
Truth connection_state(const json& right) {
  const json words = right.is_array() ? right : json::array({right});
  const auto has = [&](const char* word) { return std::ranges::find(words, json(word)) != words.end(); };
  if (has("new") && has("established")) return Truth::yes;
  return has("new") || has("established") || has("related") ? Truth::maybe : Truth::no;
}

}  // namespace

Truth both(Truth a, Truth b) {
  return std::min(a, b);
}
Truth either(Truth a, Truth b) {
  return std::max(a, b);
}
Truth opposite(Truth a) {
  return a == Truth::maybe ? a : truth(a == Truth::no);
}

void RuleMatcher::at(Hook hook, std::string table_family, std::string table) {
  hook_ = hook;
  family_ = std::move(table_family);
  table_ = std::move(table);
}

Truth RuleMatcher::match(const json& match) const {
  if (!match.is_object() || !match.contains("left") || !match.contains("right")) return Truth::maybe;
  const std::string op = text_at(match, "op");
  if (of_another_protocol(match["left"])) return Truth::no;  // nft puts the protocol in front itself
  if (op == "!=") return opposite(equals(match["left"], match["right"]));
  return op == "==" || op == "in" || op.empty() ? equals(match["left"], match["right"]) : Truth::maybe;
}

// The elements of "@name", or of an anonymous set; null: it is neither.
const json* RuleMatcher::elements_of(const json& named_or_set, const char* kind) const {
  static const json none = json::array();
  if (named_or_set.is_object()) {
    const auto set = named_or_set.find("set");
    return set != named_or_set.end() && set->is_array() ? &*set : nullptr;
  }
  if (!named_or_set.is_string() || !named_or_set.get_ref<const std::string&>().starts_with('@')) return nullptr;
  const std::string name = named_or_set.get<std::string>().substr(1);
  for (const json& entry : document_) {
    if (!entry.is_object()) continue;
    const auto set = entry.find(kind);
    if (set == entry.end() || text_at(*set, "name") != name || text_at(*set, "table") != table_ ||
        text_at(*set, "family") != family_)
      continue;
    const auto elements = set->find("elem");
    return elements != set->end() && elements->is_array() ? &*elements : &none;
  }
  return nullptr;
}

Truth RuleMatcher::one_of(const json& left, const json& elements) const {
  Truth found = Truth::no;
  for (const json& element : elements) {
    const bool wrapped = element.is_object() && element.contains("elem") && element["elem"].is_object();
    const json& value = wrapped && element["elem"].contains("val") ? element["elem"]["val"] : element;
    found = either(found, equals(left, value));
    if (found == Truth::yes) break;
  }
  return found;
}

Truth RuleMatcher::equals(const json& left, const json& right) const {
  if (const json* elements = elements_of(right, "set")) return one_of(left, *elements);
  if (right.is_string() && right.get_ref<const std::string&>().starts_with('@')) return Truth::maybe;
  if (!left.is_object()) return Truth::maybe;
  if (const auto parts = left.find("concat"); parts != left.end() && parts->is_array()) {
    const auto wanted = right.is_object() ? right.find("concat") : right.end();
    if (wanted == right.end() || !wanted->is_array() || wanted->size() != parts->size()) return Truth::maybe;
    Truth all = Truth::yes;
    for (size_t i = 0; i < parts->size(); ++i) all = both(all, equals((*parts)[i], (*wanted)[i]));
    return all;
  }
  if (const auto found = left.find("meta"); found != left.end() && found->is_object())
    return meta(text_at(*found, "key"), right);
  if (const auto found = left.find("payload"); found != left.end() && found->is_object()) return payload(*found, right);
  if (const auto found = left.find("ct"); found != left.end() && found->is_object())
    return text_at(*found, "key") == "state" ? connection_state(right) : Truth::maybe;
  if (const auto found = left.find("fib"); found != left.end() && found->is_object()) return fib(*found, right);
  return Truth::maybe;
}

Truth RuleMatcher::meta(const std::string& key, const json& right) const {
  const bool v4 = packet_.source.is_v4();
  if (key == "iifname" || key == "iif") return name_is(packet_.in, right);
  if (key == "oifname" || key == "oif") return name_is(packet_.out, right);
  if (key == "l4proto") return number_is(packet_.protocol, right, protocol_of);
  if (key == "nfproto") return right.is_string() ? truth(right == (v4 ? "ipv4" : "ipv6")) : Truth::maybe;
  if (key == "protocol") return right.is_string() ? truth(right == (v4 ? "ip" : "ip6")) : Truth::maybe;
  if (key == "mark" && packet_.mark) return number_is(*packet_.mark, right, number_of);
  return Truth::maybe;
}

// A header that the packet does not have.
bool RuleMatcher::of_another_protocol(const json& left) const {
  if (!left.is_object()) return false;
  for (const char* wrapper : {"&", "|", "^", "<<", ">>"})
    if (const auto inner = left.find(wrapper); inner != left.end() && inner->is_array() && !inner->empty())
      return of_another_protocol(inner->front());
  const auto found = left.find("payload");
  if (found == left.end() || !found->is_object()) return false;
  const std::string protocol = text_at(*found, "protocol");
  if (protocol == "ip") return !packet_.source.is_v4();
  if (protocol == "ip6") return packet_.source.is_v4();
  if (protocol == "th" || protocol.empty()) return false;
  const auto number = protocol_of(json(protocol));
  return number && *number != packet_.protocol;
}

Truth RuleMatcher::payload(const json& payload, const json& right) const {
  if (of_another_protocol({{"payload", payload}})) return Truth::no;
  const std::string protocol = text_at(payload, "protocol"), field = text_at(payload, "field");
  if (protocol == "ip" || protocol == "ip6") {
    if (field == "saddr") return address_is(packet_.source, right);
    if (field == "daddr") return address_is(packet_.destination, right);
    if (field == "protocol" || field == "nexthdr") return number_is(packet_.protocol, right, protocol_of);
    return Truth::maybe;
  }
  if (field == "type" && packet_.icmp_type && right.is_number()) return number_is(*packet_.icmp_type, right, number_of);
  if (protocol == "th" && !net::has_ports(packet_.protocol)) return Truth::maybe;
  if (field == "sport") return number_is(packet_.source_port, right, number_of);
  if (field == "dport") return number_is(packet_.destination_port, right, number_of);
  return Truth::maybe;
}

// `fib saddr . iif oif missing` and `fib daddr type local`.
Truth RuleMatcher::fib(const json& fib, const json& right) const {
  const auto flags = fib.find("flags");
  const auto has = [&](const char* flag) {
    if (flags == fib.end()) return false;
    return flags->is_array() ? std::ranges::find(*flags, json(flag)) != flags->end() : *flags == flag;
  };
  const std::string result = text_at(fib, "result");
  if (has("saddr") && (result == "oif" || result == "oifname")) {
    const auto routed = has("iif") ? packet_.source_routed_in : packet_.source_routed;
    const bool missing = right == false || right == 0 || right == json("");
    const bool exists = right == true || right == 1;
    if (!routed || (!missing && !exists)) return Truth::maybe;
    return truth(*routed == exists);
  }
  if (has("daddr") && result == "type" && right == "local" && hook_ != Hook::prerouting && hook_ != Hook::ingress)
    return truth(hook_ == Hook::input);
  return Truth::maybe;
}

}  // namespace adit::platform
