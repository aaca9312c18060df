#include "linux/nft/ruleset_walk.h"

#include <array>

#include "base/result.h"
#include "linux/nft/ruleset_match.h"

namespace adit::platform {
namespace {

using nlohmann::json;

constexpr int kDeepest = 16;  // the kernel's own bound of jumps

std::string text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string_view name_of(Hook hook) {
  constexpr std::array<std::string_view, 7> kNames{"ingress", "prerouting",  "input", "forward",
                                                   "output",  "postrouting", "egress"};
  return kNames[static_cast<size_t>(hook)];
}

// What becomes of a packet in a chain.
struct Outcome {
  enum class End : uint8_t { falls_through, accepted, dropped } end = End::falls_through;
  bool escapes = false;               // it may have been accepted, or have left the chain, before that
  std::string where;                  // dropped: by what
  std::vector<std::string> may_drop;  // rules whose match cannot be told
};

class Walk {
 public:
  Walk(const json& document, const WalkedPacket& packet) : document_(document), matcher_(document, packet) {}

  // `chain` is a base chain at `hook`.
  Outcome base_chain(const json& chain, Hook hook) {
    family_ = text_at(chain, "family");
    table_ = text_at(chain, "table");
    matcher_.at(hook, family_, table_);
    const std::string name = text_at(chain, "name");
    Outcome outcome = walk(name, 0);
    if (outcome.end == Outcome::End::falls_through && text_at(chain, "policy") == "drop") {
      outcome.end = Outcome::End::dropped;
      outcome.where = fmt::format("table {} {}, chain {}, its policy", family_, table_, name);
    }
    return outcome;
  }

 private:
  Outcome walk(const std::string& chain, int depth) {
    Outcome outcome;
    if (depth > kDeepest) {
      outcome.may_drop.push_back(fmt::format("table {} {}, chain {}", family_, table_, chain));
      return outcome;
    }
    for (const json& entry : document_) {
      const auto rule = entry.is_object() ? entry.find("rule") : entry.end();
      if (!entry.is_object() || rule == entry.end() || text_at(*rule, "chain") != chain ||
          text_at(*rule, "table") != table_ || text_at(*rule, "family") != family_)
        continue;
      if (!goes_on(*rule, depth, outcome)) break;
    }
    return outcome;
  }

  std::string place(const json& rule) const {
    const std::string comment = text_at(rule, "comment");
    return fmt::format("table {} {}, chain {}, rule {}{}", family_, table_, text_at(rule, "chain"),
                       rule.value("handle", 0), comment.empty() ? "" : fmt::format(" ({})", comment));
  }

  // One rule. False: the chain ends here.
  bool goes_on(const json& rule, int depth, Outcome& outcome) {
    const auto expressions = rule.find("expr");
    if (expressions == rule.end() || !expressions->is_array()) return true;
    Truth holds = Truth::yes;
    for (const json& expression : *expressions) {
      if (!expression.is_object() || expression.empty()) continue;
      const std::string kind = expression.begin().key();
      const json& content = expression.begin().value();
      if (kind == "match")
        holds = both(holds, matcher_.match(content));
      else if (kind == "limit" || kind == "xt" || kind == "quota" || kind == "ct count" || kind == "secmark")
        holds = both(holds, Truth::maybe);
      else if (kind == "vmap")
        return by_map(rule, content, holds, depth, outcome);
      else if (!verdict(rule, kind, content, holds, depth, outcome))
        return false;
      if (holds == Truth::no) return true;
    }
    return true;
  }

  bool by_map(const json& rule, const json& map, Truth holds, int depth, Outcome& outcome) {
    const json* elements = map.contains("data") ? matcher_.elements_of(map["data"], "map") : nullptr;
    if (elements == nullptr || !map.contains("key")) {
      outcome.may_drop.push_back(place(rule));
      return true;
    }
    for (const json& element : *elements) {
      if (!element.is_array() || element.size() != 2 || !element[1].is_object() || element[1].empty()) continue;
      const Truth chosen = both(holds, matcher_.equals(map["key"], element[0]));
      if (chosen == Truth::no) continue;
      if (!verdict(rule, element[1].begin().key(), element[1].begin().value(), chosen, depth, outcome)) return false;
      if (chosen == Truth::yes) return true;
    }
    return true;
  }

  // False: the chain ends here.
  bool verdict(const json& rule, const std::string& kind, const json& content, Truth holds, int depth,
               Outcome& outcome) {
    if (holds == Truth::no) return true;
    const bool sure = holds == Truth::yes;
    if (kind == "drop" || kind == "reject") {
      if (!sure) {
        outcome.may_drop.push_back(place(rule));
        return true;
      }
      outcome.end = Outcome::End::dropped;
      outcome.where = place(rule);
      return false;
    }
    if (kind == "queue" || kind == "fwd") {  // a program decides, or another device
      outcome.may_drop.push_back(place(rule));
      return !sure;
    }
    if (kind == "accept" || kind == "return") {
      if (!sure) {
        outcome.escapes = true;
        return true;
      }
      if (kind == "accept") outcome.end = Outcome::End::accepted;
      return false;
    }
    if (kind == "jump" || kind == "goto") return into(text_at(content, "target"), kind == "goto", sure, depth, outcome);
    return true;
  }

  bool into(const std::string& target, bool for_good, bool sure, int depth, Outcome& outcome) {
    const Outcome inside = walk(target, depth + 1);
    outcome.may_drop.insert(outcome.may_drop.end(), inside.may_drop.begin(), inside.may_drop.end());
    outcome.escapes = outcome.escapes || inside.escapes;
    if (sure && inside.end != Outcome::End::falls_through) {
      outcome.end = inside.end;
      outcome.where = inside.where;
      return false;
    }
    if (inside.end == Outcome::End::dropped) outcome.may_drop.push_back(inside.where);
    if (inside.end == Outcome::End::accepted) outcome.escapes = true;
    return !(sure && for_good);
  }

  const json& document_;
  RuleMatcher matcher_;
  std::string family_, table_;
};

bool concerns(const json& chain, Hook hook, const WalkedPacket& packet) {
  if (text_at(chain, "hook") != name_of(hook) || text_at(chain, "type") == "nat") return false;
  const std::string family = text_at(chain, "family");
  if (hook != Hook::ingress && hook != Hook::egress)
    return family == "inet" || family == (packet.source.is_v4() ? "ip" : "ip6");
  if (family != "netdev" && family != "inet") return false;
  const std::string& device = hook == Hook::ingress ? packet.in : packet.out;
  const auto devices = chain.find("dev");
  if (devices == chain.end() || device.empty()) return true;
  if (devices->is_string()) return *devices == device;
  return !devices->is_array() || std::find(devices->begin(), devices->end(), json(device)) != devices->end();
}

}  // namespace

std::vector<RuleFinding> walk_ruleset(const std::string& ruleset_json, const std::vector<Hook>& hooks,
                                      const WalkedPacket& packet, SkipTable skip) {
  constexpr size_t kMostFindings = 3;
  const json document = json::parse(ruleset_json, nullptr, false);
  if (!document.is_object() || !document.contains("nftables") || !document["nftables"].is_array())
    return {{false, "the firewall's rules, which cannot be read"}};
  const json& entries = document["nftables"];
  Walk walk(entries, packet);
  std::vector<RuleFinding> possible;
  for (const Hook hook : hooks)
    for (const json& entry : entries) {
      const auto chain = entry.is_object() ? entry.find("chain") : entry.end();
      if (!entry.is_object() || chain == entry.end() || !concerns(*chain, hook, packet)) continue;
      if (skip(text_at(*chain, "family"), text_at(*chain, "table"))) continue;
      const Outcome outcome = walk.base_chain(*chain, hook);
      if (outcome.end == Outcome::End::dropped && !outcome.escapes) return {{true, outcome.where}};
      for (const std::string& where : outcome.may_drop) possible.push_back({false, where});
      if (outcome.end == Outcome::End::dropped) possible.push_back({false, outcome.where});
    }
  if (possible.size() > kMostFindings) possible.resize(kMostFindings);
  return possible;
}

}  // namespace adit::platform
