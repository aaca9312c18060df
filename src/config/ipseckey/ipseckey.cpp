#include "config/ipseckey/ipseckey.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "config/ipseckey/association.h"
#include "protocol/pf_key/translate.h"

namespace adit::config {
namespace ipseckey {
namespace {

struct VerbName {
  std::string_view name;
  KeyVerb verb;
};
constexpr auto kVerbs = std::to_array<VerbName>({{"add", KeyVerb::add},
                                                 {"update", KeyVerb::update},
                                                 {"update-pair", KeyVerb::update_pair},
                                                 {"delete", KeyVerb::del},
                                                 {"delete-pair", KeyVerb::delete_pair},
                                                 {"get", KeyVerb::get},
                                                 {"flush", KeyVerb::flush},
                                                 {"dump", KeyVerb::dump},
                                                 {"save", KeyVerb::save},
                                                 {"monitor", KeyVerb::monitor},
                                                 {"passive_monitor", KeyVerb::passive_monitor},
                                                 {"pmonitor", KeyVerb::passive_monitor},
                                                 {"help", KeyVerb::help},
                                                 {"?", KeyVerb::help},
                                                 {"exit", KeyVerb::quit},
                                                 {"quit", KeyVerb::quit}});

bool read_satype(const Word& word, Report& report, uint8_t& satype) {
  std::string text(word.text);
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (text == "all" || text == "ah" || text == "esp") {
    satype = text == "all" ? 0 : text == "ah" ? 2 : 3;
    return true;
  }
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number > 255)
    return report.error(word, fmt::format("Unknown SA type ({}).", quoted(word)), "all, ah or esp");
  satype = static_cast<uint8_t>(number);
  return true;
}

bool no_more(const Words& words, size_t from, Report& report) {
  if (words.size() <= from) return true;
  return report.error(words[from], fmt::format("{} takes no {}", words[0].text, quoted(words[from])));
}

sad::KeyMessage bare_message(sad::KeyMessageType type, uint8_t satype, const Language& language) {
  sad::KeyMessage message;
  message.type = type;
  message.satype = satype;
  if (!language.source.name_space.empty())
    message.name_space = sad::NamespaceExtension{language.source.name_space, false};
  return message;
}

bool parse_association(const Words& words, const Language& language, Report& report, KeyCommand& command) {
  Values values;
  if (!read_fields(words, 2, command.verb, command.satype, language, report, values)) return false;
  if (!check_association(command.verb, command.satype, words[0], language, report, values)) return false;
  auto messages = make_messages(command.verb, command.satype, language, report, values);
  if (!messages) return report.error(words[0], messages.error().text);
  command.messages = std::move(*messages);
  return true;
}

bool parse_command(const Words& words, const Language& language, Report& report, KeyCommand& command) {
  const auto verb = std::ranges::find(kVerbs, std::string_view(words[0].text), &VerbName::name);
  if (verb == kVerbs.end())
    return report.error(words[0], "Unrecognized command " + quoted(words[0]), "ipseckey help lists them");
  command.verb = verb->verb;
  command.line = words[0].line;
  const bool bare = command.verb == KeyVerb::help || command.verb == KeyVerb::quit ||
                    command.verb == KeyVerb::monitor || command.verb == KeyVerb::passive_monitor;
  if (bare) return no_more(words, 1, report);
  if (words.size() > 1 && !read_satype(words[1], report, command.satype)) return false;
  switch (command.verb) {
    case KeyVerb::flush:
      command.messages.push_back(bare_message(sad::KeyMessageType::flush, command.satype, language));
      return no_more(words, 2, report);
    case KeyVerb::dump:
      command.messages.push_back(bare_message(sad::KeyMessageType::dump, command.satype, language));
      return no_more(words, 2, report);
    case KeyVerb::save:
      command.messages.push_back(bare_message(sad::KeyMessageType::dump, command.satype, language));
      if (words.size() > 2) command.file = std::string(words[2].text);
      return no_more(words, 3, report);
    default:
      break;
  }
  if (words.size() < 2)
    return report.error(words[0], "Unexpected end of command line, was expecting an SA type.", "ah or esp");
  return parse_association(words, language, report, command);
}

}  // namespace

std::string_view name_of(KeyVerb verb) {
  const auto found = std::ranges::find(kVerbs, verb, &VerbName::verb);
  return found == kVerbs.end() ? "" : found->name;
}
}  // namespace ipseckey

KeyText parse_ipseckeys(std::string_view text, const KeySource& source, const crypto::AlgorithmTable& table,
                        const Resolver& resolver) {
  KeyText parsed;
  if (text.size() > kMaxKeyFileBytes) {
    parsed.problems.push_back({Severity::error, source.file, 0, 0, "the text is too large for a key file", {}, {}});
    return parsed;
  }
  constexpr size_t kMostErrors = 200;
  ipseckey::Lexer lexer(text, source.file);
  ipseckey::Report report(source.file, [&](uint32_t line) { return lexer.shown(line); }, lexer.problems());
  const ipseckey::Language language{source, table, resolver};
  ipseckey::Words words;
  while (lexer.next(words)) {
    KeyCommand command;
    if (ipseckey::parse_command(words, language, report, command)) parsed.commands.push_back(std::move(command));
    if (report.errors() > kMostErrors) break;
  }
  parsed.waiting = report.waiting();
  parsed.problems = std::move(lexer.problems());
  return parsed;
}

KeyText parse_ipseckey_words(std::span<const std::string> given, const KeySource& source,
                             const crypto::AlgorithmTable& table, const Resolver& resolver) {
  KeyText parsed;
  ipseckey::Words words;
  for (const std::string& text : given) words.emplace_back().text.assign(text);
  if (words.empty()) return parsed;
  ipseckey::Report report(source.file, {}, parsed.problems);
  const ipseckey::Language language{source, table, resolver};
  KeyCommand command;
  if (ipseckey::parse_command(words, language, report, command)) parsed.commands.push_back(std::move(command));
  return parsed;
}

Result<std::vector<sad::SaRequest>> associations_of(KeyText text, const crypto::AlgorithmTable& table) {
  if (const size_t errors = count_errors(text.problems); errors != 0)
    return fail(EINVAL, "The configuration file contained {} error{}.", errors, errors == 1 ? "" : "s");
  std::vector<sad::SaRequest> requests;
  for (KeyCommand& command : text.commands) {
    if (command.verb == KeyVerb::flush) {
      std::erase_if(requests, [&](const sad::SaRequest& request) {
        return command.satype == 0 || static_cast<uint8_t>(request.spec.type) == command.satype;
      });
      continue;
    }
    if (command.verb != KeyVerb::add)
      return fail(EINVAL, "line {}: the service's key file takes add and flush only, not {}", command.line,
                  ipseckey::name_of(command.verb));
    for (sad::KeyMessage& message : command.messages) {
      auto request = sad::to_request(message, table);
      if (!request) return fail(request.error().code, "line {}: {}", command.line, request.error().text);
      requests.push_back(std::move(*request));
    }
  }
  return requests;
}

}  // namespace adit::config
