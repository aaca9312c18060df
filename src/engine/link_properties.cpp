// hoplimit, encaplimit, mtu, mssclamp (links-and-addresses.md §1.5).
#include <algorithm>
#include <array>
#include <charconv>

#include "engine/links.h"
#include "engine/store.h"

namespace adit::engine {
namespace {

uint32_t most_mtu(tunnel::Type type) {
  return type == tunnel::Type::ipv4 ? 65515 : 65487;
}

Result<uint32_t> number_between(const std::string& property, const std::string& text, uint32_t least, uint32_t most) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most)
    return fail(EINVAL, "invalid value: {} must be {}-{}, not '{}'", property, least, most, text);
  return value;
}

struct Property {
  const char* name;
  bool (*applies)(tunnel::Type);
  std::string (*possible)(tunnel::Type);
  std::string (*fallback)();
  std::string (*value)(const LinkProperties&);  // empty: unset
  Result<> (*set)(LinkProperties&, const std::string& text, tunnel::Type);
  void (*reset)(LinkProperties&);
};

bool always(tunnel::Type) {
  return true;
}

const std::array<Property, 4> kProperties{{
    {"hoplimit", always, [](tunnel::Type) { return std::string("1-255"); },
     [] { return std::to_string(tunnel::kDefaultHopLimit); },
     [](const LinkProperties& p) { return p.hoplimit ? std::to_string(*p.hoplimit) : std::string(); },
     [](LinkProperties& p, const std::string& text, tunnel::Type) -> Result<> {
       TRY_ASSIGN(const uint32_t value, number_between("hoplimit", text, 1, 255));
       p.hoplimit = static_cast<uint8_t>(value);
       return {};
     },
     [](LinkProperties& p) { p.hoplimit.reset(); }},
    {"encaplimit", [](tunnel::Type type) { return type == tunnel::Type::ipv6; },
     [](tunnel::Type) { return std::string("0-255"); }, [] { return std::to_string(tunnel::kDefaultEncapLimit); },
     [](const LinkProperties& p) { return p.encaplimit ? std::to_string(*p.encaplimit) : std::string(); },
     [](LinkProperties& p, const std::string& text, tunnel::Type) -> Result<> {
       TRY_ASSIGN(const uint32_t value, number_between("encaplimit", text, 0, 255));
       p.encaplimit = static_cast<uint8_t>(value);
       return {};
     },
     [](LinkProperties& p) { p.encaplimit.reset(); }},
    {"mtu", always, [](tunnel::Type type) { return fmt::format("{}-{}", tunnel::kMinMtu, most_mtu(type)); },
     [] { return std::string(); },
     [](const LinkProperties& p) { return p.mtu ? std::to_string(*p.mtu) : std::string(); },
     [](LinkProperties& p, const std::string& text, tunnel::Type type) -> Result<> {
       TRY_ASSIGN(p.mtu, number_between("mtu", text, tunnel::kMinMtu, most_mtu(type)));
       return {};
     },
     [](LinkProperties& p) { p.mtu.reset(); }},
    {"mssclamp", always, [](tunnel::Type) { return std::string("on,off"); }, [] { return std::string("on"); },
     [](const LinkProperties& p) { return std::string(!p.mssclamp   ? ""
                                                      : *p.mssclamp ? "on"
                                                                    : "off"); },
     [](LinkProperties& p, const std::string& text, tunnel::Type) -> Result<> {
       if (text != "on" && text != "off")
         return fail(EINVAL, "invalid value: mssclamp must be on or off, not '{}'", text);
       p.mssclamp = text == "on";
       return {};
     },
     [](LinkProperties& p) { p.mssclamp.reset(); }},
}};

Result<const Property*> find_property(const std::string& name, tunnel::Type type) {
  const auto found = std::ranges::find_if(kProperties, [&](const Property& p) { return name == p.name; });
  if (found == kProperties.end())
    return fail(EINVAL, "invalid property: '{}'; a tunnel has hoplimit, encaplimit, mtu and mssclamp", name);
  if (!found->applies(type)) return fail(EINVAL, "invalid property: {} is for tunnels of type ipv6", name);
  return &*found;
}

}  // namespace

Result<Outcome> Links::change_properties(const std::string& name, bool temporary, const PropertyChange& change) {
  TRY_ASSIGN(Tunnel* const tunnel, find(name));
  LinkProperties active = tunnel->active.properties;
  TRY(change(active, tunnel->active.type));
  std::optional<LinkProperties> stored;
  if (tunnel->stored && !temporary) {
    stored = tunnel->stored->properties;
    TRY(change(*stored, tunnel->active.type));
  }
  Undo undo;
  undo.add([this, tunnel, old_active = tunnel->active.properties,
            old_stored = tunnel->stored ? tunnel->stored->properties : LinkProperties{}] {
    tunnel->active.properties = old_active;
    if (tunnel->stored) tunnel->stored->properties = old_stored;
    (void)save_active();
    if (auto undone = save_stored(); !undone)
      context_.events.add(Severity::warning, "link.not-saved", tunnel->active.name, undone.error().text);
    (void)refresh(*tunnel);
  });
  tunnel->active.properties = active;
  if (stored) tunnel->stored->properties = *stored;
  TRY(save_active());
  if (stored) TRY(save_stored());
  TRY(refresh(*tunnel));
  undo.keep();
  context_.events.add(Severity::info, "link.changed", name, fmt::format("properties of {} were changed", name));
  return Outcome{};
}

Result<Outcome> Links::set_properties(const std::string& name, const PropertyValues& values, bool temporary) {
  return change_properties(name, temporary, [&](LinkProperties& properties, tunnel::Type type) -> Result<> {
    for (const auto& [property, value] : values) {
      TRY_ASSIGN(const Property* const known, find_property(property, type));
      TRY(known->set(properties, value, type));
    }
    return {};
  });
}

Result<Outcome> Links::reset_properties(const std::string& name, const std::vector<std::string>& properties,
                                        bool temporary) {
  return change_properties(name, temporary, [&](LinkProperties& changed, tunnel::Type type) -> Result<> {
    for (const auto& property : properties) {
      TRY_ASSIGN(const Property* const known, find_property(property, type));
      known->reset(changed);
    }
    if (properties.empty()) changed = {};
    return {};
  });
}

Result<std::vector<LinkProperty>> Links::show_properties(const std::string& name,
                                                         const std::vector<std::string>& properties,
                                                         bool persistent) const {
  std::vector<LinkProperty> rows;
  if (!name.empty()) TRY(find(name));
  for (const auto& [key, tunnel] : tunnels_) {
    if (!name.empty() && key != name) continue;
    if (persistent && !tunnel.stored) continue;
    const TunnelRecord& record = persistent ? *tunnel.stored : tunnel.active;
    for (const auto& wanted : properties) {
      if (!name.empty()) TRY(find_property(wanted, record.type));
    }
    for (const Property& property : kProperties) {
      if (!property.applies(record.type)) continue;
      if (!properties.empty() && std::ranges::find(properties, property.name) == properties.end()) continue;
      std::string value = property.value(record.properties);
      if (value.empty() && !persistent) value = property.fallback();
      if (value.empty() && !persistent) value = std::to_string(tunnel.device_mtu);  // mtu: the computed one
      rows.push_back({key, property.name, "rw", value, property.fallback(), property.possible(record.type)});
    }
  }
  return rows;
}

}  // namespace adit::engine
