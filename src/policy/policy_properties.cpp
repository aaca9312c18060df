// Policy that belongs to a tunnel: its property `ipsec`, and its rules of all namespaces under another name.
#include <algorithm>

#include "config/ipsecconf/ipsecconf.h"
#include "config/ipsecconf/lexer.h"
#include "control/names.h"
#include "policy/policy.h"

namespace adit::engine {
namespace {

constexpr size_t kMaxProperty = 16384;

// What stands before an action block.
constexpr std::string_view kWholeTunnel = "{ negotiate tunnel } ipsec ";

using config::ipsecconf::TokenKind;

// `{ ... }` and nothing else: an action block, perhaps without its end.
bool is_action_block(std::string_view text) {
  config::ipsecconf::Report unread("", text);
  const auto tokens = config::ipsecconf::tokenize(text, unread);
  if (tokens.size() < 2 || tokens.front().kind != TokenKind::open) return false;
  const auto braces = [&](TokenKind kind) { return std::ranges::count(tokens, kind, &config::ipsecconf::Token::kind); };
  if (braces(TokenKind::open) != 1) return false;
  return braces(TokenKind::close) == 0 || tokens[tokens.size() - 2].kind == TokenKind::close;
}

// Places as in the text that the operator wrote.
void without_prefix(config::Problem& problem) {
  if (problem.line != 1) return;
  const auto prefix = static_cast<uint32_t>(kWholeTunnel.size());
  problem.column = problem.column > prefix ? problem.column - prefix : std::min(problem.column, 1u);
  if (problem.source.starts_with(kWholeTunnel)) problem.source.erase(0, prefix);
}

spd::Owner owner() {
  return {.name_space = kPropertyNamespace};
}

}  // namespace

Result<PropertyRules> Policy::read_property(const std::string& tunnel, std::string_view text,
                                            const std::string& source) const {
  if (text.size() > kMaxProperty)
    return fail(EFBIG, "invalid value: ipsec has {} bytes, and may have {}; put the policy into {}", text.size(),
                kMaxProperty, "/etc/inet/ipsecinit.d/tunnels/" + tunnel + ".conf");
  return context_.names->with_names(
      [&](const config::Resolver& resolver) { return parse_property(tunnel, text, source, resolver); });
}

Result<PropertyRules> Policy::parse_property(const std::string& tunnel, std::string_view text,
                                             const std::string& source, const config::Resolver& resolver) const {
  const bool block = is_action_block(text);
  const std::string whole = block ? std::string(kWholeTunnel) + std::string(text) : std::string(text);
  auto policy =
      config::parse_policy(whole, {source, kPropertyNamespace, tunnel, nullptr, false}, algorithms_.table(), resolver);
  PropertyRules rules;
  std::string errors;
  for (config::Problem& problem : policy.problems) {
    if (block) without_prefix(problem);
    if (problem.severity == config::Severity::error)
      errors += "\n" + problem.str();
    else
      rules.warnings.push_back(problem.headline());
  }
  if (!errors.empty()) return fail(EINVAL, "invalid value: ipsec is not a valid policy for {}:{}", tunnel, errors);
  if (policy.entries.empty())
    return fail(EINVAL, "invalid value: ipsec holds no rule; write {{encr_algs aes-gcm(256)}}, or whole rules");
  for (auto& [head, entries] : policy.adds()) {
    for (spd::Rule& rule : entries) rule.origin.file = "dladm " + tunnel;
    rules.adds.push_back(std::move(entries));
  }
  return rules;
}

Result<PropertyRules> Policy::put_property(const std::string& tunnel, const PropertyRules& rules) {
  spd::Draft draft = database_.empty_draft(kPropertyNamespace);
  PropertyRules before;
  if (database_.knows_head(tunnel)) {
    TRY(database_.clone(draft, tunnel));
    for (spd::Rule& rule : draft.rules(tunnel)) before.adds.push_back({std::move(rule)});
    TRY(database_.flush(draft, tunnel));
  }
  if (before.adds.empty() && rules.adds.empty()) return before;
  for (const auto& entries : rules.adds) TRY(database_.add(draft, tunnel, entries));
  TRY(change(owner(), [&] { return database_.flip(draft, tunnel); }, {}, Opens::yes, &tunnel));
  return before;
}

Result<std::map<std::string, PropertyRules>> Policy::put_properties(const std::map<std::string, PropertyRules>& rules) {
  std::map<std::string, PropertyRules> before;
  if (rules.size() == 1) {
    const auto& [tunnel, wanted] = *rules.begin();
    TRY_ASSIGN(before[tunnel], put_property(tunnel, wanted));
    return before;
  }
  spd::Draft draft = database_.empty_draft(kPropertyNamespace);
  database_.clone_all(draft);
  for (const auto& [tunnel, wanted] : rules) {
    PropertyRules& had = before[tunnel];
    for (spd::Rule& rule : draft.rules(tunnel)) had.adds.push_back({std::move(rule)});
    if (!had.adds.empty()) TRY(database_.flush(draft, tunnel));
    for (const auto& entries : wanted.adds) TRY(database_.add(draft, tunnel, entries));
  }
  TRY(change(owner(), [&] { return database_.flip_all(draft); }));
  return before;
}

std::map<std::string, std::string> Policy::load_properties(const std::map<std::string, std::string>& texts) {
  std::map<std::string, std::string> broken;
  std::map<std::string, PropertyRules> read;
  // All names of all texts are asked together.
  (void)context_.names->with_names([&](const config::Resolver& resolver) {
    for (const auto& [tunnel, text] : texts) (void)parse_property(tunnel, text, "dladm " + tunnel, resolver);
    return true;
  });
  for (const auto& [tunnel, text] : texts) {
    auto rules = read_property(tunnel, text, "dladm " + tunnel);
    if (rules)
      read.emplace(tunnel, std::move(*rules));
    else
      broken.emplace(tunnel, rules.error().text);
  }
  spd::Draft draft = database_.empty_draft(kPropertyNamespace);
  Result<> added;
  for (const auto& [tunnel, rules] : read) {
    for (const auto& entries : rules.adds) {
      if (auto done = database_.add(draft, tunnel, entries); !done) added = std::unexpected(done.error());
    }
  }
  if (added && change(owner(), [&] { return database_.flip_all(draft); })) return broken;
  for (const auto& [tunnel, rules] : read) {  // one of them cannot be: the others all the same
    if (auto put = put_property(tunnel, rules); !put) broken.emplace(tunnel, put.error().text);
  }
  return broken;
}

Result<> Policy::may_rename(const std::string& from, const std::string& to) const {
  return database_.may_rename_head(from, to);
}

void Policy::tunnel_renamed(const std::string& from, const std::string& to) {
  database_.pin_head(to);
  if (auto moved = database_.rename_head(from, to); !moved) {
    context_.events.add(Severity::alert, EventKind::policy_failed, to, moved.error().text);
    return;
  }
  unconfirmed_.rename_head(from, to);
  const auto before = std::exchange(heads_, database_.current());
  publish(*before, {from, to}, std::nullopt);
}

std::vector<RuleOrigin> Policy::files_naming(const std::string& tunnel) const {
  std::vector<RuleOrigin> files;
  const auto head = heads_->find(tunnel);
  if (!head) return files;
  for (const spd::Rule& rule : head->rules()) {
    if (!rule.name_space.empty() || rule.origin.file.empty()) continue;
    const auto known = std::ranges::find(files, rule.origin.file, &RuleOrigin::file);
    if (known == files.end())
      files.push_back({rule.origin.file, rule.origin.line});
    else
      known->line = std::min(known->line, rule.origin.line);
  }
  return files;
}

void Policy::all_restored() {
  all_restored_ = true;
  std::set<std::string> all;
  for (std::string& name : heads_->names()) all.insert(std::move(name));
  for (const auto& tunnel : links_.tunnels()) all.insert(tunnel.name);  // those that lost every rule, too
  guard_less(*heads_, all, std::nullopt);
}

}  // namespace adit::engine
