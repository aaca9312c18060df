// route(8): routes into tunnels and others, persistent with -p. The words go to aditd as they are typed.
#include <algorithm>
#include <ostream>

#include "cli/network/commands.h"

namespace adit::cli {
namespace {

using nlohmann::json;
using Args = std::span<const std::string>;

constexpr const char* kUsageText =
    "usage: route [-fnqv] [-p] [-inet|-inet6] add|delete [-net|-host] DESTINATION[/LEN] GATEWAY [MODIFIER ...]\n"
    "       route [-fnqv] [-inet|-inet6] change DESTINATION[/LEN] GATEWAY\n"
    "       route [-n] [-inet|-inet6] get [--json] DESTINATION\n"
    "       route [-n] [-p] [-inet|-inet6] show [--json]\n"
    "       route [-n] [-inet|-inet6] flush\n"
    "  MODIFIER: -netmask MASK, -prefixlen LEN, -interface, -ifp INTERFACE, -setsrc ADDR, -reject, -blackhole\n"
    "  -p  in /etc/inet/static_routes too          -f  force: add what looks like a slip as it stands\n"
    "  A gateway that is the remote address of a tunnel makes a route into that tunnel.\n";

struct Request {
  std::string verb;
  std::vector<std::string> words;  // modifiers, destination, gateway
  bool persistent = false, force = false, quiet = false, json_output = false;
  std::optional<std::string> family;  // inet, inet6
  std::optional<std::string> root;
};

// -f, -n, -p, -q, -v stand before the verb, alone or together, or alone behind it.
bool take_flags(const std::string& word, Request& request) {
  if (word.size() < 2 || word[0] != '-' || word.find_first_not_of("fnpqv", 1) != word.npos) return false;
  request.persistent |= word.find('p') != word.npos;
  request.force |= word.find('f') != word.npos;
  request.quiet |= word.find('q') != word.npos;
  return true;
}

Result<Request> read(Args args) {
  Request request;
  for (size_t at = 0; at < args.size(); ++at) {
    const std::string& word = args[at];
    if (word == "--json") {
      request.json_output = true;
    } else if (word == "-R") {
      if (++at >= args.size()) return fail(EINVAL, "option '-R' requires a value");
      request.root = args[at];
    } else if (word == "-inet" || word == "-inet6") {
      request.family = word.substr(1);
      request.words.push_back(word);
    } else if (take_flags(word, request)) {
    } else if (request.verb.empty()) {
      if (word[0] == '-') return fail(EINVAL, "unrecognized option '{}'", word);
      request.verb = word;
    } else {
      request.words.push_back(word);
    }
  }
  if (request.verb.empty()) return fail(EINVAL, "a subcommand is missing");
  return request;
}

// Lines that went well to out, the others to err.
int print_report(Context& context, const Request& request, const json& report) {
  bool failed = false;
  for (const json& line : report.at("lines")) {
    const bool bad = line.at("failed").get<bool>();
    failed |= bad;
    if (bad)
      context.err << line.at("text").get<std::string>() << '\n';
    else if (!request.quiet)
      context.out << line.at("text").get<std::string>() << '\n';
  }
  return failed ? kFailed : kOk;
}

int change_table(Context& context, const Request& request, const char* method) {
  const auto report =
      context.call(std::string("io.adit.routes.") + method,
                   {{"words", request.words}, {"persistent", request.persistent}, {"force", request.force}});
  if (!report) return context.failed("", report.error());
  return print_report(context, request, *report);
}

int flush(Context& context, const Request& request) {
  json parameters = json::object();
  if (request.family) parameters["family"] = *request.family;
  const auto report = context.call("io.adit.routes.Flush", parameters);
  if (!report) return context.failed("", report.error());
  return print_report(context, request, *report);
}

int get(Context& context, const Request& request) {
  const auto route = context.call("io.adit.routes.Get", {{"words", request.words}});
  if (!route) return context.failed("", route.error());
  if (request.json_output) {
    context.out << route->dump(2) << '\n';
    return kOk;
  }
  const auto line = [&](const char* name, const char* key) {
    const std::string value = route->at(key).get<std::string>();
    if (!value.empty()) context.out << fmt::format("{:>11}: {}\n", name, value);
  };
  line("route to", "route_to");
  line("destination", "destination");
  line("mask", "mask");
  line("gateway", "gateway");
  line("interface", "interface");
  line("flags", "flags");
  context.out << fmt::format("{:>11}: {}\n", "mtu", route->at("mtu").get<uint32_t>());
  return kOk;
}

int show(Context& context, const Request& request) {
  if (!request.persistent) {
    std::vector<std::string> words = {"-rn"};
    if (request.family) words.insert(words.end(), {"-f", *request.family});
    if (request.json_output) words.emplace_back("--json");
    return cmd_netstat(context, words);
  }
  const auto answer = context.call("io.adit.routes.Persistent", json::object());
  if (!answer) return context.failed("", answer.error());
  const json& lines = answer->at("lines");
  if (request.json_output) {
    context.out << lines.dump(2) << '\n';
    return kOk;
  }
  if (lines.empty()) context.out << "No persistent routes are defined\n";
  for (const json& line : lines) context.out << line.get<std::string>() << '\n';
  return kOk;
}

}  // namespace

int cmd_route(Context& context, Args args) {
  if (std::ranges::any_of(args, [](const std::string& word) { return word == "--help" || word == "-h"; })) {
    context.out << kUsageText;
    return kOk;
  }
  const auto request = read(args);
  if (!request) return context.usage(request.error().text, kUsageText);
  if (request->root) {
    context.root = *request->root;
    context.run_dir = *request->root + "/run/adit";
  }
  if (request->verb == "show") return show(context, *request);
  if (request->verb == "flush") return flush(context, *request);
  const bool known =
      request->verb == "add" || request->verb == "delete" || request->verb == "change" || request->verb == "get";
  if (!known) return context.usage(fmt::format("unknown subcommand '{}'", request->verb), kUsageText);
  if (request->words.empty()) return context.usage("a destination is missing", kUsageText);
  if (request->verb == "get") return get(context, *request);
  if (request->verb == "add") return change_table(context, *request, "Add");
  if (request->verb == "delete") return change_table(context, *request, "Delete");
  if (request->persistent)
    return context.usage("change cannot be combined with -p: delete -p and add -p do it", kUsageText);
  return change_table(context, *request, "Change");
}

}  // namespace adit::cli
