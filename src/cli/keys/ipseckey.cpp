// ipseckey: security associations by hand (ipseckey(8)).
#include <ostream>

#include "cli/keys/commands.h"
#include "cli/keys/ipseckey_session.h"
#include "config/ipsecalgs/ipsecalgs_file.h"
#include "config/ipsecconf/policy_file.h"
#include "config/ipseckey/key_file.h"

namespace adit::cli {
namespace {

constexpr const char* kUsageText =
    "usage:  ipseckey [-nvp] [-N NAMESPACE] [--override] [command [TYPE] [FIELD VALUE]...]\n"
    "        ipseckey [-nvp] [-N NAMESPACE] -f FILE    do what the file says (-: standard input)\n"
    "        ipseckey [-nvp] -c FILE                   check it only\n"
    "        ipseckey [-nvp] [-N NAMESPACE] -s FILE    save all SAs, keys and all\n";

enum class Mode : char { command, file = 'f', check = 'c', save = 's' };

struct Call {
  KeyOptions options;
  Mode mode = Mode::command;
  std::string file;
  size_t first_word = 0;  // where the command begins
};

// Options end at the first word: what follows is the command's, dashes and all.
Result<Call> read_call(std::span<const std::string> args) {
  Call call;
  size_t at = 0;
  for (; at < args.size() && args[at].size() > 1 && args[at][0] == '-'; ++at) {
    const std::string& arg = args[at];
    if (arg == "--override") {
      call.options.override_others = true;
      continue;
    }
    if (arg == "--") {
      ++at;
      break;
    }
    for (size_t i = 1; i < arg.size(); ++i) {
      const char letter = arg[i];
      if (letter == 'n')
        call.options.numeric = true;
      else if (letter == 'v')
        call.options.verbose = true;
      else if (letter == 'p')
        call.options.hide_keys = true;
      else if (letter == 'f' || letter == 'c' || letter == 's' || letter == 'N') {
        std::string value = arg.substr(i + 1);
        if (value.empty() && at + 1 < args.size()) value = args[++at];
        if (value.empty()) return fail(EINVAL, "option '-{}' requires a value", letter);
        if (letter == 'N')
          call.options.name_space = value;
        else if (call.mode != Mode::command)
          return fail(EINVAL, "only one of -f, -c and -s at a time");
        else
          call.mode = static_cast<Mode>(letter), call.file = value;
        break;
      } else {
        return fail(EINVAL, "unrecognized option '-{}'", letter);
      }
    }
  }
  call.first_word = at;
  if (call.mode != Mode::command && at < args.size())
    return fail(EINVAL, "-{} takes no command; \"{}\" is one too many", static_cast<char>(call.mode), args[at]);
  if (call.options.name_space.size() > 255) return fail(EINVAL, "a namespace has at most 255 bytes");
  return call;
}

// Something to read that is nobody else's business.
int with_file(Context& context, KeySession& session, const Call& call) {
  const auto text = config::read_key_file(call.file);
  if (!text) return context.failed("", text.error());
  const std::string shown = call.file == "-" ? "standard input" : call.file;
  if (call.mode == Mode::file) return session.run_text(config::text_of(*text), shown);
  if (!session.check_text(config::text_of(*text), shown)) return kFailed;
  context.out << "The key file " << shown << " does not contain any errors.\nNo keys were changed.\n";
  return kOk;
}

// Names that ipsecalgs -a gave count too; without a usable file the built-in table does.
crypto::AlgorithmTable algorithms_of(const Context& context) {
  const std::string path = context.path("/etc/inet/ipsecalgs");
  if (const auto text = config::read_policy_file(path)) {
    auto parsed = config::parse_algorithms(*text, path);
    if (parsed.ok()) return std::move(parsed.table);
  }
  return crypto::AlgorithmTable::builtin();
}

}  // namespace

int cmd_ipseckey(Context& context, std::span<const std::string> args) {
  if (!args.empty() && (args[0] == "--help" || args[0] == "-h")) {
    context.out << kUsageText;
    return kOk;
  }
  const auto call = read_call(args);
  if (!call) return context.usage(call.error().text, kUsageText);
  KeySession session(context, call->options, algorithms_of(context));
  if (call->mode == Mode::save) return session.save(call->file, 0);
  if (call->mode != Mode::command) return with_file(context, session, *call);
  const auto words = args.subspan(call->first_word);
  return words.empty() ? session.run_interactive() : session.run_words(words);
}

}  // namespace adit::cli
