#include "server/io_adit/namespaces_api.h"

#include <limits>

namespace adit::protocol {
namespace {

using engine::Namespaces;
using nlohmann::json;

constexpr const char* kDescription =
    R"(# Namespaces of policy and keys: to whom they are delegated, within which bounds, and whether their owner is there.
interface io.adit.namespaces

# rules, sas: how many there are; rule_quota, sa_quota: how many there may be (0: not registered, so no quota of its own).
# state: empty, owned, ownerless or leased; lease: seconds that records outlive their owner, 0: they stay; lease_left: of a leased one.
type Namespace (name: string, registered: bool, state: string, rules: int, sas: int, rule_quota: int, sa_quota: int, users: []int,
  tunnels: []string, networks: []string, bypass: bool, lease: int, lease_left: int)

method List() -> (namespaces: []Namespace)
# users: user ids; tunnels: patterns; networks: its rules may close these for the whole host; bypass: its users may let clear text pass. What is not given keeps its default.
method Create(name: string, users: ?[]int, tunnels: ?[]string, networks: ?[]string, rule_quota: ?int, sa_quota: ?int, lease: ?int, bypass: ?bool) -> (notes: []string)
# Adds users and tunnels; sets the rest.
method Delegate(name: string, users: ?[]int, tunnels: ?[]string, networks: ?[]string, rule_quota: ?int, sa_quota: ?int, lease: ?int, bypass: ?bool) -> (notes: []string)
# Takes back what is named; nothing named: every user and tunnel.
method Revoke(name: string, users: ?[]int, tunnels: ?[]string, networks: ?[]string, bypass: ?bool) -> (notes: []string)
# records: its rules and SAs too; that closes, and the notes say what.
method Delete(name: string, records: ?bool) -> (notes: []string)
error io.adit.Failed (code: int, text: string)
)";

constexpr uint64_t kLastUser = std::numeric_limits<uid_t>::max() - 1;

Result<std::optional<uint32_t>> number(const json& in, const char* name) {
  TRY_ASSIGN(const auto value, number_parameter(in, name, std::numeric_limits<uint32_t>::max()));
  return value ? std::optional(static_cast<uint32_t>(*value)) : std::nullopt;
}

Result<engine::NamespaceChange> change_of(const json& in) {
  engine::NamespaceChange change;
  TRY_ASSIGN(const auto users, numbers_parameter(in, "users", kLastUser));
  for (const uint64_t user : users) change.users.push_back(static_cast<uid_t>(user));
  TRY_ASSIGN(change.tunnels, texts_parameter(in, "tunnels"));
  TRY_ASSIGN(const auto networks, texts_parameter(in, "networks"));
  for (const std::string& text : networks) {
    TRY_ASSIGN(const net::Prefix network, net::Prefix::parse(text));
    change.networks.push_back(network);
  }
  TRY_ASSIGN(change.rules, number(in, "rule_quota"));
  TRY_ASSIGN(change.sas, number(in, "sa_quota"));
  TRY_ASSIGN(change.lease_seconds, number(in, "lease"));
  change.bypass = flag_parameter(in, "bypass");
  return change;
}

json row_of(const engine::NamespaceInfo& info) {
  const engine::NamespaceRecord& record = info.record;
  json networks = json::array();
  for (const net::Prefix& network : record.networks) networks.push_back(network.str());
  return {{"name", record.name},
          {"registered", info.registered},
          {"state", engine::name_of(info.state)},
          {"rules", info.rules},
          {"sas", info.sas},
          {"rule_quota", record.rules},
          {"sa_quota", record.sas},
          {"users", record.users},
          {"tunnels", record.tunnels},
          {"networks", std::move(networks)},
          {"bypass", record.bypass},
          {"lease", record.lease_seconds},
          {"lease_left", info.lease_left}};
}

}  // namespace

void add_namespace_methods(VarlinkMethods& methods, Namespaces& namespaces) {
  methods.describe("io.adit.namespaces", kDescription);
  methods.add("io.adit.namespaces.List", Access::read, [&namespaces](const json&, const Caller&) -> Result<json> {
    json rows = json::array();
    for (const engine::NamespaceInfo& info : namespaces.list()) rows.push_back(row_of(info));
    return json{{"namespaces", rows}};
  });
  const auto add = [&](const char* method, auto act) {
    methods.add(std::string("io.adit.namespaces.") + method, Access::write,
                [&namespaces, act](const json& in, const Caller&) -> Result<json> {
                  TRY_ASSIGN(const std::string name, text_parameter(in, "name"));
                  TRY_ASSIGN(const engine::NamespaceChange change, change_of(in));
                  TRY_ASSIGN(const engine::Outcome outcome, act(namespaces, name, change, in));
                  return json{{"notes", outcome.notes}};
                });
  };
  using Change = engine::NamespaceChange;
  add("Create", [](Namespaces& all, const std::string& name, const Change& change, const json&) {
    return all.create(name, change);
  });
  add("Delegate", [](Namespaces& all, const std::string& name, const Change& change, const json&) {
    return all.delegate(name, change);
  });
  add("Revoke", [](Namespaces& all, const std::string& name, const Change& change, const json&) {
    return all.revoke(name, change);
  });
  add("Delete", [](Namespaces& all, const std::string& name, const Change&, const json& in) {
    return all.remove(name, flag_parameter(in, "records"));
  });
}

}  // namespace adit::protocol
