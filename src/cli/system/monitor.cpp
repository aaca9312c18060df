// adit monitor: what happens to links, policy, keys, guard and services, as it happens.
#include <ctime>
#include <ostream>

#include "cli/frame/options.h"
#include "cli/system/commands.h"

namespace adit::cli {
namespace {

using nlohmann::json;

constexpr const char* kUsageText =
    "usage: adit monitor [-a [INSTANCE:]SEQUENCE] [--json]\n"
    "  -a, --after  first what came after event SEQUENCE (0: all that is still held); what was missed is said. "
    "INSTANCE,\n"
    "               the life of the daemon that it was an event of, is in the first line of --json\n";

// [INSTANCE:]SEQUENCE as the method's parameters.
std::optional<json> position(std::string text) {
  json parameters = json::object();
  if (const size_t colon = text.find(':'); colon != std::string::npos) {
    parameters["instance"] = text.substr(0, colon);
    text.erase(0, colon + 1);
  }
  if (text.empty() || text.size() > 16 || text.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  parameters["after"] = std::stoull(text);
  return parameters;
}

// What the first answer says, if it is worth a word.
std::string missed_text(const json& answer) {
  const auto missed = answer.at("missed").get<uint64_t>();
  if (answer.at("restarted").get<bool>())
    return fmt::format("-- aditd was restarted: what happened in between is not known (up to {} events)\n", missed);
  return missed == 0 ? "" : fmt::format("-- {} events before these are no longer held\n", missed);
}

std::string clock_text(int64_t seconds) {
  const time_t when = static_cast<time_t>(seconds);
  tm parts{};
  gmtime_r(&when, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace

int cmd_monitor(Context& context, std::span<const std::string> args) {
  const std::vector<Option> known = {{'a', "after", true}, {'J', "json"}, {'h', "help"}};
  const auto options = Options::parse(args, known);
  if (!options || !options->operands().empty())
    return context.usage(options ? "too many operands" : options.error().text, kUsageText);
  if (options->has('h')) {
    context.out << kUsageText;
    return kOk;
  }
  json parameters = json::object();
  if (const auto after = options->value('a')) {
    const auto given = position(*after);
    if (!given) return context.usage(fmt::format("-a takes [INSTANCE:]SEQUENCE, not '{}'", *after), kUsageText);
    parameters = *given;
  }
  const auto followed = context.follow("io.adit.events.Monitor", parameters, [&](const json& part) {
    if (options->has('J')) {
      context.out << part.dump() << '\n';
    } else if (part.contains("missed")) {
      context.out << missed_text(part);
    } else {
      const json& event = part.at("event");
      context.out << fmt::format("{} {} {} {} {}: {}\n", event.at("sequence").get<uint64_t>(),
                                 clock_text(event.at("time")), event.at("severity").get<std::string>(),
                                 event.at("kind").get<std::string>(), event.at("subject").get<std::string>(),
                                 event.at("text").get<std::string>());
    }
    context.out.flush();
    return context.out.good();
  });
  return followed ? kOk : context.failed("", followed.error());
}

}  // namespace adit::cli
