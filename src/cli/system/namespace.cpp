// adit namespace: who besides root may manage which tunnels' policy and keys, and whose owner is there.
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <ostream>

#include "base/text.h"
#include "cli/frame/options.h"
#include "cli/frame/table.h"
#include "cli/system/commands.h"

namespace adit::cli {
namespace {

using nlohmann::json;

constexpr const char* kUsageText =
    "usage: adit namespace create [-u USER,...] [-t TUNNEL,...] [-n NETWORK,...] [-q RULES] [-k SAS] [-l SECONDS] [-b] "
    "NAME\n"
    "       adit namespace delegate [-u USER,...] [-t TUNNEL,...] [-n NETWORK,...] [-q RULES] [-k SAS] [-l SECONDS] "
    "[-b] NAME\n"
    "       adit namespace revoke [-u USER,...] [-t TUNNEL,...] [-n NETWORK,...] [-b] NAME\n"
    "       adit namespace delete [-r] NAME\n"
    "       adit namespace list [-p] [-o FIELD,...] [--json]\n"
    "       adit namespace show [-p] [-o FIELD,...] [--json] NAME\n"
    "  create    registers a namespace; delegate adds users and tunnels and sets its bounds\n"
    "  revoke    takes back what is named; nothing named: every user and tunnel\n"
    "  delete    refused while it has rules or SAs; with -r they go, which closes and never opens\n"
    "  -u  users that may act in it: names or numbers      -t  their tunnels: names or patterns such as 'vpn*'\n"
    "  -n  networks that its rules may close for the whole host; none: its rules close nothing beside its tunnels\n"
    "  -q  so many rules at most, 1000 unless said         -k  so many SAs at most, 1000 unless said\n"
    "  -l  without an owner its records go after SECONDS, which closes; 0: they stay\n"
    "  -b  its users may let clear text pass (bypass, pass)\n"
    "  fields: namespace state rules quota sas saquota owner tunnels networks bypass lease left registered\n";

// Commas part what is given; the option may be there more than once.
std::vector<std::string> words_of(const Options& options, char letter) {
  std::vector<std::string> words;
  for (const std::string& value : options.all(letter)) {
    for (const std::string_view word : split(value, ',')) words.emplace_back(word);
  }
  return words;
}

std::optional<uint32_t> number_of(const std::string& text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<uint32_t> user_id(const std::string& user) {
  if (const auto number = number_of(user)) return *number;
  if (const passwd* entry = ::getpwnam(user.c_str())) return entry->pw_uid;
  return fail(ENOENT, "there is no user '{}'", user);
}

std::string user_name(uint32_t id) {
  const passwd* entry = ::getpwuid(id);
  return entry == nullptr ? std::to_string(id) : entry->pw_name;
}

Result<json> parameters_of(const Options& options, const std::string& name) {
  json parameters = {{"name", name}, {"bypass", options.has('b')}};
  for (const std::string& user : words_of(options, 'u')) {
    TRY_ASSIGN(const uint32_t id, user_id(user));
    parameters["users"].push_back(id);
  }
  for (const std::string& pattern : words_of(options, 't')) parameters["tunnels"].push_back(pattern);
  for (const std::string& network : words_of(options, 'n')) parameters["networks"].push_back(network);
  const std::pair<char, const char*> bounds[] = {{'q', "rule_quota"}, {'k', "sa_quota"}, {'l', "lease"}};
  for (const auto& [letter, key] : bounds) {
    const auto text = options.value(letter);
    if (!text) continue;
    const auto value = number_of(*text);
    if (!value) return fail(EINVAL, "option '-{}': '{}' is not a valid number", letter, *text);
    parameters[key] = *value;
  }
  return parameters;
}

int act(Context& context, const Options& options, const char* method, const char* verb, const std::string& name) {
  auto parameters = parameters_of(options, name);
  if (!parameters) return context.failed(fmt::format("could not {} {}", verb, name), parameters.error());
  (*parameters)["records"] = options.has('r');
  const auto answer = context.call(fmt::format("io.adit.namespaces.{}", method), *parameters);
  return answer ? kOk : context.failed(fmt::format("could not {} {}", verb, name), answer.error());
}

// What a table shows of a row of the daemon's.
json shown(const json& row) {
  const bool registered = row.at("registered");
  const uint32_t lease = row.at("lease"), left = row.at("lease_left");
  std::string owner = joined(row.at("users"), ",", [](const json& id) { return user_name(id.get<uint32_t>()); });
  if (owner.empty()) owner = "root";
  const auto bound = [&](const char* key) { return registered ? row.at(key).dump() : std::string(); };
  return {{"namespace", row.at("name")},
          {"state", row.at("state")},
          {"rules", row.at("rules").dump()},
          {"quota", bound("rule_quota")},
          {"sas", row.at("sas").dump()},
          {"saquota", bound("sa_quota")},
          {"owner", owner},
          {"tunnels", joined(row.at("tunnels"), ",", [](const json& word) { return word.get<std::string>(); })},
          {"networks", joined(row.at("networks"), ",", [](const json& word) { return word.get<std::string>(); })},
          {"bypass", row.at("bypass") ? "yes" : "no"},
          {"lease", lease == 0 ? std::string() : std::to_string(lease)},
          {"left", row.at("state") == "leased" ? std::to_string(left) : std::string()},
          {"registered", registered ? "yes" : "no"}};
}

const std::vector<Column> kColumns = {{"namespace", 27},
                                      {"state", 10},
                                      {"rules", 6},
                                      {"quota", 6},
                                      {"sas", 6},
                                      {"saquota", 8},
                                      {"owner", 10},
                                      {"tunnels", 0},
                                      {"networks", 0, "", false},
                                      {"bypass", 7, "", false},
                                      {"lease", 6, "", false},
                                      {"left", 6, "", false},
                                      {"registered", 11, "", false}};

int list(Context& context, const Options& options, const std::string& name) {
  const auto answer = context.call("io.adit.namespaces.List", json::object());
  if (!answer) return context.failed("", answer.error());
  json rows = json::array();
  for (const json& row : answer->at("namespaces")) {
    if (name.empty() || row.at("name") == name) rows.push_back(options.has('J') ? row : shown(row));
  }
  if (!name.empty() && rows.empty())
    return context.failed("", {ENOENT, fmt::format("there is no namespace {}; 'adit namespace list' shows all", name)});
  TableOptions table{.parsable = options.has('p'), .json = options.has('J'), .fields = options.value('o').value_or("")};
  if (name.empty() || table.parsable || table.json || !table.fields.empty()) {
    const auto printed = print_table(context.out, kColumns, rows, table);
    return printed ? kOk : context.failed("", printed.error());
  }
  for (const Column& column : kColumns) {
    const std::string value = rows[0].at(std::string(column.field));
    fmt::format_to(std::ostreambuf_iterator<char>(context.out), "{:<12} {}\n", column.field,
                   value.empty() ? column.unset : value);
  }
  return kOk;
}

struct Form {
  std::string_view name;
  std::vector<Option> options;
  bool takes_name;
};

const std::vector<Form>& forms() {
  static const std::vector<Option> bounds = {{'u', "user", true},  {'t', "tunnel", true}, {'n', "network", true},
                                             {'q', "rules", true}, {'k', "sas", true},    {'l', "lease", true},
                                             {'b', "bypass"}};
  static const std::vector<Option> listing = {{'p', ""}, {'o', "", true}, {'J', "json"}};
  static const std::vector<Form> all = {
      {"create", bounds, true},
      {"delegate", bounds, true},
      {"revoke", {{'u', "user", true}, {'t', "tunnel", true}, {'n', "network", true}, {'b', "bypass"}}, true},
      {"delete", {{'r', "records"}}, true},
      {"list", listing, false},
      {"show", listing, true}};
  return all;
}

}  // namespace

int cmd_namespace(Context& context, std::span<const std::string> args) {
  if (args.empty()) return context.usage("a subcommand is missing", kUsageText);
  if (args[0] == "--help" || args[0] == "-h") {
    context.out << kUsageText;
    return kOk;
  }
  const auto form = std::ranges::find(forms(), args[0], &Form::name);
  if (form == forms().end())
    return context.usage(fmt::format("'{}' is not a form of this command", args[0]), kUsageText);
  const auto options = Options::parse(args.subspan(1), form->options);
  if (!options) return context.usage(options.error().text, kUsageText);
  const auto& words = options->operands();
  if (words.size() != (form->takes_name ? 1u : 0u))
    return context.usage(form->takes_name ? "one namespace is named" : "list takes no operand", kUsageText);
  const std::string name = form->takes_name ? words[0] : "";
  if (form->name == "list" || form->name == "show") return list(context, *options, name);
  if (form->name == "create") return act(context, *options, "Create", "create", name);
  if (form->name == "delegate") return act(context, *options, "Delegate", "delegate", name);
  if (form->name == "revoke") return act(context, *options, "Revoke", "revoke", name);
  return act(context, *options, "Delete", "delete", name);
}

}  // namespace adit::cli
