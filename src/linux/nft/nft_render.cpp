#include "linux/nft/nft_render.h"

#include <algorithm>
#include <set>

#include "linux/nft/nft_json.h"
#include "net/protocol.h"

namespace adit::platform {
namespace {

using net::Family;
using nft::Json;

constexpr int kFirst = -300, kLast = 300;  // before and behind other tables' chains and their NAT

std::string named(const char* name, Family family) {
  return fmt::format("{}{}", name, family == Family::v4 ? 4 : 6);
}
std::string reference(const char* name, Family family) {
  return "@" + named(name, family);
}

// The document under construction. Elements are many, and written as text at once: a thousand networks in a
// millisecond.
class Document {
 public:
  void table(const char* verb) { put({{verb, {{"table", {{"family", "inet"}, {"name", kTableName}}}}}}); }
  void set(const std::string& name, Json type, bool intervals, bool counting) {
    Json body = mine("name", name);
    body["type"] = std::move(type);
    if (intervals) body["flags"] = {"interval"};
    if (counting) body["stmt"] = Json::array({{{"counter", nullptr}}});
    put({{"add", {{"set", std::move(body)}}}});
  }
  // `list`: elements, each with a comma behind.
  void elements(const std::string& set, std::string_view list) {
    if (list.empty()) return;
    list.remove_suffix(1);
    lines_ += fmt::format(R"({{"add":{{"element":{{"family":"inet","table":"{}","name":"{}","elem":[{}]}}}}}},)",
                          kTableName, set, list);
    lines_ += '\n';
  }
  void chain(const char* name, const char* hook, int priority) {
    Json body = mine("name", name);
    body.update({{"type", "filter"}, {"hook", hook}, {"prio", priority}, {"policy", "accept"}});
    put({{"add", {{"chain", std::move(body)}}}});
  }
  void rule(const char* chain, Json expressions, const std::string& comment = {}) {
    Json body = mine("chain", chain);
    body["expr"] = std::move(expressions);
    if (!comment.empty()) body["comment"] = comment.substr(0, 120);  // the kernel keeps 128 bytes
    put({{"add", {{"rule", std::move(body)}}}});
  }
  std::string finish() && {
    lines_.erase(lines_.size() - 2, 1);  // the last comma
    return "{\"nftables\":[\n" + lines_ + "]}\n";
  }

 private:
  static Json mine(const char* key, const std::string& name) {
    return {{"family", "inet"}, {"table", kTableName}, {key, name}};
  }
  void put(const Json& command) {
    lines_ += command.dump(-1, ' ', false, Json::error_handler_t::replace);
    lines_ += ",\n";
  }
  std::string lines_;
};

// --- the host's own policy and model

void put_host_chain(Document& document, const std::vector<HostRule>& rules, bool outbound) {
  const char* chain = outbound ? "host_out" : "host_in";
  document.chain(chain, outbound ? "output" : "input", 0);
  document.rule(chain, {nft::match(nft::meta(outbound ? "oifname" : "iifname"), "lo"), nft::accept()});
  document.rule(chain, {nft::match(nft::meta("l4proto"), nft::numbers({50, 51})), nft::accept()});
  document.rule(chain, {nft::match(nft::payload("udp", outbound ? "sport" : "dport"),
                                   nft::numbers({net::kPortIke, net::kPortIkeNat})),
                        nft::accept()});
  document.rule(chain,
                {nft::match(nft::payload("icmpv6", "type"), nft::numbers({133, 134, 135, 136, 137})), nft::accept()});
  for (const auto& rule : rules)
    if (outbound ? rule.outbound : rule.inbound)
      document.rule(chain, host_rule_expressions(rule, outbound), rule.comment);
}

Json local_type(const char* address, const char* interface_key, bool inbound) {
  const Json fib{{"fib", {{"result", "type"}, {"flags", {address, interface_key}}}}};
  if (!inbound) return nft::match(fib, "local", "!=");
  return nft::match(fib, {{"set", {"local", "broadcast", "multicast", "anycast"}}}, "!=");
}

void put_strong_family(Document& document, Family family) {
  const char* protocol = family == Family::v4 ? "ipv4" : "ipv6";
  const Json source = nft::payload(nft::ip(family), "saddr"), destination = nft::payload(nft::ip(family), "daddr");
  document.rule(
      "strong_in",
      {nft::match(nft::concatenation(destination, nft::meta("iifname")), reference("own", family)), nft::accept()});
  document.rule("strong_in", {nft::match(nft::meta("nfproto"), protocol), local_type("daddr", "iif", true),
                              nft::counter(), nft::drop()});
  document.rule("strong_out", {nft::match(source, net::Address::any(family).str()), nft::accept()});
  document.rule("strong_out", {nft::match(nft::concatenation(source, nft::meta("oifname")), reference("own", family)),
                               nft::accept()});
  document.rule("strong_out", {nft::match(nft::meta("nfproto"), protocol), local_type("saddr", "oif", false),
                               nft::counter(), nft::drop()});
}

void put_strong_model(Document& document, const Firewall& firewall) {
  const auto strong = [&](Family family) {
    return (family == Family::v4 ? firewall.model_v4 : firewall.model_v6) == HostModel::strong;
  };
  if (!strong(Family::v4) && !strong(Family::v6)) return;
  document.chain("strong_in", "input", kFirst + 10);
  document.chain("strong_out", "output", kLast);
  document.rule("strong_in", {nft::match(nft::meta("iifname"), "lo"), nft::accept()});
  document.rule("strong_out", {nft::match(nft::meta("oifname"), "lo"), nft::accept()});
  for (const Family family : {Family::v4, Family::v6}) {
    if (!strong(family)) continue;
    document.set(named("own", family), {family == Family::v4 ? "ipv4_addr" : "ipv6_addr", "ifname"}, false, false);
    std::set<std::pair<std::string, std::string>> once;
    for (const auto& own : firewall.own_addresses)
      if (own.address.family() == family) once.emplace(own.address.str(), own.interface);
    std::string elements;
    for (const auto& [address, interface] : once)
      elements += fmt::format(R"({{"concat":["{}","{}"]}},)", address, interface);
    document.elements(named("own", family), elements);
    put_strong_family(document, family);
  }
}

}  // namespace

std::string render_table(const Firewall& firewall) {
  Document document;
  document.table("add");  // so that the next line never fails
  document.table("delete");
  document.table("add");
  if (!firewall.host_rules.empty()) {
    put_host_chain(document, firewall.host_rules, true);
    put_host_chain(document, firewall.host_rules, false);
  }
  put_strong_model(document, firewall);
  return std::move(document).finish();
}

std::string render_removal() {
  Document document;
  document.table("add");
  document.table("delete");
  return std::move(document).finish();
}

}  // namespace adit::platform
