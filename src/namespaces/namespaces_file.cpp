#include "namespaces/namespaces_file.h"

#include <algorithm>
#include <limits>

#include <nlohmann/json.hpp>

namespace adit::engine {
namespace {

using nlohmann::json;

constexpr size_t kMaxName = 255, kMaxPattern = 31;

Result<uint32_t> number_in(const json& object, const char* key, uint32_t least) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned() ||
      found->get<uint64_t>() > std::numeric_limits<uint32_t>::max() || found->get<uint64_t>() < least)
    return fail(EINVAL, "\"{}\" must be a number of {} or more", key, least);
  return found->get<uint32_t>();
}

Result<> read_users(const json& object, NamespaceRecord& record) {
  const auto found = object.find("users");
  if (found == object.end() || !found->is_array()) return fail(EINVAL, "\"users\" must be an array of user ids");
  for (const json& user : *found) {
    if (!user.is_number_unsigned() || user.get<uint64_t>() >= std::numeric_limits<uid_t>::max())
      return fail(EINVAL, "\"users\" must be an array of user ids");
    record.users.insert(user.get<uid_t>());
  }
  return {};
}

Result<> read_tunnels(const json& object, NamespaceRecord& record) {
  const auto found = object.find("tunnels");
  if (found == object.end() || !found->is_array()) return fail(EINVAL, "\"tunnels\" must be an array of patterns");
  for (const json& pattern : *found) {
    if (!pattern.is_string()) return fail(EINVAL, "\"tunnels\" must be an array of patterns");
    TRY(check_tunnel_pattern(pattern.get_ref<const std::string&>()));
    record.tunnels.insert(pattern.get<std::string>());
  }
  return {};
}

// Files of before have none.
Result<> read_networks(const json& object, NamespaceRecord& record) {
  const auto found = object.find("networks");
  if (found == object.end()) return {};
  if (!found->is_array()) return fail(EINVAL, "\"networks\" must be an array of prefixes");
  for (const json& network : *found) {
    if (!network.is_string()) return fail(EINVAL, "\"networks\" must be an array of prefixes");
    TRY_ASSIGN(const net::Prefix prefix, net::Prefix::parse(network.get_ref<const std::string&>()));
    record.networks.insert(prefix.masked());
  }
  return {};
}

Result<NamespaceRecord> record_of(const json& object) {
  NamespaceRecord record;
  if (!object.is_object() || !object.contains("name") || !object["name"].is_string())
    return fail(EINVAL, "a namespace has no \"name\"");
  record.name = object["name"].get<std::string>();
  TRY(check_namespace_name(record.name));
  TRY(read_users(object, record));
  TRY(read_tunnels(object, record));
  TRY(read_networks(object, record));
  TRY_ASSIGN(record.rules, number_in(object, "rules", 1));
  TRY_ASSIGN(record.sas, number_in(object, "sas", 1));
  TRY_ASSIGN(record.lease_seconds, number_in(object, "lease", 0));
  const auto bypass = object.find("bypass");
  if (bypass == object.end() || !bypass->is_boolean()) return fail(EINVAL, "\"bypass\" must be true or false");
  record.bypass = bypass->get<bool>();
  return record;
}

}  // namespace

Result<> check_namespace_name(std::string_view name) {
  if (name.empty()) return fail(EINVAL, "a namespace needs a name; the nameless one is the operator's own");
  if (name.size() > kMaxName) return fail(EINVAL, "a namespace's name has at most {} bytes", kMaxName);
  const bool plain = std::ranges::all_of(
      name, [](unsigned char c) { return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != '\\'; });
  if (!plain) return fail(EINVAL, "a namespace's name has no blanks, quotes, commas or backslashes");
  return {};
}

Result<> check_tunnel_pattern(std::string_view pattern) {
  constexpr std::string_view kSigns = "*?[]!-_.";
  const bool plain = std::ranges::all_of(pattern, [&](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kSigns.contains(c);
  });
  if (!pattern.empty() && pattern.size() <= kMaxPattern && plain) return {};
  return fail(EINVAL, "'{}' is not a valid pattern of tunnel names, such as vpn* or site[0-9]", pattern);
}

Result<std::vector<NamespaceRecord>> parse_namespaces(std::string_view text) {
  const json all = json::parse(text, nullptr, false);
  if (all.is_discarded() || !all.is_array()) return fail(EINVAL, "it is not a JSON array of namespaces");
  std::vector<NamespaceRecord> records;
  for (const json& object : all) {
    auto record = record_of(object);
    if (!record) return fail(EINVAL, "namespace {}: {}", records.size() + 1, record.error().text);
    if (std::ranges::find(records, record->name, &NamespaceRecord::name) != records.end())
      return fail(EINVAL, "namespace {} is there twice", record->name);
    records.push_back(std::move(*record));
  }
  return records;
}

std::string format_namespaces(const std::vector<NamespaceRecord>& records) {
  json all = json::array();
  for (const auto& record : records) {
    json networks = json::array();
    for (const auto& network : record.networks) networks.push_back(network.str());
    all.push_back({{"name", record.name},
                   {"networks", std::move(networks)},
                   {"users", record.users},
                   {"tunnels", record.tunnels},
                   {"rules", record.rules},
                   {"sas", record.sas},
                   {"lease", record.lease_seconds},
                   {"bypass", record.bypass}});
  }
  return all.dump(2) + "\n";
}

}  // namespace adit::engine
