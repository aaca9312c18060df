#include "engine/datalink_conf.h"

#include <charconv>
#include <set>

namespace adit::engine {
namespace {

constexpr uint32_t kClassIptun = 0x80;
constexpr uint32_t kMediaIpv4 = 0x80000001, kMediaIpv6 = 0x80000002;
constexpr uint32_t kTypeIpv4 = 1, kTypeIpv6 = 2;
constexpr uint32_t kDeleting = 1, kDeletingKept = 2;

using Attributes = std::map<std::string, std::string, std::less<>>;  // name -> value; the types are known by name

template <typename T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

Result<Attributes> split(std::string_view text) {
  Attributes attributes;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    if (item.empty()) continue;
    const size_t equals = item.find('='), comma = item.find(',');
    if (equals == item.npos || comma == item.npos || comma < equals || equals == 0)
      return fail(EINVAL, "'{}' is not name=type,value", item);
    if (!attributes.emplace(item.substr(0, equals), item.substr(comma + 1)).second)
      return fail(EINVAL, "'{}' is there twice", item.substr(0, equals));
  }
  return attributes;
}

std::optional<std::string> text_of(const Attributes& attributes, std::string_view name) {
  const auto found = attributes.find(name);
  if (found == attributes.end()) return std::nullopt;
  return found->second;
}

template <typename T>
Result<std::optional<T>> number_of(const Attributes& attributes, std::string_view name) {
  const auto text = text_of(attributes, name);
  if (!text) return std::nullopt;
  const auto value = number<T>(*text);
  if (!value) return fail(EINVAL, "{}: '{}' is no number or out of range", name, *text);
  return value;
}

// A line holds `name=type,value;`: what would end a value, or the line, is written %3B.
std::string escaped(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == ';' || c == '%' || static_cast<unsigned char>(c) < ' ')
      line += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    else
      line += c;
  }
  return line;
}

Result<std::optional<std::string>> unescaped(const Attributes& attributes, std::string_view name) {
  const auto line = text_of(attributes, name);
  if (!line) return std::nullopt;
  std::string text;
  for (size_t at = 0; at < line->size(); ++at) {
    if ((*line)[at] != '%') {
      text += (*line)[at];
      continue;
    }
    unsigned byte = 0;
    const char* digits = line->data() + at + 1;
    const bool whole = at + 2 < line->size();
    if (!whole || std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2)
      return fail(EINVAL, "{}: '%' and two hexadecimal digits are expected", name);
    text += static_cast<char>(byte);
    at += 2;
  }
  return text;
}

Result<std::optional<net::Address>> address_of(const Attributes& attributes, std::string_view name) {
  const auto text = text_of(attributes, name);
  if (!text) return std::nullopt;
  TRY_ASSIGN(const net::Address address, net::Address::parse(*text));
  return address;
}

Result<TunnelRecord> record_of(uint32_t id, const Attributes& attributes) {
  TunnelRecord record;
  record.id = tunnel::LinkId{id};
  record.name = text_of(attributes, "name").value_or("");
  TRY(tunnel::check_name(record.name));
  TRY_ASSIGN(const auto type, number_of<uint32_t>(attributes, "type"));
  if (type != kTypeIpv4 && type != kTypeIpv6)
    return fail(EINVAL, "type must be {} (ipv4) or {} (ipv6)", kTypeIpv4, kTypeIpv6);
  record.type = type == kTypeIpv4 ? tunnel::Type::ipv4 : tunnel::Type::ipv6;
  record.local = text_of(attributes, "laddr");
  record.remote = text_of(attributes, "raddr");
  TRY_ASSIGN(record.local_seen, address_of(attributes, "laddr_seen"));
  TRY_ASSIGN(record.remote_seen, address_of(attributes, "raddr_seen"));
  TRY_ASSIGN(const auto secured, number_of<uint32_t>(attributes, "secured"));
  TRY_ASSIGN(const auto temporary, number_of<uint32_t>(attributes, "temporary"));
  record.secured = secured.value_or(0) != 0;
  record.temporary = temporary.value_or(0) != 0;
  TRY_ASSIGN(const auto policy, number_of<uint32_t>(attributes, "policy"));
  record.had_policy = policy.value_or(0) != 0;
  TRY_ASSIGN(record.properties.hoplimit, number_of<uint8_t>(attributes, "hoplimit"));
  TRY_ASSIGN(record.properties.encaplimit, number_of<uint8_t>(attributes, "encaplimit"));
  TRY_ASSIGN(record.properties.mtu, number_of<uint32_t>(attributes, "mtu"));
  TRY_ASSIGN(const auto clamp, number_of<uint32_t>(attributes, "mssclamp"));
  if (clamp) record.properties.mssclamp = *clamp != 0;
  TRY_ASSIGN(record.properties.ipsec, unescaped(attributes, "ipsec"));
  TRY_ASSIGN(const auto serial, number_of<uint32_t>(attributes, "serial"));
  record.serial = serial.value_or(0);
  TRY_ASSIGN(const auto deleting, number_of<uint32_t>(attributes, "deleting"));
  record.deleting = deleting.value_or(0) != 0;
  record.keep_closed = deleting.value_or(0) == kDeletingKept;
  return record;
}

Result<> parse_line(std::string_view line, DatalinkConf& conf) {
  const size_t tab = line.find('\t');
  const auto id = number<uint32_t>(line.substr(0, tab));
  if (tab == line.npos || !id || *id == 0) return fail(EINVAL, "a link id and a tab must come first");
  TRY_ASSIGN(const Attributes attributes, split(line.substr(tab + 1)));
  const auto link_class = text_of(attributes, "class");
  if (link_class && number<uint32_t>(*link_class) != kClassIptun) {
    conf.others.emplace_back(line);
    return {};
  }
  TRY_ASSIGN(auto record, record_of(*id, attributes));
  conf.tunnels.push_back(std::move(record));
  return {};
}

std::string format_line(const TunnelRecord& record) {
  const bool v4 = record.type == tunnel::Type::ipv4;
  std::string line =
      fmt::format("{}\tname=string,{};class=int,{};media=int,{};type=int,{};", static_cast<uint32_t>(record.id),
                  record.name, kClassIptun, v4 ? kMediaIpv4 : kMediaIpv6, v4 ? kTypeIpv4 : kTypeIpv6);
  const auto add_text = [&](const char* name, const std::string& value) {
    line += fmt::format("{}=string,{};", name, value);
  };
  const auto add_number = [&](const char* name, uint32_t value) { line += fmt::format("{}=int,{};", name, value); };
  if (record.local) add_text("laddr", *record.local);
  if (record.remote) add_text("raddr", *record.remote);
  if (record.local_seen) add_text("laddr_seen", record.local_seen->str());
  if (record.remote_seen) add_text("raddr_seen", record.remote_seen->str());
  if (record.secured) add_number("secured", 1);
  if (record.temporary) add_number("temporary", 1);
  if (record.had_policy) add_number("policy", 1);
  const LinkProperties& properties = record.properties;
  if (properties.hoplimit) add_number("hoplimit", *properties.hoplimit);
  if (properties.encaplimit) add_number("encaplimit", *properties.encaplimit);
  if (properties.mtu) add_number("mtu", *properties.mtu);
  if (properties.mssclamp) add_number("mssclamp", *properties.mssclamp ? 1 : 0);
  if (properties.ipsec) add_text("ipsec", escaped(*properties.ipsec));
  if (record.serial != 0) add_number("serial", record.serial);
  if (record.deleting) add_number("deleting", record.keep_closed ? kDeletingKept : kDeleting);
  return line + "\n";
}

}  // namespace

std::string format_datalink_conf(const DatalinkConf& conf) {
  std::string text = "# Links of this host. Written by aditd: change it with dladm.\n";
  for (const auto& line : conf.others) text += line + "\n";
  for (const auto& record : conf.tunnels) text += format_line(record);
  return text;
}

Result<DatalinkConf> parse_datalink_conf(std::string_view text) {
  DatalinkConf conf;
  std::set<std::string> names;
  std::set<tunnel::LinkId> ids;
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    const size_t before = conf.tunnels.size();
    if (auto parsed = parse_line(line, conf); !parsed) return fail(EINVAL, "line {}: {}", number, parsed.error().text);
    if (conf.tunnels.size() == before) continue;
    const TunnelRecord& record = conf.tunnels.back();
    if (!names.insert(record.name).second) return fail(EINVAL, "line {}: {} is there twice", number, record.name);
    if (!ids.insert(record.id).second)
      return fail(EINVAL, "line {}: link id {} is there twice", number, static_cast<uint32_t>(record.id));
  }
  return conf;
}

}  // namespace adit::engine
