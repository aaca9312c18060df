#include "config/ipsecconf/pattern.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "config/ipsecconf/address.h"
#include "config/ipsecconf/icmp.h"
#include "config/ipsecconf/policy_limits.h"
#include "net/flow.h"

namespace adit::config::ipsecconf {
namespace {

enum class Key : uint8_t {
  first,
  second,
  first_port,
  second_port,
  first_mask,
  second_mask,
  protocol,
  type,
  code,
  dir,
  tunnel,
  negotiate
};

struct Keyword {
  std::string_view name;
  Key key;
  Style style;
  std::string_view field;  // as ipsecconf names it in a complaint
  std::string_view wants;
};

constexpr std::string_view kAddress = "an address, a prefix or a name",
                           kPort = "a port from 1 to 65535 or a service name", kMask = "255.255.255.0 or 0xffffff00";
constexpr auto kKeywords = std::to_array<Keyword>({
    {"laddr", Key::first, Style::fresh, "Source Address", kAddress},
    {"local", Key::first, Style::fresh, "Source Address", kAddress},
    {"raddr", Key::second, Style::fresh, "Destination Address", kAddress},
    {"remote", Key::second, Style::fresh, "Destination Address", kAddress},
    {"lport", Key::first_port, Style::fresh, "Source Port", kPort},
    {"rport", Key::second_port, Style::fresh, "Destination Port", kPort},
    {"saddr", Key::first, Style::old, "Source Address", kAddress},
    {"src", Key::first, Style::old, "Source Address", kAddress},
    {"srcaddr", Key::first, Style::old, "Source Address", kAddress},
    {"daddr", Key::second, Style::old, "Destination Address", kAddress},
    {"dst", Key::second, Style::old, "Destination Address", kAddress},
    {"dstaddr", Key::second, Style::old, "Destination Address", kAddress},
    {"sport", Key::first_port, Style::old, "Source Port", kPort},
    {"dport", Key::second_port, Style::old, "Destination Port", kPort},
    {"smask", Key::first_mask, Style::old, "Source Mask", kMask},
    {"dmask", Key::second_mask, Style::old, "Destination Mask", kMask},
    {"ulp", Key::protocol, Style::open, "Upper Layer Protocol", "a protocol name or a number from 1 to 255"},
    {"proto", Key::protocol, Style::open, "Upper Layer Protocol", "a protocol name or a number from 1 to 255"},
    {"type", Key::type, Style::open, "ICMP type", "a number, n-m up to 255, or a keyword such as echo or unreach6"},
    {"code", Key::code, Style::open, "ICMP code", "a number, n-m up to 255, or a keyword such as port-unr"},
    {"dir", Key::dir, Style::open, "Direction", "in, out or both"},
    {"tunnel", Key::tunnel, Style::open, "Tunnel", "a tunnel's name, up to 15 characters"},
    {"negotiate", Key::negotiate, Style::open, "Negotiate", "tunnel or transport"},
});
constexpr size_t kKeys = static_cast<size_t>(Key::negotiate) + 1;

bool has_ports(uint8_t protocol) {
  return protocol == net::kProtoTcp || protocol == net::kProtoUdp || protocol == net::kProtoSctp;
}
bool is_icmp(uint8_t protocol) {
  return protocol == net::kProtoIcmp || protocol == net::kProtoIcmp6;
}

class PatternReader {
 public:
  PatternReader(const Entry& entry, const PolicySource& source, const Resolver& resolver, Report& report)
      : entry_(entry), source_(source), resolver_(resolver), report_(report) {}

  std::optional<Pattern> read() {
    if (!collect()) return std::nullopt;
    for (const auto& slot : given_)
      if (slot) take(*slot->keyword, slot->at);
    if (right_) check_together();
    return right_ ? std::optional(std::move(pattern_)) : std::nullopt;
  }

 private:
  struct Slot {
    const Keyword* keyword;
    Value at;
  };

  void wrong(const Token& at, std::string text, std::string_view expected = "") {
    report_.error(at, std::move(text), std::string(expected));
    right_ = false;
  }
  void bad(const Keyword& keyword, const Token& at, std::string_view why = "") {
    wrong(at, complaint("Bad", keyword.field, at), why.empty() ? fmt::format("expected {}", keyword.wants) : why);
  }
  const std::optional<Slot>& given(Key key) const { return given_[static_cast<size_t>(key)]; }

  // Names with their values, each once, of one style. False: what is name and what is value cannot be known.
  bool collect() {
    const auto& words = entry_.pattern;
    for (size_t at = 0; at < words.size(); at += 2) {
      const auto keyword = std::ranges::find(kKeywords, words[at].text, &Keyword::name);
      if (keyword == kKeywords.end()) {
        wrong(words[at], fmt::format("Invalid pattern on line {}: {}", words[at].line, words[at].text),
              "expected laddr, raddr, lport, rport, ulp, type, code, dir, tunnel or negotiate");
        return false;
      }
      if (at + 1 == words.size()) {
        bad(*keyword, words[at]);
        return false;
      }
      auto& slot = given_[static_cast<size_t>(keyword->key)];
      if (!decide_style(*keyword, words[at])) continue;
      if (slot)
        wrong(words[at], complaint("Duplicate", keyword->field, words[at]));
      else
        slot = Slot{keyword, {words[at], words[at + 1]}};
    }
    return true;
  }

  bool decide_style(const Keyword& keyword, const Token& at) {
    if (keyword.style == Style::open) return true;
    if (pattern_.style == Style::open) pattern_.style = keyword.style;
    if (pattern_.style == keyword.style) return true;
    bad(keyword, at, "saddr, daddr, sport, dport do not mix with laddr, raddr, lport, rport");
    return false;
  }

  void take(const Keyword& keyword, const Value& at) {
    const std::string_view word = at.value.text;
    switch (keyword.key) {
      case Key::first:
        return take_address(keyword, at.value, given(Key::first_mask), pattern_.first);
      case Key::second:
        return take_address(keyword, at.value, given(Key::second_mask), pattern_.second);
      case Key::first_port:
        return take_port(keyword, at.value, pattern_.first_port);
      case Key::second_port:
        return take_port(keyword, at.value, pattern_.second_port);
      case Key::first_mask:
        return check_mask(given(Key::first), "Source Address", at);
      case Key::second_mask:
        return check_mask(given(Key::second), "Destination Address", at);
      case Key::protocol:
        return take_protocol(keyword, at.value);
      case Key::type:
        return take_type(keyword, at.value);
      case Key::code:
        return take_code(keyword, at.value);
      case Key::dir:
        return take_direction(keyword, at.value);
      case Key::tunnel:
        return take_tunnel(keyword, at.value);
      case Key::negotiate:
        if (word.starts_with("tunnel"))
          pattern_.mode = spd::Mode::tunnel;
        else if (word.starts_with("transport"))
          pattern_.mode = spd::Mode::transport;
        else
          bad(keyword, at.value);
    }
  }

  void take_address(const Keyword& keyword, const Token& at, const std::optional<Slot>& mask,
                    std::optional<std::vector<net::Prefix>>& into) {
    auto prefixes = read_address(at.text, resolver_);
    if (!prefixes) return bad(keyword, at, prefixes.error());
    if (prefixes->empty()) return wait_for(at);
    if (!mask) {
      into = std::move(*prefixes);
      return;
    }
    if (has_prefix_length(at.text))
      return wrong(at, fmt::format("Can't set mask and {} prefix.", at.text.substr(at.text.find('/'))));
    const auto length = read_mask(mask->at.value.text);
    if (!length) return bad(*mask->keyword, mask->at.value);
    for (net::Prefix& prefix : *prefixes) {
      if (prefix.family() != net::Family::v4)
        return bad(*mask->keyword, mask->at.value, "a mask goes with an IPv4 address; write ADDRESS/LENGTH");
      prefix = net::Prefix(prefix.address(), *length).masked();
    }
    into = std::move(*prefixes);
  }

  void wait_for(const Token& at) {
    pattern_.waits_for = at.text.substr(0, at.text.find('/'));
    report_.warning(at, fmt::format("'{}' does not resolve", pattern_.waits_for),
                    "the rule is closed until it does; it is looked up again by itself");
  }

  void check_mask(const std::optional<Slot>& address, std::string_view field, const Value& at) {
    if (!address) wrong(at.name, complaint("Requires", field, at.name));
  }

  void take_port(const Keyword& keyword, const Token& at, std::optional<uint16_t>& into) {
    const auto number = decimal(at.text, 65535);
    const auto port = number ? std::optional(static_cast<uint16_t>(*number)) : resolver_.service(at.text);
    if (!port || *port == 0) return bad(keyword, at);
    into = port;
  }

  void take_protocol(const Keyword& keyword, const Token& at) {
    const auto number = decimal(at.text, 255);
    const auto protocol = number ? std::optional(static_cast<uint8_t>(*number)) : resolver_.protocol(at.text);
    if (!protocol || *protocol == 0) return bad(keyword, at);
    pattern_.protocol = protocol;
  }

  void take_type(const Keyword& keyword, const Token& at) {
    const auto types = icmp_type(at.text);
    if (!types) return bad(keyword, at);
    pattern_.icmp = spd::IcmpRange{types->first, types->second, 255, 255};
  }

  void take_code(const Keyword& keyword, const Token& at) {
    if (!given(Key::type)) return bad(keyword, at, "a code needs a type");
    const auto codes = icmp_code(at.text);
    if (!pattern_.icmp) return;  // the type was wrong
    if (!codes || (codes->first != codes->second && codes->second == 255)) return bad(keyword, at);
    pattern_.icmp->code = codes->first;
    pattern_.icmp->code_end = codes->second;
  }

  void take_direction(const Keyword& keyword, const Token& at) {
    if (at.text.starts_with("in"))
      pattern_.direction = spd::Direction::in;
    else if (at.text.starts_with("out"))
      pattern_.direction = spd::Direction::out;
    else if (at.text.starts_with("both") && pattern_.style != Style::old) {
      pattern_.both_ways = true;
      pattern_.style = Style::fresh;
    } else
      bad(keyword, at, pattern_.style == Style::old ? "expected in or out" : "");
  }

  void take_tunnel(const Keyword& keyword, const Token& at) {
    if (at.text.size() > kMaxTunnelName) return bad(keyword, at, "a tunnel's name has up to 15 characters here");
    if (source_.implied_tunnel && *source_.implied_tunnel != at.text)
      return bad(keyword, at, fmt::format("this file is for tunnel {}, by its name", *source_.implied_tunnel));
    pattern_.tunnel = std::string(at.text);
  }

  void check_together() {
    if (source_.implied_tunnel) pattern_.tunnel = source_.implied_tunnel;
    if (pattern_.tunnel.has_value() != (pattern_.mode != spd::Mode::none)) {
      const Token& at = pattern_.tunnel ? (given(Key::tunnel) ? given(Key::tunnel)->at.name : entry_.open)
                                        : given(Key::negotiate)->at.name;
      wrong(at, complaint("Requires", pattern_.tunnel ? "Negotiate" : "Tunnel", at) +
                    ": tunnel and negotiate tokens must occur together");
    }
    if (pattern_.protocol && pattern_.icmp && !is_icmp(*pattern_.protocol))
      bad(*given(Key::type)->keyword, given(Key::type)->at.value, "a type goes with ulp icmp or ulp ipv6-icmp");
    for (const Key key : {Key::first_port, Key::second_port})
      if (given(key) && pattern_.protocol && !has_ports(*pattern_.protocol))
        bad(*given(key)->keyword, given(key)->at.value,
            "only tcp, udp and sctp have ports: the rule would match nothing");
  }

  const Entry& entry_;
  const PolicySource& source_;
  const Resolver& resolver_;
  Report& report_;
  Pattern pattern_;
  std::array<std::optional<Slot>, kKeys> given_;
  bool right_ = true;
};

}  // namespace

std::string complaint(std::string_view what, std::string_view field, const Token& at) {
  return fmt::format("{} {} on line: {}", what, field, at.line);
}

std::optional<Pattern> read_pattern(const Entry& entry, const PolicySource& source, const Resolver& resolver,
                                    Report& report) {
  return PatternReader(entry, source, resolver, report).read();
}

}  // namespace adit::config::ipsecconf
