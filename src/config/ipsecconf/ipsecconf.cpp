#include "config/ipsecconf/ipsecconf.h"

#include <algorithm>

#include <fmt/format.h>

#include "config/ipsecconf/action.h"
#include "config/ipsecconf/entry.h"
#include "config/ipsecconf/lexer.h"
#include "config/ipsecconf/memory.h"
#include "config/ipsecconf/pattern.h"

namespace adit::config {
namespace {

using namespace ipsecconf;
using spd::Direction;

using Pairs = std::vector<std::pair<std::optional<net::Prefix>, std::optional<net::Prefix>>>;

// Every local with every remote of its family; one side may be free.
Pairs pairs_of(const std::optional<std::vector<net::Prefix>>& first,
               const std::optional<std::vector<net::Prefix>>& second) {
  Pairs pairs;
  if (!first && !second)
    pairs.emplace_back(std::nullopt, std::nullopt);
  else if (!second)
    for (const net::Prefix& one : *first) pairs.emplace_back(one, std::nullopt);
  else if (!first)
    for (const net::Prefix& other : *second) pairs.emplace_back(std::nullopt, other);
  else
    for (const net::Prefix& one : *first)
      for (const net::Prefix& other : *second)
        if (one.family() == other.family()) pairs.emplace_back(one, other);
  return pairs;
}

// Old style: the source is local on the way out and remote on the way in.
spd::Selector selector_of(const Pattern& pattern, const Pairs::value_type& pair, bool swapped) {
  spd::Selector selector;
  selector.local = swapped ? pair.second : pair.first;
  selector.remote = swapped ? pair.first : pair.second;
  selector.local_port = swapped ? pattern.second_port : pattern.first_port;
  selector.remote_port = swapped ? pattern.first_port : pattern.second_port;
  selector.protocol = pattern.protocol;
  selector.icmp = pattern.icmp;
  return selector;
}

class Loader {
 public:
  Loader(const PolicySource& source, const crypto::AlgorithmTable& table, const Resolver& resolver, Report& report)
      : source_(source),
        table_(table),
        resolver_(resolver),
        report_(report),
        memory_(source.memory != nullptr ? *source.memory : own_memory_) {}

  std::optional<PolicyEntry> load(const Entry& entry, std::string_view text) {
    const auto pattern = read_pattern(entry, source_, resolver_, report_);
    // The other half of the entry is read too, so that its errors are told in the same run.
    const auto actions = read_actions(entry, pattern.value_or(Pattern{}), table_, memory_.weak, report_);
    if (!pattern || !actions) return std::nullopt;
    const bool old_style = pattern->style == Style::old || actions->old_style;
    const auto direction = actions->direction ? actions->direction : pattern->direction;
    const bool protects = actions->actions.front().verb == spd::Verb::ipsec;
    if (pattern->style == Style::old && protects && !direction) {
      report_.error(entry.alternatives.front().action,
                    complaint("Requires", "Direction", entry.alternatives.front().action),
                    "with saddr and daddr, ipsec needs 'dir in' or 'dir out'");
      return std::nullopt;
    }
    PolicyEntry result{.head = pattern->tunnel.value_or(""),
                       .specs = {},
                       .text = std::string(text.substr(entry.open.offset, entry.end - entry.open.offset))};
    result.specs = specs_of(entry, *pattern, *actions, old_style, direction);
    if (result.specs.empty()) {
      report_.error(entry.open, "No matching IPv4 or IPv6 saddr/daddr pairs", "both addresses of one family");
      return std::nullopt;
    }
    return check(entry, result) ? std::optional(std::move(result)) : std::nullopt;
  }

 private:
  std::vector<spd::RuleSpec> specs_of(const Entry& entry, const Pattern& pattern, const Actions& actions,
                                      bool old_style, std::optional<Direction> direction) {
    const uint32_t priority = spd::priority_of(position_++, actions.actions);
    const bool out = !direction || *direction == Direction::out, in = !direction || *direction == Direction::in;
    std::vector<spd::RuleSpec> specs;
    for (const auto& pair : pairs_of(pattern.first, pattern.second)) {
      spd::RuleSpec spec{.priority = priority,
                         .inbound = in,
                         .outbound = out,
                         .mode = pattern.mode,
                         .selector = selector_of(pattern, pair, false),
                         .actions = actions.actions,
                         .name_space = source_.name_space,
                         .waits_for = pattern.waits_for,
                         .origin = {source_.file, entry.open.line}};
      const spd::Selector swapped = selector_of(pattern, pair, true);
      if (!old_style || !in || swapped == spec.selector) {
        specs.push_back(std::move(spec));
        continue;
      }
      spd::RuleSpec inbound = spec;  // each direction has a selector of its own
      inbound.outbound = spec.inbound = false;
      inbound.selector = swapped;
      if (out) specs.push_back(std::move(spec));
      specs.push_back(std::move(inbound));
    }
    return specs;
  }

  bool check(const Entry& entry, PolicyEntry& result) {
    for (const spd::RuleSpec& spec : result.specs)
      for (const spd::Rule& rule : spd::expand(spec))
        if (const auto checked = spd::check_rule(result.head, rule);
            !checked && !(checked.error().code == ENOTSUP && source_.allow_host_ipsec)) {
          report_.error(entry.alternatives.front().action, checked.error().text);
          return false;
        }
    if (const spd::Origin* other = memory_.other_mode(result.head, result.specs.front())) {
      report_.error(entry.open,
                    fmt::format("tunnel {} mixes 'negotiate tunnel' and 'negotiate transport'", result.head),
                    fmt::format("{} has the other", place(*other)));
      return false;
    }
    const spd::Origin* same = nullptr;
    std::erase_if(result.specs, [&](const spd::RuleSpec& spec) {
      const spd::Origin* earlier = memory_.same_entry(result.head, spec);
      if (earlier != nullptr) same = earlier;
      return earlier != nullptr;
    });
    if (result.specs.empty())
      report_.warning(entry.open, "Duplicate policy entry (ignored)", fmt::format("{} has the same", place(*same)));
    return true;
  }

  // As seen from this text.
  [[nodiscard]] std::string place(const spd::Origin& origin) const {
    return origin.file == source_.file ? fmt::format("line {}", origin.line)
                                       : fmt::format("{}:{}", origin.file, origin.line);
  }

  const PolicySource& source_;
  const crypto::AlgorithmTable& table_;
  const Resolver& resolver_;
  Report& report_;
  LoadMemory own_memory_;
  LoadMemory& memory_;
  uint32_t position_ = 0;
};

}  // namespace

std::vector<std::pair<std::string, std::vector<spd::Rule>>> PolicyText::adds() const {
  std::vector<std::pair<std::string, std::vector<spd::Rule>>> all;
  for (const PolicyEntry& entry : entries)
    for (const spd::RuleSpec& spec : entry.specs) all.emplace_back(entry.head, spd::expand(spec));
  return all;
}

PolicyText parse_policy(std::string_view text, const PolicySource& source, const crypto::AlgorithmTable& table,
                        const Resolver& resolver) {
  PolicyText result;
  if (text.size() > kMaxPolicyBytes) {
    result.problems.push_back(
        {.file = source.file,
         .text = fmt::format("the text has {} bytes; a policy may have {}", text.size(), kMaxPolicyBytes)});
    return result;
  }
  Report report(source.file, text);
  const auto tokens = tokenize(text, report);
  Loader loader(source, table, resolver, report);
  for (const Entry& entry : read_entries(tokens, report)) {
    if (report.full()) break;
    if (auto loaded = loader.load(entry, text); loaded && !loaded->specs.empty())
      result.entries.push_back(std::move(*loaded));
  }
  if (report.errors() > 0) result.entries.clear();
  result.problems = report.take();
  return result;
}

}  // namespace adit::config
