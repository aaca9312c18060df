// hoplimit, encaplimit, mtu, mssclamp, ipsec (links-and-addresses.md §1.5).
#include <algorithm>
#include <array>
#include <charconv>

#include "base/store.h"
#include "config/ipsecconf/lexer.h"
#include "links/links.h"

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

// A policy as listings show it: without comments, on one line.
std::string one_line(std::string_view text) {
  config::ipsecconf::Report unread("", text);
  std::string line;
  for (const auto& token : config::ipsecconf::tokenize(text, unread)) {
    const bool tight = line.empty() || line.ends_with('{') || token.kind == config::ipsecconf::TokenKind::close;
    if (token.kind != config::ipsecconf::TokenKind::end) line += fmt::format("{}{}", tight ? "" : " ", token.text);
  }
  return line;
}

const std::array<Property, 5> kProperties{{
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
    {"ipsec", always, [](tunnel::Type) { return std::string("{...}"); }, [] { return std::string(); },
     [](const LinkProperties& p) { return p.ipsec ? one_line(*p.ipsec) : std::string(); },
     [](LinkProperties& p, const std::string& text, tunnel::Type) -> Result<> {
       if (text.find_first_not_of(" \t\r\n") == text.npos)
         return fail(EINVAL, "invalid value: ipsec is empty; reset-linkprop -p ipsec takes it away");
       p.ipsec = text;
       return {};
     },
     [](LinkProperties& p) { p.ipsec.reset(); }},
}};

Result<const Property*> find_property(const std::string& name, tunnel::Type type) {
  const auto found = std::ranges::find_if(kProperties, [&](const Property& p) { return name == p.name; });
  if (found == kProperties.end())
    return fail(EINVAL, "invalid property: '{}'; a tunnel has hoplimit, encaplimit, mtu, mssclamp and ipsec", name);
  if (!found->applies(type)) return fail(EINVAL, "invalid property: {} is for tunnels of type ipv6", name);
  return &*found;
}

Result<> set_all(LinkProperties& properties, const PropertyValues& values, tunnel::Type type) {
  for (const auto& [property, value] : values) {
    TRY_ASSIGN(const Property* const known, find_property(property, type));
    TRY(known->set(properties, value, type));
  }
  return {};
}

}  // namespace

Result<LinkProperties> Links::properties_of(const IptunRequest& request) {
  LinkProperties properties;
  TRY(set_all(properties, request.properties, request.type));
  return properties;
}

// The disk, then the rules in one swap, then what follows from the rest.
Result<Outcome> Links::change_properties(const std::string& name, const PropertyChange& change) {
  TRY_ASSIGN(Tunnel* const tunnel, find(name));
  LinkProperties active = tunnel->active.properties;
  TRY(change.apply(active, tunnel->active.type));
  std::optional<LinkProperties> stored;
  if (tunnel->stored && !change.temporary) {
    stored = tunnel->stored->properties;
    TRY(change.apply(*stored, tunnel->active.type));
  }
  const auto& old_policy = tunnel->active.properties.ipsec;
  const bool policy = active.ipsec != old_policy || !tunnel->broken_policy.empty();
  if (old_policy && !active.ipsec && !change.force) TRY(may_lose_property(*tunnel));
  if (policy && active.ipsec) TRY(policy_.read_property(name, *active.ipsec, change.ipsec_source));
  Outcome outcome;
  Undo undo;
  undo.add([this, tunnel, old_active = tunnel->active, old_stored = tunnel->stored, broken = tunnel->broken_policy] {
    tunnel->active = old_active;
    tunnel->stored = old_stored;
    tunnel->broken_policy = broken;
    (void)save_active({old_active.name});
    if (auto undone = save_stored({old_active.name}); !undone)
      context_.events.add(Severity::warning, EventKind::link_not_saved, tunnel->active.name, undone.error().text);
    (void)refresh(*tunnel);
  });
  tunnel->active.properties = active;
  if (stored) tunnel->stored->properties = *stored;
  TRY(save_changed(*tunnel, stored.has_value()));
  crash_point("property:stored");
  if (policy) {
    TRY(take_property(name, active.ipsec, change.ipsec_source, undo, outcome));
    tunnel->broken_policy.clear();
  }
  TRY(refresh(*tunnel));
  undo.keep();
  context_.events.add(Severity::info, EventKind::link_changed, name,
                      fmt::format("properties of {} were changed", name));
  return outcome;
}

Result<Outcome> Links::set_properties(const std::string& name, const PropertyValues& values, bool temporary,
                                      const std::string& ipsec_source) {
  const auto apply = [&](LinkProperties& properties, tunnel::Type type) { return set_all(properties, values, type); };
  return change_properties(name, {apply, temporary, false, ipsec_source});
}

// All of them does not mean the policy: what protects a tunnel goes by its name only.
Result<Outcome> Links::reset_properties(const std::string& name, const std::vector<std::string>& properties,
                                        bool temporary, bool force) {
  const auto apply = [&](LinkProperties& changed, tunnel::Type type) -> Result<> {
    for (const auto& property : properties) {
      TRY_ASSIGN(const Property* const known, find_property(property, type));
      known->reset(changed);
    }
    if (properties.empty()) changed = {.ipsec = changed.ipsec};
    return {};
  };
  return change_properties(name, {apply, temporary, force});
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
      if (value.empty() && !persistent && property.name == std::string_view("mtu"))
        value = std::to_string(tunnel.device_mtu);  // the computed one
      rows.push_back({key, property.name, "rw", value, property.fallback(), property.possible(record.type)});
    }
  }
  return rows;
}

}  // namespace adit::engine
