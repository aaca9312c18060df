#include "server/io_adit/addresses_api.h"

namespace adit::protocol {
namespace {

using engine::Addresses;
using engine::ProtocolProperties;
using nlohmann::json;

constexpr const char* kDescription = R"(# Address objects, IP interfaces and protocol properties: ipadm(8).
interface io.adit.addresses

type Address (addrobj: string, type: string, state: string, current: string, persistent: string, addr: string)
type Interface (ifname: string, state: string, current: string, persistent: string)
type Property (ifname: ?string, proto: string, property: string, perm: string, current: string, persistent: string,
  default: string, possible: string)

method CreateAddr(object: string, type: string, local: ?string, remote: ?string, interface_id: ?string, temporary: ?bool,
  down: ?bool) -> (notes: []string)
method DeleteAddr(object: string) -> (notes: []string)
method UpAddr(object: string, temporary: ?bool) -> (notes: []string)
method DownAddr(object: string, temporary: ?bool) -> (notes: []string)
method EnableAddr(object: string) -> (notes: []string)
method DisableAddr(object: string) -> (notes: []string)
method RefreshAddr(object: string) -> (notes: []string)
# filter: an object, or `interface/` for all of one interface
method ShowAddr(filter: ?string) -> (addresses: []Address)
method CreateIf(interface: string, temporary: ?bool) -> (notes: []string)
method DeleteIf(interface: string) -> (notes: []string)
method EnableIf(interface: string) -> (notes: []string)
method DisableIf(interface: string) -> (notes: []string)
method ShowIf(interface: ?string) -> (interfaces: []Interface)
method SetProp(protocol: string, property: string, value: string, temporary: ?bool) -> ()
method ResetProp(protocol: string, property: string, temporary: ?bool) -> ()
method ShowProp(protocol: ?string, property: ?string) -> (properties: []Property)
method SetIfProp(interface: string, protocol: string, property: string, value: string, temporary: ?bool) -> ()
method ResetIfProp(interface: string, protocol: string, property: string, temporary: ?bool) -> ()
method ShowIfProp(interface: ?string, property: ?string) -> (properties: []Property)
)";

std::string text_or_empty(const json& parameters, const char* name) {
  return optional_text(parameters, name).value_or("");
}

Result<json> answer(const Result<engine::Outcome>& done) {
  if (!done) return std::unexpected(done.error());
  return json{{"notes", done->notes}};
}

Result<json> create_address(Addresses& addresses, const json& parameters) {
  engine::AddressRequest request;
  TRY_ASSIGN(request.object, text_parameter(parameters, "object"));
  TRY_ASSIGN(request.type, text_parameter(parameters, "type"));
  request.local = optional_text(parameters, "local");
  request.remote = optional_text(parameters, "remote");
  request.interface_id = optional_text(parameters, "interface_id");
  request.temporary = flag_parameter(parameters, "temporary");
  request.down = flag_parameter(parameters, "down");
  return answer(addresses.create_address(request));
}

Result<json> show_addresses(const Addresses& addresses, const json& parameters) {
  TRY_ASSIGN(const auto objects, addresses.list(text_or_empty(parameters, "filter")));
  json rows = json::array();
  for (const engine::AddressObject& object : objects)
    rows.push_back({{"addrobj", object.object},
                    {"type", object.type},
                    {"state", object.state},
                    {"current", object.current},
                    {"persistent", object.persistent},
                    {"addr", object.address}});
  return json{{"addresses", rows}};
}

Result<json> show_interfaces(const Addresses& addresses, const json& parameters) {
  TRY_ASSIGN(const auto interfaces, addresses.list_interfaces(text_or_empty(parameters, "interface")));
  json rows = json::array();
  for (const engine::IfInfo& interface : interfaces)
    rows.push_back({{"ifname", interface.name},
                    {"state", interface.state},
                    {"current", interface.current},
                    {"persistent", interface.persistent}});
  return json{{"interfaces", rows}};
}

Result<json> show_properties(const ProtocolProperties& properties, const json& parameters) {
  TRY_ASSIGN(const auto list,
             properties.list(text_or_empty(parameters, "protocol"), text_or_empty(parameters, "property")));
  json rows = json::array();
  for (const engine::ProtocolProperty& property : list)
    rows.push_back({{"proto", property.protocol},
                    {"property", property.property},
                    {"perm", property.perm},
                    {"current", property.current},
                    {"persistent", property.persistent},
                    {"default", property.fallback},
                    {"possible", property.possible}});
  return json{{"properties", rows}};
}

Result<json> show_interface_properties(const ProtocolProperties& properties, const json& parameters) {
  TRY_ASSIGN(const auto list,
             properties.list_interface(text_or_empty(parameters, "interface"), text_or_empty(parameters, "property")));
  json rows = json::array();
  for (const engine::InterfaceProperty& property : list)
    rows.push_back({{"ifname", property.interface},
                    {"property", property.property},
                    {"proto", property.protocol},
                    {"perm", property.perm},
                    {"current", property.current},
                    {"persistent", property.persistent},
                    {"default", property.fallback},
                    {"possible", property.possible}});
  return json{{"properties", rows}};
}

// set (with a value) and reset, of a protocol or of one interface.
Result<json> change_property(ProtocolProperties& properties, const json& parameters, bool set, bool of_interface) {
  TRY_ASSIGN(const std::string protocol, text_parameter(parameters, "protocol"));
  TRY_ASSIGN(const std::string property, text_parameter(parameters, "property"));
  const bool temporary = flag_parameter(parameters, "temporary");
  std::string value, interface;
  if (set) {
    TRY_ASSIGN(value, text_parameter(parameters, "value"));
  }
  if (of_interface) {
    TRY_ASSIGN(interface, text_parameter(parameters, "interface"));
    TRY(set ? properties.set_interface(interface, protocol, property, value, temporary)
            : properties.reset_interface(interface, protocol, property, temporary));
  } else {
    TRY(set ? properties.set(protocol, property, value, temporary) : properties.reset(protocol, property, temporary));
  }
  return json::object();
}

// Methods that take one name and give an outcome.
void add_named(VarlinkMethods& methods, const std::string& method, const char* parameter,
               std::function<Result<engine::Outcome>(const std::string& name, const json& parameters)> act) {
  methods.add("io.adit.addresses." + method, Access::write,
              [parameter, act = std::move(act)](const json& parameters, const Caller&) -> Result<json> {
                TRY_ASSIGN(const std::string name, text_parameter(parameters, parameter));
                return answer(act(name, parameters));
              });
}

}  // namespace

void add_address_methods(VarlinkMethods& methods, Addresses& addresses, ProtocolProperties& properties) {
  methods.describe("io.adit.addresses", kDescription);
  const auto add = [&](const char* method, Access access, auto handler) {
    methods.add(std::string("io.adit.addresses.") + method, access,
                [handler](const json& parameters, const Caller&) { return handler(parameters); });
  };
  add("CreateAddr", Access::write, [&](const json& p) { return create_address(addresses, p); });
  add("ShowAddr", Access::read, [&](const json& p) { return show_addresses(addresses, p); });
  add("ShowIf", Access::read, [&](const json& p) { return show_interfaces(addresses, p); });
  add("SetProp", Access::write, [&](const json& p) { return change_property(properties, p, true, false); });
  add("ResetProp", Access::write, [&](const json& p) { return change_property(properties, p, false, false); });
  add("ShowProp", Access::read, [&](const json& p) { return show_properties(properties, p); });
  add("SetIfProp", Access::write, [&](const json& p) { return change_property(properties, p, true, true); });
  add("ResetIfProp", Access::write, [&](const json& p) { return change_property(properties, p, false, true); });
  add("ShowIfProp", Access::read, [&](const json& p) { return show_interface_properties(properties, p); });

  using Name = const std::string&;
  add_named(methods, "DeleteAddr", "object", [&](Name name, const json&) { return addresses.delete_address(name); });
  add_named(methods, "UpAddr", "object", [&](Name name, const json& p) {
    return addresses.set_address_up(name, true, flag_parameter(p, "temporary"));
  });
  add_named(methods, "DownAddr", "object", [&](Name name, const json& p) {
    return addresses.set_address_up(name, false, flag_parameter(p, "temporary"));
  });
  add_named(methods, "EnableAddr", "object",
            [&](Name name, const json&) { return addresses.enable_address(name, true); });
  add_named(methods, "DisableAddr", "object",
            [&](Name name, const json&) { return addresses.enable_address(name, false); });
  add_named(methods, "RefreshAddr", "object", [&](Name name, const json&) { return addresses.refresh_address(name); });
  add_named(methods, "CreateIf", "interface",
            [&](Name name, const json& p) { return addresses.create_interface(name, flag_parameter(p, "temporary")); });
  add_named(methods, "DeleteIf", "interface", [&](Name name, const json&) { return addresses.delete_interface(name); });
  add_named(methods, "EnableIf", "interface",
            [&](Name name, const json&) { return addresses.enable_interface(name, true); });
  add_named(methods, "DisableIf", "interface",
            [&](Name name, const json&) { return addresses.enable_interface(name, false); });
}

}  // namespace adit::protocol
