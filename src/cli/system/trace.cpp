// adit trace: live packets, a line each: what it was, which rule and SA decided, and why it was dropped.
#include <csignal>
#include <iostream>

#include "cli/frame/options.h"
#include "cli/system/commands.h"
#include "net/protocol.h"

namespace adit::cli {
namespace {

using nlohmann::json;

constexpr const char* kUsageText =
    "usage: adit trace [-i TUNNEL] [-c COUNT] [-d] [--json]\n"
    "  -i  only this tunnel's packets      -c  end after COUNT packets      -d  only what was dropped\n";

std::string endpoint(const json& packet, const char* address, const char* port) {
  std::string text = packet.at(address);
  if (!packet.contains(port)) return text;
  return text.find(':') == std::string::npos ? fmt::format("{}:{}", text, packet.at(port).get<int>())
                                             : fmt::format("[{}]:{}", text, packet.at(port).get<int>());
}

std::string protocol_name(const json& packet) {
  const int number = packet.at("protocol").get<int>();
  const std::string_view name = number >= 0 && number <= 255 ? net::protocol_name(static_cast<uint8_t>(number)) : "";
  if (number == net::kProtoIcmp || number == net::kProtoIcmp6)
    return fmt::format("{} {}/{}", name, packet.value("icmp_type", 0), packet.value("icmp_code", 0));
  return name.empty() ? fmt::format("proto {}", number) : std::string(name);
}

std::string line(const json& packet) {
  const std::string tunnel = packet.at("tunnel");
  std::string text = fmt::format(
      "{} {} {:<3} {}{} > {} {} {} bytes", packet.at("time").get<std::string>(), tunnel.empty() ? "--" : tunnel,
      packet.at("direction").get<std::string>(), packet.at("outer").get<bool>() ? "outer " : "",
      endpoint(packet, "source", "source_port"), endpoint(packet, "destination", "destination_port"),
      protocol_name(packet), packet.at("length").get<uint64_t>());
  const auto rule = packet.at("rule").get<uint64_t>();
  text += rule == 0 ? std::string(" | no rule") : fmt::format(" | rule {}", rule);
  if (const std::string origin = packet.at("origin"); !origin.empty()) text += fmt::format(" ({})", origin);
  if (const auto spi = packet.at("spi").get<uint32_t>(); spi != 0) text += fmt::format(" | spi {:#x}", spi);
  if (const auto sequence = packet.at("sequence").get<uint64_t>(); sequence != 0)
    text += fmt::format(" seq {}", sequence);
  const std::string drop = packet.at("drop");
  text += drop.empty() ? " | passed" : fmt::format(" | DROPPED {}: {}", drop, packet.at("sentence").get<std::string>());
  return text;
}

}  // namespace

int cmd_trace(Context& context, std::span<const std::string> args) {
  const std::vector<Option> known = {
      {'i', "interface", true}, {'c', "count", true}, {'d', "dropped"}, {'J', "json"}, {'h', "help"}};
  const auto options = Options::parse(args, known);
  if (!options || !options->operands().empty())
    return context.usage(options ? "too many operands" : options.error().text, kUsageText);
  if (options->has('h')) {
    context.out << kUsageText;
    return kOk;
  }
  const std::string count = options->value('c').value_or("0");
  if (count.empty() || count.size() > 9 || count.find_first_not_of("0123456789") != std::string::npos)
    return context.usage(fmt::format("-c takes a number, not '{}'", count), kUsageText);
  const unsigned long limit = std::stoul(count);
  json parameters = json::object();
  if (const auto tunnel = options->value('i')) parameters["tunnel"] = *tunnel;

  unsigned long shown = 0;
  const auto followed = context.follow("io.adit.trace.Follow", parameters, [&](const json& part) {
    if (const auto lost = part.at("lost").get<uint64_t>(); lost > 0)
      context.err << fmt::format("trace: {} packets came too fast to be shown\n", lost);
    for (const json& packet : part.at("packets")) {
      if (options->has('d') && packet.at("drop").get<std::string>().empty()) continue;
      context.out << (options->has('J') ? packet.dump() : line(packet)) << '\n';
      if (limit != 0 && ++shown == limit) break;
    }
    context.out.flush();
    return context.out.good() && (limit == 0 || shown < limit);
  });
  return followed ? kOk : context.failed("", followed.error());
}

}  // namespace adit::cli
