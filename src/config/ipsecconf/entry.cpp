#include "config/ipsecconf/entry.h"

#include <fmt/format.h>

#include "config/ipsecconf/policy_limits.h"

namespace adit::config::ipsecconf {
namespace {

class Reader {
 public:
  Reader(const std::vector<Token>& tokens, Report& report) : tokens_(tokens), report_(report) {}

  std::vector<Entry> all() {
    std::vector<Entry> entries;
    while (here().kind != TokenKind::end && !report_.full()) {
      const size_t start = at_;
      Entry entry;
      if (read(entry))
        entries.push_back(std::move(entry));
      else
        skip_from(start);
    }
    return entries;
  }

 private:
  [[nodiscard]] const Token& here() const { return tokens_[at_]; }
  const Token& next() { return tokens_[here().kind == TokenKind::end ? at_ : at_++]; }

  bool read(Entry& entry) {
    entry.open = here();
    if (!read_section(entry.pattern, "pattern")) return false;
    do {
      if (entry.alternatives.size() == kMaxPolicyActions) {
        report_.error(here(), "Too many actions.", fmt::format("an entry has up to {}", kMaxPolicyActions));
        return false;
      }
      Alternative alternative;
      if (!read_alternative(alternative)) return false;
      entry.alternatives.push_back(std::move(alternative));
    } while (take_or());
    entry.end = last_close_.offset + 1;
    if (entry.end - entry.open.offset > kMaxPolicyEntry) {
      report_.error(entry.open, fmt::format("the entry is longer than {} characters", kMaxPolicyEntry));
      return false;
    }
    return check_tail();
  }

  bool read_section(std::vector<Token>& words, std::string_view what) {
    if (here().kind != TokenKind::open) {
      report_.error(here(), fmt::format("line {} : {} must start with \"{{\" character", here().line, what),
                    here().text == "or" ? "put 'or' on the line of the '}' that it follows" : "");
      return false;
    }
    const Token open = next();
    while (here().kind == TokenKind::word) {
      if (words.size() == kMaxPolicyWords) {
        report_.error(here(), fmt::format("Number of Arguments exceeded {}", kMaxPolicyWords),
                      "split the entry: a pair of braces holds ten names with their values");
        return false;
      }
      words.push_back(next());
    }
    if (here().kind != TokenKind::close) {
      report_.error(here(), "Pattern or Properties incomplete.",
                    fmt::format("the '{{' of line {} has no '}}' before {}", open.line,
                                here().kind == TokenKind::end ? "the text ends" : "the next '{'"));
      return false;
    }
    last_close_ = next();
    return true;
  }

  bool read_alternative(Alternative& alternative) {
    if (here().kind != TokenKind::word) {
      report_.error(here(), "Missing action token.", "after the pattern comes ipsec, bypass, pass or drop");
      return false;
    }
    alternative.action = next();
    if (here().kind == TokenKind::end || (here().kind == TokenKind::word && known_action(alternative.action.text))) {
      report_.error(here().kind == TokenKind::end ? alternative.action : here(), "Missing properties.",
                    fmt::format("after {} comes {{ ... }}, empty for bypass and drop", alternative.action.text));
      return false;
    }
    if (!known_action(alternative.action.text)) {
      report_.error(alternative.action,
                    fmt::format("Invalid action on line {}: {}", alternative.action.line, alternative.action.text),
                    "ipsec, bypass, pass or drop");
      return false;
    }
    return read_section(alternative.properties, "properties");
  }

  static bool known_action(std::string_view word) {
    return word == "ipsec" || word == "bypass" || word == "pass" || word == "drop" || word == "apply" ||
           word == "permit";
  }

  // `or` counts only on the line of the brace before it.
  bool take_or() {
    if (here().kind != TokenKind::word || here().text != "or" || here().line != last_close_.line) return false;
    next();
    return true;
  }

  bool check_tail() {
    if (here().kind != TokenKind::word || here().line != last_close_.line) return true;
    if (here().text.starts_with('\\'))
      report_.error(here(), "Invalid line continuation character.", "newlines are free: leave it out");
    else
      report_.error(here(), fmt::format("Error before or at line {}", here().line),
                    "'or', the next '{' or the end of the line");
    return false;
  }

  // On to the next brace that begins a line, but past the one that this entry began with.
  void skip_from(size_t start) {
    if (at_ == start) next();
    while (here().kind != TokenKind::end &&
           !(here().kind == TokenKind::open && first_of_line(at_) && !after_action(at_)))
      next();
  }
  [[nodiscard]] bool first_of_line(size_t at) const { return at == 0 || tokens_[at - 1].line != tokens_[at].line; }
  [[nodiscard]] bool after_action(size_t at) const {
    return at > 0 && tokens_[at - 1].kind == TokenKind::word && known_action(tokens_[at - 1].text);
  }

  const std::vector<Token>& tokens_;
  Report& report_;
  Token last_close_;
  size_t at_ = 0;
};

}  // namespace

std::vector<Entry> read_entries(const std::vector<Token>& tokens, Report& report) {
  return tokens.empty() ? std::vector<Entry>{} : Reader(tokens, report).all();
}

}  // namespace adit::config::ipsecconf
