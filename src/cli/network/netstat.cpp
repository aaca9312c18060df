// netstat(8): routing tables, interfaces, counters with the reason of every drop.
#include <algorithm>
#include <map>
#include <ostream>

#include "base/drop_reason.h"
#include "cli/frame/options.h"
#include "cli/network/commands.h"

namespace adit::cli {
namespace {

using nlohmann::json;
using Args = std::span<const std::string>;

constexpr const char* kUsageText =
    "usage: netstat -r[n] [-a] [-v] [-f inet|inet6] [--json]\n"
    "       netstat -i[n] [--json]\n"
    "       netstat -s [--json]\n"
    "  -r  routing tables; -a: the guard's entries too, -v: with prefix lengths    -i  interfaces and their packets\n"
    "  -s  counters of all tunnels, and why packets were dropped\n";

std::string text(const json& row, const char* key) {
  return row.at(key).get<std::string>();
}
uint64_t number(const json& row, const char* key) {
  return row.at(key).get<uint64_t>();
}

// A line without the blanks that padding leaves at its end.
void put(std::ostream& out, std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  out << line << '\n';
}

// ---- -r

void print_v4(std::ostream& out, const json& routes, bool with_length) {
  out << "\nRouting Table: IPv4\n"
         "  Destination           Gateway           Flags  Ref     Use     Interface\n"
         "-------------------- -------------------- ----- ----- ---------- ---------\n";
  for (const json& route : routes) {
    if (route.at("v6").get<bool>()) continue;
    std::string destination = text(route, "destination");
    if (!with_length) destination = destination.substr(0, destination.find('/'));
    put(out, fmt::format("{:<20} {:<20} {:<5}  {:>4} {:>10} {:<9}", destination, text(route, "gateway"),
                         text(route, "flags"), 1, 0, text(route, "interface")));
  }
}

void print_v6(std::ostream& out, const json& routes) {
  out << "\nRouting Table: IPv6\n"
         "  Destination/Mask            Gateway                   Flags Ref   Use    If\n"
         "--------------------------- --------------------------- ----- --- ------- -----\n";
  for (const json& route : routes) {
    if (!route.at("v6").get<bool>()) continue;
    const std::string gateway = text(route, "gateway");
    put(out, fmt::format("{:<27} {:<27} {:<5} {:>3} {:>7} {:<5}", text(route, "destination"),
                         gateway.empty() ? "--" : gateway, text(route, "flags"), 1, 0, text(route, "interface")));
  }
}

int show_routes(Context& context, const Options& options) {
  json parameters = {{"all", options.has('a')}};
  const auto family = options.value('f');
  if (family && *family != "inet" && *family != "inet6")
    return context.usage(fmt::format("unknown address family '{}'", *family), kUsageText);
  if (family) parameters["family"] = *family;
  const auto answer = context.call("io.adit.routes.Show", parameters);
  if (!answer) return context.failed("", answer.error());
  const json& routes = answer->at("routes");
  if (options.has('J')) {
    context.out << routes.dump(2) << '\n';
    return kOk;
  }
  if (!family || *family == "inet") print_v4(context.out, routes, options.has('v'));
  if (!family || *family == "inet6") print_v6(context.out, routes);
  return kOk;
}

// ---- -i

int show_interfaces(Context& context, const Options& options) {
  const auto links = context.call("io.adit.links.ShowLink", json::object());
  if (!links) return context.failed("", links.error());
  const auto addresses = context.call("io.adit.addresses.ShowAddr", json::object());
  if (!addresses) return context.failed("", addresses.error());
  json rows = json::array();
  for (json link : links->at("links")) {
    link["addresses"] = json::array();
    for (const json& address : addresses->at("addresses"))
      if (text(address, "addrobj").starts_with(text(link, "name") + "/"))
        link["addresses"].push_back(text(address, "addr"));
    rows.push_back(std::move(link));
  }
  if (options.has('J')) {
    context.out << rows.dump(2) << '\n';
    return kOk;
  }
  context.out << "Name            Mtu   Net/Dest            Address             Ipkts      Ierrs  Opkts      Oerrs\n";
  for (const json& row : rows) {
    json shown = row.at("addresses");
    if (shown.empty()) shown.push_back("--");
    for (const json& entry : shown) {
      const std::string address = entry.get<std::string>();
      const size_t arrow = address.find("->");
      const std::string local = address.substr(0, std::min(arrow, address.find('/')));
      const std::string peer = arrow == address.npos ? "--" : address.substr(arrow + 2);
      put(context.out, fmt::format("{:<15} {:<5} {:<19} {:<19} {:<10} {:<6} {:<10} {}", text(row, "name"),
                                   number(row, "mtu"), peer, local, number(row, "ipackets"), number(row, "ierrors"),
                                   number(row, "opackets"), number(row, "oerrors")));
    }
  }
  return kOk;
}

// ---- -s

std::map<std::string, uint64_t> sum_drops(const json& links, const char* side) {
  std::map<std::string, uint64_t> sums;
  for (const json& link : links)
    for (const json& drop : link.at(side)) sums[text(drop, "reason")] += number(drop, "packets");
  return sums;
}

// `unlinked`: what was dropped before a link was found.
json statistics(const json& links, const json& unlinked) {
  json result = {{"links", links}, {"drops", json::array()}};
  json all = links;
  all.push_back(unlinked);
  const auto in = sum_drops(all, "drops_in"), out = sum_drops(all, "drops_out");
  const auto of = [](const auto& sums, std::string_view name) {
    const auto found = sums.find(std::string(name));
    return found == sums.end() ? uint64_t{0} : found->second;
  };
  for (const DropReasonText& reason : kDropReasonTexts)
    if (&reason != &kDropReasonTexts.front())
      result["drops"].push_back({{"reason", reason.name},
                                 {"severity", reason.severity},
                                 {"sentence", reason.sentence},
                                 {"in", of(in, reason.name)},
                                 {"out", of(out, reason.name)}});
  return result;
}

int show_statistics(Context& context, const Options& options) {
  const auto links = context.call("io.adit.links.ShowLink", json::object());
  if (!links) return context.failed("", links.error());
  const auto unlinked = context.call("io.adit.links.ShowUnlinked", json::object());
  if (!unlinked) return context.failed("", unlinked.error());
  const json all = statistics(links->at("links"), *unlinked);
  if (options.has('J')) {
    context.out << all.dump(2) << '\n';
    return kOk;
  }
  for (const json& link : all.at("links")) {
    context.out << fmt::format("\n{:<15} ipackets = {:<12} rbytes = {:<14} ierrors = {}\n", text(link, "name"),
                               number(link, "ipackets"), number(link, "rbytes"), number(link, "ierrors"));
    context.out << fmt::format("{:<15} opackets = {:<12} obytes = {:<14} oerrors = {}\n", "", number(link, "opackets"),
                               number(link, "obytes"), number(link, "oerrors"));
  }
  context.out << "\nDropped                    In         Out  Why\n";
  for (const json& drop : all.at("drops"))
    context.out << fmt::format("{:<19} {:>9}   {:>9}  {}\n", text(drop, "reason"), number(drop, "in"),
                               number(drop, "out"), text(drop, "sentence"));
  return kOk;
}

}  // namespace

int cmd_netstat(Context& context, Args args) {
  static const std::vector<Option> known = {{'r', "route"},        {'n', "numeric"}, {'i', "interfaces"},
                                            {'s', "statistics"},   {'a', "all"},     {'v', "verbose"},
                                            {'f', "family", true}, {'J', "json"},    {'h', "help"}};
  const auto options = Options::parse(args, known);
  if (!options) return context.usage(options.error().text, kUsageText);
  if (options->has('h')) {
    context.out << kUsageText;
    return kOk;
  }
  if (!options->operands().empty()) return context.usage("too many operands", kUsageText);
  const int views = options->has('r') + options->has('i') + options->has('s');
  if (views != 1)
    return context.usage(views == 0 ? "one of -r, -i and -s is required" : "-r, -i and -s exclude each other",
                         kUsageText);
  if (options->has('r')) return show_routes(context, *options);
  return options->has('i') ? show_interfaces(context, *options) : show_statistics(context, *options);
}

}  // namespace adit::cli
