#include "host/protocol_properties.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <span>

#include "host/files/ipadm_conf.h"

namespace adit::engine {
namespace {

using platform::HostModel;

enum class Kind : uint8_t { on_off, number, host_model };

struct Property {
  std::string_view protocol, name;
  Kind kind;
  std::string_view fallback, possible;
  uint32_t low = 0, high = 0;  // of a number
  std::string_view sysctl;     // {} is the interface; empty: not a kernel setting
};

constexpr Property kProperties[] = {
    {"ipv4", "forwarding", Kind::on_off, "off", "on,off", 0, 0, "net/ipv4/ip_forward"},
    {"ipv4", "hostmodel", Kind::host_model, "weak", "strong,weak"},
    {"ipv4", "ttl", Kind::number, "64", "1-255", 1, 255, "net/ipv4/ip_default_ttl"},
    {"ipv6", "forwarding", Kind::on_off, "off", "on,off", 0, 0, "net/ipv6/conf/all/forwarding"},
    {"ipv6", "hoplimit", Kind::number, "64", "1-255", 1, 255, "net/ipv6/conf/all/hop_limit"},
    {"ipv6", "hostmodel", Kind::host_model, "weak", "strong,weak"},
};

constexpr Property kInterfaceProperties[] = {
    {"ipv4", "forwarding", Kind::on_off, "off", "on,off", 0, 0, "net/ipv4/conf/{}/forwarding"},
    {"ipv4", "mtu", Kind::number, "1500", "68-65535", 68, 65535, ""},
    {"ipv6", "forwarding", Kind::on_off, "off", "on,off", 0, 0, "net/ipv6/conf/{}/forwarding"},
    {"ipv6", "mtu", Kind::number, "1500", "1280-65535", 1280, 65535, "net/ipv6/conf/{}/mtu"},
};

std::span<const Property> properties_of(bool interface) {
  return interface ? std::span<const Property>(kInterfaceProperties) : std::span<const Property>(kProperties);
}

std::optional<HostModel> host_model(std::string_view value) {
  if (value == "weak") return HostModel::weak;
  if (value == "strong") return HostModel::strong;
  return std::nullopt;
}

std::string_view name_of(HostModel model) {
  return model == HostModel::strong ? "strong" : "weak";
}

// EINVAL in ipadm's words.
Result<const Property*> property_of(const std::string& protocol, const std::string& name, bool interface) {
  if (protocol != "ipv4" && protocol != "ipv6")
    return fail(EINVAL, "invalid protocol '{}' specified; ipv4 and ipv6 are there", protocol);
  for (const Property& property : properties_of(interface))
    if (property.protocol == protocol && property.name == name) return &property;
  return fail(EINVAL, "{}: Unknown property; {} has no such one here", name, protocol);
}

Result<> allowed(const Property& property, const std::string& value) {
  const auto outside = [&] {
    return fail(EINVAL, "{}: Value is outside the allowed range; it is one of {}", property.name, property.possible);
  };
  if (property.kind == Kind::on_off) return value == "on" || value == "off" ? Result<>{} : outside();
  if (property.kind == Kind::host_model && value == "src-priority")
    return fail(ENOTSUP,
                "hostmodel: Operation not supported; a route chosen by its source would lead round the unreachable "
                "routes that keep protected networks closed: use weak or strong");
  if (property.kind == Kind::host_model) return host_model(value) ? Result<>{} : outside();
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc{} || end != value.data() + value.size() || number < property.low || number > property.high)
    return outside();
  return {};
}

std::string path_of(const Property& property, const std::string& interface) {
  std::string path(property.sysctl);
  if (const size_t hole = path.find("{}"); hole != path.npos) path.replace(hole, 2, interface);
  return path;
}

}  // namespace

ProtocolProperties::ProtocolProperties(const Context& context, FirewallDoor& firewall)
    : context_(context), firewall_(firewall) {}

void ProtocolProperties::contribute(platform::Firewall& firewall) const {
  firewall.model_v4 = model_v4_;
  firewall.model_v6 = model_v6_;
}

void ProtocolProperties::restore() {
  const auto conf = IpadmConf::load(context_.in_root(kIpadmConfPath));
  if (!conf) {
    context_.events.add(Severity::warning, EventKind::property_failed, "", conf.error().text);
    return;
  }
  for (const IpadmConf::Line& line : conf->lines()) {
    const auto protocol = line.get("_protocol");
    if (!protocol) continue;
    for (const auto& [name, value] : line.pairs)
      if (!name.starts_with('_')) persistent_[{line.get("_ifname").value_or(""), *protocol, name}] = value;
  }
  for (const auto& [key, value] : persistent_) {
    if (!key.interface.empty() && !exists(key.interface)) continue;
    const auto property = property_of(key.protocol, key.property, !key.interface.empty());
    Result<> done = property ? allowed(**property, value) : Result<>(std::unexpected(property.error()));
    if (done) done = apply(key, value);
    if (!done)
      context_.events.add(Severity::warning, EventKind::property_failed, key.protocol,
                          fmt::format("{}: {}", kIpadmConfPath, done.error().text));
  }
}

void ProtocolProperties::reassert() {
  for (const auto& [key, value] : persistent_) {
    if (key.interface.empty() || !exists(key.interface)) continue;
    const auto now = current(key);
    if (now && *now != value) (void)apply(key, value);
  }
}

bool ProtocolProperties::exists(const std::string& interface) const {
  return context_.platform.interface(interface).has_value();
}

Result<> ProtocolProperties::apply(const Key& key, const std::string& value) {
  TRY_ASSIGN(const Property* property, property_of(key.protocol, key.property, !key.interface.empty()));
  if (property->kind == Kind::host_model) {
    HostModel& model = key.protocol == "ipv4" ? model_v4_ : model_v6_;
    const HostModel before = model;
    model = *host_model(value);
    if (auto applied = firewall_.reapply(); !applied) {
      model = before;
      return applied;
    }
    return {};
  }
  if (property->sysctl.empty())
    return context_.platform.set_mtu(key.interface, static_cast<uint32_t>(std::stoul(value)));
  return context_.platform.set_sysctl(path_of(*property, key.interface),
                                      property->kind == Kind::on_off ? (value == "on" ? "1" : "0") : value);
}

Result<std::string> ProtocolProperties::current(const Key& key) const {
  TRY_ASSIGN(const Property* property, property_of(key.protocol, key.property, !key.interface.empty()));
  if (property->kind == Kind::host_model) return std::string(name_of(key.protocol == "ipv4" ? model_v4_ : model_v6_));
  if (property->sysctl.empty()) {
    TRY_ASSIGN(const auto all, context_.platform.interfaces());
    const auto found = std::ranges::find(all, key.interface, &platform::InterfaceInfo::name);
    if (found == all.end()) return fail(ENOENT, "Interface does not exist; there is no {}", key.interface);
    return std::to_string(found->mtu);
  }
  TRY_ASSIGN(std::string value, context_.platform.sysctl(path_of(*property, key.interface)));
  while (!value.empty() && (value.back() == '\n' || value.back() == ' ')) value.pop_back();
  if (property->kind == Kind::on_off) return std::string(value == "0" ? "off" : "on");
  return value;
}

Result<> ProtocolProperties::save(const std::map<Key, std::string>& persistent) const {
  const std::string path = context_.in_root(kIpadmConfPath);
  TRY_ASSIGN(IpadmConf conf, IpadmConf::load(path));
  conf.remove_if([](const IpadmConf::Line& line) { return line.has("_protocol"); });
  for (const auto& [key, value] : persistent) {
    std::vector<IpadmConf::Pair> pairs;
    if (!key.interface.empty()) pairs.emplace_back("_ifname", key.interface);
    pairs.emplace_back("_protocol", key.protocol);
    pairs.emplace_back(key.property, value);
    conf.add(std::move(pairs));
  }
  return conf.save(path, Lasting::disk);
}

// File first (it may be refused for want of room), then the kernel, which is put back into the file when it refuses.
Result<> ProtocolProperties::change(const Key& key, const std::string& value, bool temporary, bool to_default) {
  std::map<Key, std::string> next = persistent_;
  if (to_default)
    next.erase(key);
  else
    next[key] = value;
  const bool write = !temporary && next != persistent_;
  if (write) TRY(save(next));
  if (auto applied = apply(key, value); !applied) {
    if (write) (void)save(persistent_);
    return fail(applied.error().code, "{}: {}", key.property, applied.error().text);
  }
  if (write) persistent_ = std::move(next);
  context_.events.add(Severity::info, EventKind::property_changed, key.interface.empty() ? key.protocol : key.interface,
                      fmt::format("{} {} is {}", key.protocol, key.property, value));
  return {};
}

Result<> ProtocolProperties::set(const std::string& protocol, const std::string& name, const std::string& value,
                                 bool temporary) {
  TRY_ASSIGN(const Property* property, property_of(protocol, name, false));
  TRY(allowed(*property, value));
  return change({"", protocol, name}, value, temporary, false);
}

Result<> ProtocolProperties::reset(const std::string& protocol, const std::string& name, bool temporary) {
  TRY_ASSIGN(const Property* property, property_of(protocol, name, false));
  return change({"", protocol, name}, std::string(property->fallback), temporary, true);
}

Result<> ProtocolProperties::set_interface(const std::string& interface, const std::string& protocol,
                                           const std::string& name, const std::string& value, bool temporary) {
  TRY_ASSIGN(const Property* property, property_of(protocol, name, true));
  TRY(allowed(*property, value));
  TRY_ASSIGN(const auto all, context_.platform.interfaces());
  const auto found = std::ranges::find(all, interface, &platform::InterfaceInfo::name);
  if (found == all.end()) return fail(ENOENT, "{}: Interface does not exist; there is no {}", name, interface);
  if (name == "mtu" && found->is_tun)
    return fail(ENOTSUP,
                "{}: Operation not supported; the MTU of a tunnel is a link property: "
                "'dladm set-linkprop -p mtu={} {}'",
                name, value, interface);
  return change({interface, protocol, name}, value, temporary, false);
}

Result<> ProtocolProperties::reset_interface(const std::string& interface, const std::string& protocol,
                                             const std::string& name, bool temporary) {
  TRY_ASSIGN(const Property* property, property_of(protocol, name, true));
  if (!exists(interface)) return fail(ENOENT, "{}: Interface does not exist; there is no {}", name, interface);
  return change({interface, protocol, name}, std::string(property->fallback), temporary, true);
}

Result<std::vector<ProtocolProperty>> ProtocolProperties::list(const std::string& protocol,
                                                               const std::string& name) const {
  std::vector<ProtocolProperty> rows;
  for (const Property& property : kProperties) {
    if ((!protocol.empty() && property.protocol != protocol) || (!name.empty() && property.name != name)) continue;
    const Key key{"", std::string(property.protocol), std::string(property.name)};
    const auto now = current(key);
    const auto kept = persistent_.find(key);
    rows.push_back({key.protocol, key.property, "rw", now.value_or("?"), kept == persistent_.end() ? "" : kept->second,
                    std::string(property.fallback), std::string(property.possible)});
  }
  if (!rows.empty()) return rows;
  if (protocol != "ipv4" && protocol != "ipv6")
    return fail(EINVAL, "invalid protocol '{}' specified; ipv4 and ipv6 are there", protocol);
  return fail(EINVAL, "{}: Unknown property; {} has no such one here", name, protocol);
}

Result<std::vector<InterfaceProperty>> ProtocolProperties::list_interface(const std::string& interface,
                                                                          const std::string& name) const {
  TRY_ASSIGN(const auto all, context_.platform.interfaces());
  std::vector<InterfaceProperty> rows;
  for (const auto& info : all) {
    if (!interface.empty() && info.name != interface) continue;
    for (const Property& property : kInterfaceProperties) {
      if (!name.empty() && property.name != name) continue;
      const Key key{info.name, std::string(property.protocol), std::string(property.name)};
      const auto now = current(key);
      const auto kept = persistent_.find(key);
      rows.push_back({info.name, key.property, key.protocol, "rw", now.value_or("?"),
                      kept == persistent_.end() ? "" : kept->second, std::string(property.fallback),
                      std::string(property.possible)});
    }
  }
  if (!rows.empty()) return rows;
  if (!name.empty() && name != "mtu" && name != "forwarding")
    return fail(EINVAL, "{}: Unknown property; mtu and forwarding are there", name);
  return fail(ENOENT, "Could not get interface(s): Interface does not exist; there is no {}", interface);
}

}  // namespace adit::engine
