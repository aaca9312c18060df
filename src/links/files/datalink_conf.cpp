#include "links/files/datalink_conf.h"

#include <charconv>
#include <set>

namespace adit::engine {
namespace {

constexpr uint32_t kClassIptun = 0x80;
constexpr uint32_t kMediaIpv4 = 0x80000001, kMediaIpv6 = 0x80000002;
constexpr uint32_t kTypeIpv4 = 1, kTypeIpv6 = 2;
constexpr uint32_t kDeleting = 1, kDeletingKept = 2;

// name -> value; the types are known by name. Remembers where in the line it was asked about last.
class Attributes {
 public:
  bool add(std::string_view name, std::string_view value, size_t column) {
    return values_.emplace(name, std::pair(value, column)).second;
  }
  const std::string* get(std::string_view name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) return nullptr;
    column_ = found->second.second;
    return &found->second.first;
  }
  [[nodiscard]] size_t column() const { return column_; }

 private:
  std::map<std::string, std::pair<std::string, size_t>, std::less<>> values_;
  mutable size_t column_ = 1;
};

template <typename T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// `column`: where `text` begins in its line; after a failure, where it is wrong.
Result<Attributes> split(std::string_view text, size_t& column) {
  Attributes attributes;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    const size_t equals = item.find('='), comma = item.find(',');
    if (!item.empty()) {
      if (equals == item.npos || comma == item.npos || comma < equals || equals == 0)
        return fail(EINVAL, "'{}' is not name=type,value", item);
      if (!attributes.add(item.substr(0, equals), item.substr(comma + 1), column))
        return fail(EINVAL, "'{}' is there twice", item.substr(0, equals));
    }
    column += item.size() + 1;
  }
  return attributes;
}

std::optional<std::string> text_of(const Attributes& attributes, std::string_view name) {
  const std::string* found = attributes.get(name);
  return found == nullptr ? std::nullopt : std::optional(*found);
}

template <typename T>
Result<std::optional<T>> number_of(const Attributes& attributes, std::string_view name) {
  const auto text = text_of(attributes, name);
  if (!text) return std::nullopt;
  const auto value = number<T>(*text);
  if (!value) return fail(EINVAL, "{}: '{}' is not a number, or is out of range", name, *text);
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

// nullopt: a link of another class. `column`: where it is wrong.
Result<std::optional<TunnelRecord>> parse_line(std::string_view line, size_t& column) {
  const size_t tab = line.find('\t');
  const auto id = number<uint32_t>(line.substr(0, tab));
  if (tab == line.npos || !id || *id == 0) return fail(EINVAL, "a link id and a tab must come first");
  column = tab + 2;
  TRY_ASSIGN(const Attributes attributes, split(line.substr(tab + 1), column));
  const auto link_class = text_of(attributes, "class");
  if (link_class && number<uint32_t>(*link_class) != kClassIptun) return std::nullopt;
  auto record = record_of(*id, attributes);
  column = attributes.column();
  if (!record) return std::unexpected(record.error());
  return std::move(*record);
}

// What a line that cannot be read is about, as far as that can be seen.
std::string name_in(std::string_view line) {
  constexpr std::string_view kBefore = "name=string,";
  const size_t at = line.find(kBefore);
  if (at == line.npos) return {};
  const std::string_view rest = line.substr(at + kBefore.size());
  const std::string name(rest.substr(0, rest.find(';')));
  return tunnel::check_name(name) ? name : std::string();
}

uint32_t id_in(std::string_view line) {
  return number<uint32_t>(line.substr(0, line.find('\t'))).value_or(0);
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
  return "# Links of this host. Written by aditd: change it with dladm.\n" + format_datalink_lines(conf);
}

std::string format_datalink_lines(const DatalinkConf& conf) {
  std::string text;
  for (const auto& line : conf.others) text += line + "\n";
  for (const auto& line : conf.broken) text += line.text + "\n";
  for (const auto& record : conf.tunnels) text += format_line(record);
  return text;
}

DatalinkConf parse_datalink_conf(std::string_view text) {
  DatalinkConf conf;
  std::map<std::string, BrokenLine> first_of;  // by name: its line, should it come to be doubted
  std::set<tunnel::LinkId> ids;
  std::set<std::string> doubted;
  for (size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    size_t column = 1;
    auto record = parse_line(line, column);
    BrokenLine broken{number, column, std::string(line), name_in(line), id_in(line), record ? "" : record.error().text};
    if (!record) {
      conf.broken.push_back(std::move(broken));
    } else if (!*record) {
      conf.others.emplace_back(line);
    } else if (const auto [first, fresh] = first_of.emplace((*record)->name, broken); !fresh) {
      broken.why = fmt::format("{} is in line {} too", broken.name, first->second.line);
      if (doubted.insert(broken.name).second) {
        first->second.why = fmt::format("{} is in line {} too", broken.name, number);
        conf.broken.push_back(first->second);
        std::erase_if(conf.tunnels, [&](const TunnelRecord& there) { return there.name == broken.name; });
      }
      conf.broken.push_back(std::move(broken));
    } else if (!ids.insert((*record)->id).second) {
      broken.why = fmt::format("link id {} is there twice", static_cast<uint32_t>((*record)->id));
      first_of.erase(first);
      conf.broken.push_back(std::move(broken));
    } else {
      conf.tunnels.push_back(std::move(**record));
    }
  }
  return conf;
}

}  // namespace adit::engine
