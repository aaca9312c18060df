// One rule of the host head as nftables expressions.
#include "linux/nft/nft_json.h"
#include "linux/nft/nft_render.h"

namespace adit::platform {
namespace {

using nft::Json;

constexpr uint8_t kIcmp = 1, kIcmpV6 = 58;

Json number_or_range(uint8_t first, const std::optional<uint8_t>& last) {
  if (!last || *last == first) return first;
  return {{"range", {first, *last}}};
}

void put_ports(const HostRule& rule, bool outbound, Json& expressions) {
  if (!rule.local_port && !rule.remote_port) return;
  if (!rule.protocol) expressions.push_back(nft::match(nft::meta("l4proto"), nft::numbers({6, 17, 33, 132, 136})));
  const char* local = outbound ? "sport" : "dport";
  const char* remote = outbound ? "dport" : "sport";
  if (rule.local_port) expressions.push_back(nft::match(nft::payload("th", local), *rule.local_port));
  if (rule.remote_port) expressions.push_back(nft::match(nft::payload("th", remote), *rule.remote_port));
}

void put_icmp(const HostRule& rule, Json& expressions) {
  if (!rule.icmp_type && !rule.icmp_code) return;
  const bool v4 = rule.family == net::Family::v4;
  const char* protocol = v4 ? "icmp" : "icmpv6";
  if (!rule.protocol) expressions.push_back(nft::match(nft::meta("l4proto"), v4 ? kIcmp : kIcmpV6));
  if (rule.icmp_type)
    expressions.push_back(
        nft::match(nft::payload(protocol, "type"), number_or_range(*rule.icmp_type, rule.icmp_type_end)));
  if (rule.icmp_code)
    expressions.push_back(
        nft::match(nft::payload(protocol, "code"), number_or_range(*rule.icmp_code, rule.icmp_code_end)));
}

}  // namespace

Json host_rule_expressions(const HostRule& rule, bool outbound) {
  Json expressions = Json::array();
  expressions.push_back(nft::match(nft::meta("nfproto"), rule.family == net::Family::v4 ? "ipv4" : "ipv6"));
  const auto address = [&](const std::optional<net::Prefix>& prefix, const char* field) {
    if (prefix && prefix->length() > 0)
      expressions.push_back(nft::match(nft::payload(nft::ip(rule.family), field), nft::prefix(*prefix)));
  };
  address(rule.local, outbound ? "saddr" : "daddr");
  address(rule.remote, outbound ? "daddr" : "saddr");
  if (rule.protocol) expressions.push_back(nft::match(nft::meta("l4proto"), *rule.protocol));
  put_ports(rule, outbound, expressions);
  put_icmp(rule, expressions);
  expressions.push_back(nft::counter());
  expressions.push_back(rule.drop ? nft::drop() : nft::accept());
  return expressions;
}

}  // namespace adit::platform
