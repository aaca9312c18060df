// ipadm(8): addresses, IP interfaces, protocol properties. Words in, one varlink call, a listing out.
#include <algorithm>
#include <ostream>

#include "base/text.h"
#include "cli/frame/options.h"
#include "cli/frame/table.h"
#include "cli/network/commands.h"

namespace adit::cli {
namespace {

using nlohmann::json;
using Args = std::span<const std::string>;

constexpr const char* kUsageText =
    "usage: ipadm create-addr [-t] -T static [-d] -a [local|remote=]ADDR[/LEN][,...] ADDROBJ\n"
    "       ipadm create-addr [-t] -T addrconf [-i INTERFACE-ID/LEN] ADDROBJ\n"
    "       ipadm delete-addr ADDROBJ\n"
    "       ipadm show-addr [--json] [[-p] -o FIELD,...] [ADDROBJ|INTERFACE/]\n"
    "       ipadm up-addr|down-addr [-t] ADDROBJ\n"
    "       ipadm enable-addr|disable-addr -t ADDROBJ\n"
    "       ipadm refresh-addr ADDROBJ\n"
    "       ipadm create-if [-t] INTERFACE\n"
    "       ipadm delete-if INTERFACE\n"
    "       ipadm enable-if|disable-if -t INTERFACE\n"
    "       ipadm show-if [--json] [[-p] -o FIELD,...] [INTERFACE]\n"
    "       ipadm set-prop [-t] -p PROP=VALUE PROTOCOL\n"
    "       ipadm reset-prop [-t] -p PROP PROTOCOL\n"
    "       ipadm show-prop [--json] [[-c] -o FIELD,...] [-p PROP,...] [PROTOCOL]\n"
    "       ipadm set-ifprop [-t] -p PROP=VALUE -m PROTOCOL INTERFACE\n"
    "       ipadm reset-ifprop [-t] -p PROP -m PROTOCOL INTERFACE\n"
    "       ipadm show-ifprop [--json] [[-c] -o FIELD,...] [-p PROP,...] [-m PROTOCOL] [INTERFACE]\n"
    "  ADDROBJ is INTERFACE/NAME, as in v4_bob0/v4      -t  temporary: not written to the configuration\n";

const Option kTemporary{'t', "temporary"};
const std::vector<Option> kListing = {{'p', "parsable"}, {'p', "parseable"}, {'o', "output", true}, {'J', "json"}};
const std::vector<Option> kPropertyListing = {
    {'c', "parsable"}, {'o', "output", true}, {'J', "json"}, {'p', "prop", true}, {'m', "module", true}};

int bad_usage(Context& context, const std::string& problem) {
  return context.usage(problem, kUsageText);
}

std::optional<Options> read(Context& context, Args args, const std::vector<Option>& known, size_t least, size_t most) {
  auto options = Options::parse(args, known);
  if (!options) {
    bad_usage(context, options.error().text);
    return std::nullopt;
  }
  const size_t operands = options->operands().size();
  if (operands < least || operands > most) {
    bad_usage(context, operands < least ? "a name is missing" : "too many operands");
    return std::nullopt;
  }
  return std::move(*options);
}

// One call that gives nothing to print; what it says went wrong is a whole message already.
int act(Context& context, const char* method, const json& parameters, const char* prefix = "") {
  const auto answer = context.call(std::string("io.adit.addresses.") + method, parameters);
  return answer ? kOk : context.failed(prefix, answer.error());
}

// "local=10.0.0.1/24,remote=10.0.1.1" or a bare local address, possibly in several -a.
Result<> read_endpoints(const Options& options, json& parameters) {
  for (const std::string& list : options.all('a')) {
    for (const std::string_view item : split(list, ',')) {
      const size_t equals = item.find('=');
      const std::string side(equals == item.npos ? "local" : item.substr(0, equals));
      const std::string value(equals == item.npos ? item : item.substr(equals + 1));
      if (side != "local" && side != "remote")
        return fail(EINVAL, "Invalid address provided: '{}'; local= and remote= are there", item);
      if (value.empty()) return fail(EINVAL, "Invalid address provided: nothing stands behind {}=", side);
      if (parameters.contains(side)) return fail(EINVAL, "Multiple {} addresses provided", side);
      parameters[side] = value;
    }
  }
  return {};
}

int create_addr(Context& context, Args args) {
  const auto options =
      read(context, args,
           {kTemporary, {'T', "type", true}, {'d', "down"}, {'a', "address", true}, {'i', "interface-id", true}}, 1, 1);
  if (!options) return kUsage;
  if (!options->has('T')) return bad_usage(context, "-T static or -T addrconf is required");
  json parameters = {{"object", options->operands()[0]},
                     {"type", *options->value('T')},
                     {"temporary", options->has('t')},
                     {"down", options->has('d')}};
  if (const auto read = read_endpoints(*options, parameters); !read) return context.failed("", read.error());
  if (const auto id = options->value('i')) parameters["interface_id"] = *id;
  return act(context, "CreateAddr", parameters);
}

// A subcommand of one name: up-addr, delete-if …
struct Named {
  const char* method;
  const char* key;
  bool temporary_only = false;
};
int named(Context& context, Args args, const Named& form) {
  const auto options = read(context, args, {kTemporary, {'r', "release"}}, 1, 1);
  if (!options) return kUsage;
  if (form.temporary_only && !options->has('t'))
    return bad_usage(context, "persistent operation not supported; -t is required: it lasts until aditd starts anew");
  return act(context, form.method, {{form.key, options->operands()[0]}, {"temporary", options->has('t')}});
}

int show(Context& context, const Options& options, const char* method, const json& parameters, const char* key,
         const std::vector<Column>& columns) {
  const auto answer = context.call(std::string("io.adit.addresses.") + method, parameters);
  if (!answer) return context.failed("", answer.error());
  const auto printed =
      print_table(context.out, columns, answer->at(key),
                  {.parsable = options.has('p'), .json = options.has('J'), .fields = options.value('o').value_or("")});
  return printed ? kOk : bad_usage(context, printed.error().text);
}

int show_addr(Context& context, Args args) {
  static const std::vector<Column> columns = {
      {"addrobj", 18}, {"type", 9}, {"state", 13}, {"current", 8, "", false}, {"persistent", 11, "", false},
      {"addr", 46}};
  const auto options = read(context, args, kListing, 0, 1);
  if (!options) return kUsage;
  const json parameters = options->operands().empty() ? json::object() : json{{"filter", options->operands()[0]}};
  return show(context, *options, "ShowAddr", parameters, "addresses", columns);
}

int show_if(Context& context, Args args) {
  static const std::vector<Column> columns = {{"ifname", 11}, {"state", 9}, {"current", 13}, {"persistent", 11}};
  const auto options = read(context, args, kListing, 0, 1);
  if (!options) return kUsage;
  const json parameters = options->operands().empty() ? json::object() : json{{"interface", options->operands()[0]}};
  return show(context, *options, "ShowIf", parameters, "interfaces", columns);
}

// ---- properties

bool is_protocol(const std::string& name) {
  return name == "ipv4" || name == "ipv6";
}

// Shared by set and reset: the one -p, the protocol, the interface. The error is usage, but for a protocol that is
// none.
Result<json> property_change(const Options& options, bool set, bool of_interface) {
  if (!options.has('p')) return fail(EINVAL, "-p PROP{} is required", set ? "=VALUE" : "");
  if (options.all('p').size() > 1) return fail(EINVAL, "-p must be specified once only");
  const std::string text = *options.value('p');
  if (text.find(',') != text.npos) return fail(EINVAL, "cannot specify more than one prop=val at a time.");
  const size_t equals = text.find('=');
  if (set && equals == text.npos) return fail(EINVAL, "please specify the value to be set.");
  if (of_interface && !options.has('m')) return fail(EINVAL, "-m ipv4 or -m ipv6 is required");
  json parameters = {{"protocol", of_interface ? *options.value('m') : options.operands()[0]},
                     {"property", text.substr(0, equals)},
                     {"temporary", options.has('t')}};
  if (set) parameters["value"] = text.substr(equals + 1);
  if (of_interface) parameters["interface"] = options.operands()[0];
  return parameters;
}

int change_property(Context& context, Args args, bool set, bool of_interface) {
  const auto options = read(context, args, {kTemporary, {'p', "prop", true}, {'m', "module", true}}, 1, 1);
  if (!options) return kUsage;
  const auto parameters = property_change(*options, set, of_interface);
  if (!parameters) return bad_usage(context, parameters.error().text);
  const std::string protocol = parameters->at("protocol").get<std::string>();
  if (!is_protocol(protocol))
    return context.failed("", {EINVAL, fmt::format("invalid protocol '{}' specified", protocol)});
  if (of_interface)
    return act(context, set ? "SetIfProp" : "ResetIfProp", *parameters, set ? "set-ifprop" : "reset-ifprop");
  return act(context, set ? "SetProp" : "ResetProp", *parameters, set ? "set-prop" : "reset-prop");
}

// show-prop and show-ifprop: one call a property asked for.
int show_properties(Context& context, const Options& options, const char* method, json parameters,
                    const std::vector<Column>& columns) {
  json rows = json::array();
  const std::string names = options.has('p') ? *options.value('p') : "";
  const auto wanted = split(names, ',');
  for (const std::string_view property : wanted) {
    if (!property.empty()) parameters["property"] = property;
    const auto answer = context.call(std::string("io.adit.addresses.") + method, parameters);
    if (!answer) return context.failed("", answer.error());
    for (const json& row : answer->at("properties"))
      if (!options.has('m') || row.at("proto") == *options.value('m')) rows.push_back(row);
  }
  const auto printed =
      print_table(context.out, columns, rows,
                  {.parsable = options.has('c'), .json = options.has('J'), .fields = options.value('o').value_or("")});
  return printed
             ? kOk
             : bad_usage(context, printed.error().text == "-p requires -o" ? "-c requires -o" : printed.error().text);
}

int show_prop(Context& context, Args args) {
  static const std::vector<Column> columns = {{"proto", 6},       {"property", 22}, {"perm", 5},     {"current", 13},
                                              {"persistent", 13}, {"default", 13},  {"possible", 15}};
  const auto options = read(context, args, kPropertyListing, 0, 1);
  if (!options) return kUsage;
  if (options->operands().empty() && options->has('p'))
    return bad_usage(context, "protocol must be specified when property name is used");
  json parameters = json::object();
  if (!options->operands().empty()) {
    if (!is_protocol(options->operands()[0]))
      return context.failed("", {EINVAL, fmt::format("invalid protocol '{}' specified", options->operands()[0])});
    parameters["protocol"] = options->operands()[0];
  }
  return show_properties(context, *options, "ShowProp", parameters, columns);
}

int show_ifprop(Context& context, Args args) {
  static const std::vector<Column> columns = {{"ifname", 12},  {"property", 16},   {"proto", 6},    {"perm", 5},
                                              {"current", 11}, {"persistent", 11}, {"default", 11}, {"possible", 16}};
  const auto options = read(context, args, kPropertyListing, 0, 1);
  if (!options) return kUsage;
  const json parameters = options->operands().empty() ? json::object() : json{{"interface", options->operands()[0]}};
  return show_properties(context, *options, "ShowIfProp", parameters, columns);
}

struct Subcommand {
  std::string_view name;
  int (*run)(Context&, Args);
};
constexpr Subcommand kSubcommands[] = {
    {"create-addr", create_addr},
    {"show-addr", show_addr},
    {"show-if", show_if},
    {"show-prop", show_prop},
    {"show-ifprop", show_ifprop},
    {"delete-addr", [](Context& c, Args a) { return named(c, a, {"DeleteAddr", "object"}); }},
    {"up-addr", [](Context& c, Args a) { return named(c, a, {"UpAddr", "object"}); }},
    {"down-addr", [](Context& c, Args a) { return named(c, a, {"DownAddr", "object"}); }},
    {"enable-addr", [](Context& c, Args a) { return named(c, a, {"EnableAddr", "object", true}); }},
    {"disable-addr", [](Context& c, Args a) { return named(c, a, {"DisableAddr", "object", true}); }},
    {"refresh-addr", [](Context& c, Args a) { return named(c, a, {"RefreshAddr", "object"}); }},
    {"create-if", [](Context& c, Args a) { return named(c, a, {"CreateIf", "interface"}); }},
    {"create-ip", [](Context& c, Args a) { return named(c, a, {"CreateIf", "interface"}); }},
    {"delete-if", [](Context& c, Args a) { return named(c, a, {"DeleteIf", "interface"}); }},
    {"delete-ip", [](Context& c, Args a) { return named(c, a, {"DeleteIf", "interface"}); }},
    {"enable-if", [](Context& c, Args a) { return named(c, a, {"EnableIf", "interface", true}); }},
    {"disable-if", [](Context& c, Args a) { return named(c, a, {"DisableIf", "interface", true}); }},
    {"set-prop", [](Context& c, Args a) { return change_property(c, a, true, false); }},
    {"reset-prop", [](Context& c, Args a) { return change_property(c, a, false, false); }},
    {"set-ifprop", [](Context& c, Args a) { return change_property(c, a, true, true); }},
    {"reset-ifprop", [](Context& c, Args a) { return change_property(c, a, false, true); }},
};

}  // namespace

int cmd_ipadm(Context& context, Args args) {
  if (args.empty()) return show_addr(context, args);
  if (args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
    context.out << kUsageText;
    return kOk;
  }
  const auto found = std::ranges::find(kSubcommands, std::string_view(args[0]), &Subcommand::name);
  if (found == std::end(kSubcommands)) return bad_usage(context, fmt::format("unknown subcommand '{}'", args[0]));
  return found->run(context, args.subspan(1));
}

}  // namespace adit::cli
