// dladm(8): IP tunnel links. Words in, one varlink call, a listing out.
#include <algorithm>
#include <ostream>

#include "cli/frame/options.h"
#include "cli/frame/table.h"
#include "cli/network/commands.h"
#include "cli/network/link_properties.h"

namespace adit::cli {
namespace {

using nlohmann::json;
using Args = std::span<const std::string>;

constexpr const char* kUsageText =
    "usage: dladm create-iptun [-t] [-S] [-R root-dir] -T ipv4|ipv6 [-a local=ADDR,remote=ADDR]\n"
    "             [-p PROP=VALUE[,...]] LINK\n"
    "       dladm modify-iptun [-t] [-R root-dir] -a local=ADDR,remote=ADDR LINK\n"
    "       dladm delete-iptun [-t] [-k] [-r] [-R root-dir] LINK\n"
    "       dladm rename-link [-R root-dir] LINK NEW-LINK\n"
    "       dladm show-iptun [-P] [--json] [[-p] -o FIELD,...] [LINK]\n"
    "       dladm show-link [-P] [-s] [--json] [[-p] -o FIELD,...] [LINK]\n"
    "       dladm show-linkprop [-P] [--json] [[-c] -o FIELD,...] [-p PROP,...] [LINK]\n"
    "       dladm set-linkprop [-t] [-R root-dir] -p PROP=VALUE[,...] LINK\n"
    "       dladm reset-linkprop [-t] [-f] [-R root-dir] [-p PROP,...] LINK\n"
    "  -S  security required: the link stays down until IPsec policy is attached\n"
    "  -t  temporary: gone with the next boot          -k  keep the tunnel's networks closed\n"
    "  -r  its addresses and routes too                -f  even if clear text passes then\n"
    "  ipsec={encr_algs aes-gcm(256)} or ipsec=/FILE   policy that comes and goes with the tunnel\n";

const std::vector<Option> kListing = {{'P', "persistent"},    {'p', "parsable"}, {'p', "parseable"},
                                      {'o', "output", true},  {'J', "json"},     {'s', "statistics"},
                                      {'i', "interval", true}};

struct Form {
  std::vector<Option> options;
  size_t operands_min, operands_max;
};

int bad_usage(Context& context, const std::string& problem) {
  return context.usage(problem, kUsageText);
}

// Parses, minds -R and the number of operands. Nothing: usage was printed.
std::optional<Options> read(Context& context, Args args, const Form& form) {
  auto options = Options::parse(args, form.options);
  if (!options) {
    bad_usage(context, options.error().text);
    return std::nullopt;
  }
  const size_t operands = options->operands().size();
  if (operands < form.operands_min || operands > form.operands_max) {
    bad_usage(context, operands < form.operands_min ? "a link name is missing" : "too many operands");
    return std::nullopt;
  }
  if (const auto root = options->value('R')) {
    context.root = *root;
    context.run_dir = *root + "/run/adit";
  }
  return std::move(*options);
}

// "local=1.2.3.4,remote=5.6.7.8", possibly in several -a.
Result<json> read_endpoints(const Options& options) {
  json endpoints = json::object();
  for (const std::string& list : options.all('a')) {
    for (size_t at = 0; at <= list.size();) {
      const size_t comma = std::min(list.find(',', at), list.size());
      const std::string item = list.substr(at, comma - at);
      const size_t equals = item.find('=');
      const std::string side = item.substr(0, equals);
      if (equals == std::string::npos || (side != "local" && side != "remote"))
        return fail(EINVAL, "invalid address type: {}", item);
      endpoints[side] = item.substr(equals + 1);
      at = comma + 1;
    }
  }
  return endpoints;
}

int create_iptun(Context& context, Args args) {
  const auto options = read(context, args,
                            {{{'t', "temporary"},
                              {'S', "secure"},
                              {'R', "root-dir", true},
                              {'T', "tunnel-type", true},
                              {'a', "address", true},
                              {'p', "prop", true}},
                             1,
                             1});
  if (!options) return kUsage;
  if (!options->has('T'))
    return context.failed("could not create tunnel", {EINVAL, "IP tunnel type required (-T ipv4 or -T ipv6)"});
  auto parameters = read_endpoints(*options);
  if (!parameters) return context.failed("could not create tunnel", parameters.error());
  const auto assigned = read_link_assignments(options->all('p'));
  if (!assigned) return context.failed("could not create tunnel", assigned.error());
  parameters->update({{"name", options->operands()[0]},
                      {"properties", assigned->properties},
                      {"ipsec_source", assigned->ipsec_source},
                      {"type", *options->value('T')},
                      {"temporary", options->has('t')},
                      {"secured", options->has('S')}});
  const auto answer = context.call("io.adit.links.CreateIptun", *parameters);
  return answer ? kOk : context.failed("could not create tunnel", answer.error());
}

int modify_iptun(Context& context, Args args) {
  const auto options =
      read(context, args, {{{'t', "temporary"}, {'R', "root-dir", true}, {'a', "address", true}}, 1, 1});
  if (!options) return kUsage;
  auto parameters = read_endpoints(*options);
  if (!parameters) return context.failed("could not modify tunnel", parameters.error());
  if (parameters->empty()) return bad_usage(context, "-a is required");
  parameters->update({{"name", options->operands()[0]}, {"temporary", options->has('t')}});
  const auto answer = context.call("io.adit.links.ModifyIptun", *parameters);
  return answer ? kOk : context.failed("could not modify tunnel", answer.error());
}

int delete_iptun(Context& context, Args args) {
  const auto options = read(
      context, args, {{{'t', "temporary"}, {'k', "keep-closed"}, {'r', "recursive"}, {'R', "root-dir", true}}, 1, 1});
  if (!options) return kUsage;
  const auto answer = context.call("io.adit.links.DeleteIptun", {{"name", options->operands()[0]},
                                                                 {"temporary", options->has('t')},
                                                                 {"keep_closed", options->has('k')},
                                                                 {"recursive", options->has('r')}});
  return answer ? kOk : context.failed("could not delete tunnel", answer.error());
}

int rename_link(Context& context, Args args) {
  const auto options = read(context, args, {{{'R', "root-dir", true}}, 2, 2});
  if (!options) return kUsage;
  const auto answer = context.call("io.adit.links.RenameLink",
                                   {{"name", options->operands()[0]}, {"new_name", options->operands()[1]}});
  return answer ? kOk : context.failed("rename operation failed", answer.error());
}

int list(Context& context, const Options& options, const std::string& method, const json& extra, const char* key,
         const std::vector<Column>& columns, bool parsable) {
  json parameters = extra;
  if (!options.operands().empty()) parameters["name"] = options.operands()[0];
  parameters["persistent"] = options.has('P');
  const auto answer = context.call(method, parameters);
  if (!answer) return context.failed("", answer.error());
  const auto printed =
      print_table(context.out, columns, answer->at(key),
                  {.parsable = parsable, .json = options.has('J'), .fields = options.value('o').value_or("")});
  return printed ? kOk : bad_usage(context, printed.error().text);
}

int show_iptun(Context& context, Args args) {
  static const std::vector<Column> columns = {
      {"link", 16, "name"}, {"type", 6}, {"flags", 7}, {"local", 20}, {"remote", 20}};
  const auto options = read(context, args, {kListing, 0, 1});
  if (!options) return kUsage;
  return list(context, *options, "io.adit.links.ShowIptun", json::object(), "tunnels", columns, options->has('p'));
}

// The drops of a link, below its line of counters: every reason with its sentence.
void print_drops(std::ostream& out, const json& links) {
  for (const json& link : links)
    for (const char* side : {"drops_in", "drops_out"})
      for (const json& drop : link.at(side))
        out << fmt::format("  {} {} {} {}: {}\n", link.at("name").get<std::string>(),
                           side == std::string_view("drops_in") ? "in" : "out", drop.at("packets").get<uint64_t>(),
                           drop.at("reason").get<std::string>(), drop.at("sentence").get<std::string>());
}

int show_link_statistics(Context& context, const Options& options) {
  static const std::vector<Column> columns = {{"link", 15, "name"}, {"ipackets", 10}, {"rbytes", 8}, {"ierrors", 10},
                                              {"opackets", 12},     {"obytes", 12},   {"oerrors", 8}};
  json parameters = json::object();
  if (!options.operands().empty()) parameters["name"] = options.operands()[0];
  const auto answer = context.call("io.adit.links.ShowLink", parameters);
  if (!answer) return context.failed("", answer.error());
  const json& links = answer->at("links");
  const auto printed =
      print_table(context.out, columns, links,
                  {.parsable = options.has('p'), .json = options.has('J'), .fields = options.value('o').value_or("")});
  if (!printed) return bad_usage(context, printed.error().text);
  if (!options.has('p') && !options.has('J') && !options.has('o')) print_drops(context.out, links);
  return kOk;
}

int show_link(Context& context, Args args) {
  static const std::vector<Column> columns = {{"link", 12, "name"}, {"class", 10},  {"mtu", 7},
                                              {"state", 9},         {"bridge", 11}, {"over", 30}};
  const auto options = read(context, args, {kListing, 0, 1});
  if (!options) return kUsage;
  if (options->has('s')) return show_link_statistics(context, *options);
  return list(context, *options, "io.adit.links.ShowLink", json::object(), "links", columns, options->has('p'));
}

int show_linkprop(Context& context, Args args) {
  static const std::vector<Column> columns = {{"link", 13},  {"property", 16}, {"perm", 5},
                                              {"value", 15}, {"default", 15},  {"possible", 20}};
  const auto options =
      read(context, args,
           {{{'P', "persistent"}, {'c', "parsable"}, {'o', "output", true}, {'p', "prop", true}, {'J', "json"}}, 0, 1});
  if (!options) return kUsage;
  const json wanted = options->has('p') ? json{{"properties", *options->value('p')}} : json::object();
  return list(context, *options, "io.adit.links.ShowLinkProp", wanted, "properties", columns, options->has('c'));
}

int set_linkprop(Context& context, Args args) {
  const auto options = read(context, args, {{{'t', "temporary"}, {'R', "root-dir", true}, {'p', "prop", true}}, 1, 1});
  if (!options) return kUsage;
  if (!options->has('p')) return bad_usage(context, "-p PROP=VALUE is required");
  const auto assigned = read_link_assignments(options->all('p'));
  if (!assigned) return context.failed("warning: cannot set link property", assigned.error());
  const auto answer = context.call("io.adit.links.SetLinkProp", {{"name", options->operands()[0]},
                                                                 {"properties", assigned->properties},
                                                                 {"ipsec_source", assigned->ipsec_source},
                                                                 {"temporary", options->has('t')}});
  return answer ? kOk : context.failed("warning: cannot set link property", answer.error());
}

int reset_linkprop(Context& context, Args args) {
  const auto options =
      read(context, args, {{{'t', "temporary"}, {'f', "force"}, {'R', "root-dir", true}, {'p', "prop", true}}, 1, 1});
  if (!options) return kUsage;
  const auto answer = context.call("io.adit.links.ResetLinkProp", {{"name", options->operands()[0]},
                                                                   {"properties", options->value('p').value_or("")},
                                                                   {"force", options->has('f')},
                                                                   {"temporary", options->has('t')}});
  return answer ? kOk : context.failed("warning: cannot reset link property", answer.error());
}

struct Subcommand {
  std::string_view name;
  int (*run)(Context&, Args);
};
constexpr Subcommand kSubcommands[] = {
    {"create-iptun", create_iptun},   {"modify-iptun", modify_iptun}, {"delete-iptun", delete_iptun},
    {"rename-link", rename_link},     {"show-iptun", show_iptun},     {"show-link", show_link},
    {"show-linkprop", show_linkprop}, {"set-linkprop", set_linkprop}, {"reset-linkprop", reset_linkprop}};

}  // namespace

int cmd_dladm(Context& context, Args args) {
  if (args.empty()) return bad_usage(context, "a subcommand is missing");
  if (args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
    context.out << kUsageText;
    return kOk;
  }
  const auto found = std::ranges::find(kSubcommands, std::string_view(args[0]), &Subcommand::name);
  if (found == std::end(kSubcommands)) return bad_usage(context, fmt::format("unknown subcommand '{}'", args[0]));
  return found->run(context, args.subspan(1));
}

}  // namespace adit::cli
