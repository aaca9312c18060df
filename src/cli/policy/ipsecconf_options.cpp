#include "cli/policy/ipsecconf_options.h"

#include <charconv>

#include <fmt/format.h>

namespace adit::cli {

const char* const kIpsecconfUsage =
    "usage: ipsecconf                                  what ipsecconf itself added, as typed\n"
    "       ipsecconf -a FILE|- [-q]                   add the rules of a file\n"
    "       ipsecconf -f|-F -a FILE|- [-q]             replace all rules by those of a file, at once\n"
    "       ipsecconf -c [-v]                          check all files of the service ipsec/policy as a refresh would\n"
    "       ipsecconf diff [-v] [--json]               what a refresh of the service would change; -v: what stays, "
    "too\n"
    "       ipsecconf -c FILE|-                        check a file, change nothing\n"
    "       ipsecconf -r FILE|- [-q]                   remove the rules of a file\n"
    "       ipsecconf -d INDEX|TUNNEL,INDEX [-q]       remove one entry\n"
    "       ipsecconf -f [-i TUNNEL] | -F [-q]         remove the rules of one policy head, or of all\n"
    "       ipsecconf -l [-i TUNNEL] | -L [-n] [-v]    list one policy head, or all\n"
    "       ipsecconf confirm | undo                   a change made with --confirm stands, or is undone now\n"
    "Further: -n numbers for names, -v file and line and namespace of each rule, --json,\n"
    "         -o FIELD,... [-p] a table: index tunnel namespace direction priority origin rule,\n"
    "         -N NAMESPACE, --override (touch rules of other namespaces),\n"
    "         --confirm SECONDS with -a, -r: undone after so many unless 'ipsecconf confirm' comes\n";

namespace {

// Walks getopt style: -q, -a FILE, -aFILE, -nl, --json.
class Scanner {
 public:
  explicit Scanner(std::span<const std::string> args) : args_(args) {}

  // The next option; '\0': no more. "--json" and such come as kLong with `word` set.
  static constexpr char kLong = '-';
  char next() {
    if (inside_ == 0) {
      if (at_ == args_.size() || args_[at_].size() < 2 || args_[at_][0] != '-') return '\0';
      if (args_[at_].starts_with("--")) {
        word = args_[at_++].substr(2);
        return kLong;
      }
      inside_ = 1;
    }
    const char letter = args_[at_][inside_++];
    if (inside_ == args_[at_].size()) inside_ = 0, ++at_;
    return letter;
  }
  std::optional<std::string> value() {
    if (at_ == args_.size()) return std::nullopt;
    std::string found = args_[at_].substr(inside_);
    inside_ = 0, ++at_;
    return found;
  }
  // Is there one that could be? "-" is, "-v" is an option.
  [[nodiscard]] bool has_value() const {
    return at_ < args_.size() && (inside_ > 0 || args_[at_] == "-" || !args_[at_].starts_with('-'));
  }
  [[nodiscard]] bool finished() const { return at_ == args_.size(); }

  std::string word;

 private:
  std::span<const std::string> args_;
  size_t at_ = 0, inside_ = 0;
};

constexpr uint32_t kLongestConfirm = 86400;

// INDEX or TUNNEL,INDEX.
bool take_index(std::string text, PolicyOptions& into) {
  if (const size_t comma = text.find(','); comma != std::string::npos) {
    into.tunnel = text.substr(0, comma);
    text.erase(0, comma + 1);
    if (into.tunnel->empty()) return false;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into.index);
  return error == std::errc{} && end == text.data() + text.size() && into.index > 0;
}

class Builder {
 public:
  Result<> take(char letter, Scanner& from) {
    switch (letter) {
      case 'l':
      case 'L':
        return begin(PolicyAct::list, letter == 'L');
      case 'f':
      case 'F':
        return take_flush(letter == 'F');
      case 'c':
        if (!from.has_value()) return begin(PolicyAct::check_files, true);
        [[fallthrough]];
      case 'a':
        return take_file(letter == 'c', from);
      case 'r':
        return take_removal(from);
      case 'd':
        return take_delete(from);
      case 'i':
        return take_tunnel(from);
      case 'n':
        options.numbers = true;
        return {};
      case 'q':
        options.quiet = true;
        return {};
      case 'v':
        options.verbose = true;
        return {};
      case 'N':
        return take_namespace(from);
      case 'o':
        return take_fields(from);
      case 'p':
        options.parsable = true;
        return {};
      case Scanner::kLong:
        return take_long(from);
      default:
        return fail(EINVAL, "Bad usage.");
    }
  }
  Result<PolicyOptions> finish() {
    if (options.help) return options;
    if (act_ == Act::none) return fail(EINVAL, options.tunnel ? "Cannot view for one interface only." : "Bad usage.");
    if (options.all_heads && options.tunnel) return fail(EINVAL, "interface name not required.");
    const bool flips =
        options.act == PolicyAct::add || options.act == PolicyAct::replace || options.act == PolicyAct::remove_file;
    if (options.confirm_seconds != 0 && !flips) return fail(EINVAL, "--confirm goes with -a and -r.");
    if ((options.parsable || !options.fields.empty()) && options.act != PolicyAct::list)
      return fail(EINVAL, "-o and -p are of listings (-l, -L).");
    if (options.parsable && options.fields.empty()) return fail(EINVAL, "-p needs -o FIELD,...");
    return options;
  }
  PolicyOptions options;

  Result<> begin(PolicyAct act, bool all) {
    if (act_ != Act::none) return fail(EINVAL, "Multiple commands specified");
    act_ = Act::other;
    options.act = act;
    options.all_heads = all;
    return {};
  }

 private:
  enum class Act : uint8_t { none, flush, add, other };

  // -f and -F go with -a, before or behind it: replace.
  Result<> take_flush(bool all) {
    if (act_ == Act::add && options.act == PolicyAct::add) {
      options.act = PolicyAct::replace;
      act_ = Act::other;
      return {};
    }
    TRY(begin(PolicyAct::flush, all));
    act_ = Act::flush;
    return {};
  }
  Result<> take_file(bool check, Scanner& from) {
    TRY_ASSIGN(std::string file, value_of(check ? 'c' : 'a', from));
    if (act_ == Act::flush && !check && !options.tunnel)
      options.act = PolicyAct::replace;
    else if (act_ != Act::none || options.tunnel)
      return fail(EINVAL, "Multiple commands or interface not required.");
    else
      options.act = check ? PolicyAct::check : PolicyAct::add;
    act_ = options.act == PolicyAct::add ? Act::add : Act::other;
    options.file = std::move(file);
    options.all_heads = true;
    return {};
  }
  Result<> take_removal(Scanner& from) {
    if (act_ != Act::none || options.tunnel) return fail(EINVAL, "Multiple commands or interface not required.");
    TRY_ASSIGN(options.file, value_of('r', from));
    return begin(PolicyAct::remove_file, true);
  }
  Result<> take_delete(Scanner& from) {
    TRY(begin(PolicyAct::remove_index, false));
    TRY_ASSIGN(const std::string text, value_of('d', from));
    if (!take_index(text, options)) return fail(EINVAL, "Invalid index");
    return {};
  }
  Result<> take_tunnel(Scanner& from) {
    if (options.tunnel) return fail(EINVAL, "Interface name already selected");
    TRY_ASSIGN(options.tunnel, value_of('i', from));
    if (options.tunnel->empty()) return fail(EINVAL, "Invalid interface name.");
    return {};
  }
  Result<> take_fields(Scanner& from) {
    TRY_ASSIGN(options.fields, value_of('o', from));
    if (options.fields.empty()) return fail(EINVAL, "option '-o' requires a value");
    return {};
  }
  Result<> take_namespace(Scanner& from) {
    TRY_ASSIGN(options.name_space, value_of('N', from));
    if (options.name_space->size() > 255) return fail(EINVAL, "a namespace has up to 255 bytes");
    return {};
  }
  Result<> take_long(Scanner& from) {
    if (from.word == "json")
      options.json = true;
    else if (from.word == "override")
      options.override_others = true;
    else if (from.word == "help")
      options.help = true;
    else if (from.word == "confirm")
      return take_seconds(from);
    else
      return fail(EINVAL, "Bad usage.");
    return {};
  }
  Result<> take_seconds(Scanner& from) {
    const std::string text = from.value().value_or("");
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), options.confirm_seconds);
    if (error != std::errc{} || end != text.data() + text.size() || options.confirm_seconds == 0 ||
        options.confirm_seconds > kLongestConfirm)
      return fail(EINVAL, "--confirm takes seconds, 1 to {}, not '{}'", kLongestConfirm, text);
    return {};
  }
  static Result<std::string> value_of(char letter, Scanner& from) {
    auto value = from.value();
    if (!value) return fail(EINVAL, "option '-{}' requires a value", letter);
    return std::move(*value);
  }

  Act act_ = Act::none;
};

}  // namespace

Result<PolicyOptions> parse_policy_options(std::span<const std::string> args) {
  if (args.empty()) return PolicyOptions{};
  Builder builder;
  for (const auto& [word, act] : {std::pair{"diff", PolicyAct::diff}, std::pair{"confirm", PolicyAct::confirm},
                                  std::pair{"undo", PolicyAct::undo}}) {
    if (args[0] != word) continue;
    TRY(builder.begin(act, true));
    args = args.subspan(1);
    break;
  }
  Scanner scanner(args);
  while (const char letter = scanner.next()) TRY(builder.take(letter, scanner));
  if (!scanner.finished()) return fail(EINVAL, "Bad usage.");
  return builder.finish();
}

}  // namespace adit::cli
