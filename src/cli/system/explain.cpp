// adit explain: why a packet would leave this host, or be let in, or not: route, guard, tunnel, rule, SA, MTU, and the
// verdict.
#include <charconv>
#include <ostream>

#include "base/text.h"
#include "cli/frame/options.h"
#include "cli/system/commands.h"
#include "config/source/system_resolver.h"
#include "net/address.h"
#include "net/flow.h"
#include "net/protocol.h"

namespace adit::cli {
namespace {

using nlohmann::json;

constexpr const char* kUsageText =
    "usage: adit explain [--in] [-i TUNNEL] [--json] SOURCE DESTINATION [PACKET]\n"
    "  PACKET  tcp/PORT[/SOURCEPORT], udp/..., sctp/...: to that port; icmp[/TYPE[/CODE]], icmp6...; another protocol "
    "by\n"
    "          name or number; without: a ping\n"
    "  --in    a packet that comes in; without: one that leaves\n"
    "  -i      as if the packet were routed into that tunnel, or came through it\n"
    "exit status: 0 explained, whatever the verdict, 1 failed, 2 usage\n";

constexpr uint16_t kSomePort = 49152;  // the first of those that connections come from

std::optional<uint32_t> number(std::string_view word, uint32_t most) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size() || value > most) return std::nullopt;
  return value;
}

Result<uint8_t> protocol_of(std::string_view word, bool v4, const config::Resolver& resolver) {
  if (word == "icmp") return v4 ? net::kProtoIcmp : net::kProtoIcmp6;  // as ping means it
  if (const auto value = number(word, 255)) return static_cast<uint8_t>(*value);
  if (const auto known = resolver.protocol(word)) return *known;
  return fail(EINVAL, "unknown protocol '{}'", word);
}

Result<> take_ports(const std::vector<std::string_view>& parts, const config::Resolver& resolver, json& into) {
  if (parts.size() < 2) return fail(EINVAL, "{} goes to a port: {}/PORT", parts[0], parts[0]);
  if (parts.size() > 3) return fail(EINVAL, "two ports are enough: {}/PORT/SOURCEPORT", parts[0]);
  std::vector<uint32_t> ports{0, kSomePort};
  for (size_t at = 1; at < parts.size(); ++at) {
    auto port = number(parts[at], 65535);
    if (!port) port = resolver.service(parts[at]);
    if (!port || *port == 0) return fail(EINVAL, "'{}' is not a valid port", parts[at]);
    ports[at - 1] = *port;
  }
  into["destination_port"] = ports[0];
  into["source_port"] = ports[1];
  return {};
}

Result<> take_icmp(const std::vector<std::string_view>& parts, bool v4, json& into) {
  uint32_t values[] = {v4 ? 8u : 128u, 0};  // an echo request
  if (parts.size() > 3) return fail(EINVAL, "a type and a code are enough: {}/TYPE/CODE", parts[0]);
  for (size_t at = 1; at < parts.size(); ++at) {
    const auto value = number(parts[at], 255);
    if (!value) return fail(EINVAL, "'{}' is not a valid ICMP {}", parts[at], at == 1 ? "type" : "code");
    values[at - 1] = *value;
  }
  into["icmp_type"] = values[0];
  into["icmp_code"] = values[1];
  return {};
}

Result<json> packet_of(const std::vector<std::string>& words) {
  json packet;
  const auto source = net::Address::parse(words[0]), destination = net::Address::parse(words[1]);
  if (!source || !destination) return fail(EINVAL, "'{}' is not a valid address", source ? words[1] : words[0]);
  packet["source"] = source->str();
  packet["destination"] = destination->str();
  const config::SystemResolver resolver;
  const std::string way = words.size() > 2 ? words[2] : "icmp";
  const auto parts = split(way, '/');
  TRY_ASSIGN(const uint8_t protocol, protocol_of(parts[0], source->is_v4(), resolver));
  packet["protocol"] = protocol;
  switch (protocol) {
    case net::kProtoTcp:
    case net::kProtoUdp:
    case net::kProtoSctp:
      TRY(take_ports(parts, resolver, packet));
      break;
    case net::kProtoIcmp:
    case net::kProtoIcmp6:
      TRY(take_icmp(parts, protocol == net::kProtoIcmp, packet));
      break;
    default:
      if (parts.size() > 1) return fail(EINVAL, "protocol {} has no ports", parts[0]);
  }
  return packet;
}

// ---- the answer, a line a step

class Page {
 public:
  Page(std::ostream& out, const json& packet, const json& about, bool inbound)
      : out_(out), packet_(packet), about_(about), inbound_(inbound) {}

  void print() {
    line("packet", packet());
    if (about_.contains("route")) line(inbound_ ? "way back" : "route", route(about_.at("route")));
    if (about_.contains("guard")) line("guard", guard(about_.at("guard")));
    if (about_.contains("host_rule")) rule("host rule", about_.at("host_rule"));
    if (about_.contains("tunnel")) tunnel(about_.at("tunnel"));
    for (const json& sa : about_.at("associations")) line("SA", association(sa));
    if (about_.at("acquiring").get<bool>()) line("", "a key manager has been asked for one");
    if (about_.contains("mtu")) line("MTU", mtu(about_.at("mtu")));
    if (about_.contains("outer")) line("underlay", route(about_.at("outer")));
    line("verdict", text(about_, "verdict"));
  }

 private:
  static std::string text(const json& from, const char* key) { return from.at(key).get<std::string>(); }
  void line(std::string_view label, const std::string& said) { out_ << fmt::format("{:<10} {}\n", label, said); }

  [[nodiscard]] std::string packet() const {
    const auto number = packet_.at("protocol").get<uint8_t>();
    const std::string_view name = net::protocol_name(number);
    std::string said = fmt::format("{} > {}, {}", text(packet_, "source"), text(packet_, "destination"),
                                   name.empty() ? fmt::format("protocol {}", number) : std::string(name));
    if (packet_.contains("source_port"))
      said += fmt::format(", port {} > {}", packet_.at("source_port").get<int>(),
                          packet_.at("destination_port").get<int>());
    if (packet_.contains("icmp_type"))
      said += fmt::format(", type {} code {}", packet_.at("icmp_type").get<int>(), packet_.at("icmp_code").get<int>());
    return said + (about_.at("own").get<bool>() ? (inbound_ ? ", to this host" : ", this host's own") : ", forwarded");
  }

  static std::string route(const json& route) {
    if (!text(route, "error").empty()) return text(route, "error");
    const std::string gateway = text(route, "gateway");
    return fmt::format("{}{}{}, {}", text(route, "destination"), gateway.empty() ? "" : " by ", gateway,
                       text(route, "interface"));
  }

  static std::string guard(const json& guard) {
    std::string tunnels;
    for (const json& tunnel : guard.at("tunnels")) tunnels += (tunnels.empty() ? "" : ", ") + tunnel.get<std::string>();
    return tunnels.empty() ? text(guard, "network") + " is kept closed"
                           : fmt::format("{} leaves only through {}", text(guard, "network"), tunnels);
  }

  void rule(std::string_view label, const json& rule) {
    const std::string tunnel = text(rule, "tunnel"), file = text(rule, "file"), owner = text(rule, "namespace");
    line(label, fmt::format("#INDEX {}{}{}{}{}", tunnel, tunnel.empty() ? "" : ",", rule.at("index").get<uint64_t>(),
                            file.empty() ? "" : fmt::format(", {}:{}", file, rule.at("line").get<uint32_t>()),
                            owner.empty() ? "" : ", " + owner));
    line("", text(rule, "text"));
  }

  void tunnel(const json& tunnel) {
    line("tunnel", fmt::format("{} is {}, {} > {}{}", text(tunnel, "name"), tunnel.at("up").get<bool>() ? "up" : "down",
                               text(tunnel, "local"), text(tunnel, "remote"),
                               tunnel.at("secured").get<bool>() ? ", secured (-S)" : ""));
    if (!text(tunnel, "why_down").empty()) line("", text(tunnel, "why_down"));
    if (about_.contains("rule"))
      rule("rule", about_.at("rule"));
    else
      line("rule", tunnel.at("policy").get<bool>() ? "none matches" : "the tunnel has none");
  }

  static std::string association(const json& sa) {
    const std::string owner = text(sa, "namespace"), why_not = text(sa, "why_not");
    std::string said =
        fmt::format("{} SPI {:#x}, {}, {}{}", text(sa, "protocol") == "ah" ? "AH" : "ESP", sa.at("spi").get<uint32_t>(),
                    text(sa, "algorithms"), text(sa, "state"), owner.empty() ? "" : ", " + owner);
    return why_not.empty() ? said : said + ": not this one, " + why_not;
  }

  // An SA's own overhead shows what the worst case leaves unused.
  [[nodiscard]] std::string mtu(const json& mtu) const {
    const auto number = [&](const char* key) { return mtu.at(key).get<uint32_t>(); };
    const uint32_t sum = number("path") - std::min(number("path"), number("outer") + number("reserved"));
    std::string said = fmt::format("{} {} - {} outer header - {} IPsec at worst = {}", number("path"),
                                   mtu.at("learned").get<bool>() ? "learned of the path" : "underlay", number("outer"),
                                   number("reserved"), sum);
    if (mtu.at("pinned").get<bool>())
      said += fmt::format("; the property mtu says {}", number("mtu"));
    else if (number("mtu") != sum)
      said += fmt::format("; never below 1280: {}", number("mtu"));
    for (const json& sa : about_.at("associations"))
      if (sa.at("overhead").get<uint32_t>() > 0)
        said +=
            fmt::format("; this SA adds {} to a packet of {}", sa.at("overhead").get<uint32_t>(), number("largest"));
    return said;
  }

  std::ostream& out_;
  const json& packet_;
  const json& about_;
  bool inbound_;
};

}  // namespace

int cmd_explain(Context& context, std::span<const std::string> args) {
  const std::vector<Option> known = {{'i', "interface", true}, {'I', "in"}, {'J', "json"}, {'h', "help"}};
  const auto options = Options::parse(args, known);
  if (!options) return context.usage(options.error().text, kUsageText);
  if (options->has('h')) {
    context.out << kUsageText;
    return kOk;
  }
  const auto& words = options->operands();
  if (words.size() < 2 || words.size() > 3)
    return context.usage("a source, a destination, and perhaps a packet are expected", kUsageText);
  auto packet = packet_of(words);
  if (!packet) return context.usage(packet.error().text, kUsageText);
  if (const auto tunnel = options->value('i')) (*packet)["tunnel"] = *tunnel;
  const bool inbound = options->has('I');
  const auto about = context.call(inbound ? "io.adit.explain.Inbound" : "io.adit.explain.Outbound", *packet);
  if (!about) return context.failed("", about.error());
  if (options->has('J'))
    context.out << about->dump(2) << '\n';
  else
    Page(context.out, *packet, *about, inbound).print();
  return kOk;
}

}  // namespace adit::cli
