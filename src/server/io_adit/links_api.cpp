// io.adit.links
#include <algorithm>

#include "base/drop_reason.h"
#include "links/links.h"
#include "namespaces/namespaces.h"
#include "path/dataplane.h"
#include "server/io_adit/engine_api.h"
#include "server/io_adit/quoted_errors.h"

namespace adit::protocol {
namespace {

using nlohmann::json;

constexpr const char* kDescription = R"(# IP tunnel links, as dladm(8) shows them.
interface io.adit.links

# open: a tunnel that passes clear text now, and why_open why, and what closes it. closed_by: what keeps it closed, in one
# word, and why_down why, and what opens it.
type Iptun (name: string, type: string, flags: string, local: string, remote: string, temporary: bool, secured: bool, policy: bool)
type Drop (reason: string, sentence: string, packets: int)
type Link (name: string, class: string, state: string, over: string, bridge: string, mtu: int, secured: bool, ipackets: int, rbytes: int,
  ierrors: int, opackets: int, obytes: int, oerrors: int, drops_in: []Drop, drops_out: []Drop, closed_by: string,
  why_down: string, open: bool, why_open: string)
type NewIptun (name: string, type: string, local: ?string, remote: ?string, temporary: ?bool, secured: ?bool,
  properties: ?[string]string, ipsec_source: ?string)
type Property (link: string, property: string, perm: string, value: string, default: string, possible: string)

# properties: as SetLinkProp; ipsec_source: what errors call the text of the property ipsec.
method CreateIptun(name: string, type: string, local: ?string, remote: ?string, temporary: bool, secured: bool,
  properties: ?[string]string, ipsec_source: ?string) -> (notes: []string)
# All of them or none, as one transaction: for a program that makes many. Each as the parameters of CreateIptun.
method CreateIptuns(tunnels: []NewIptun) -> (notes: []string)
method ModifyIptun(name: string, local: ?string, remote: ?string, temporary: bool) -> (notes: []string)
# recursive: with its addresses and routes.
method DeleteIptun(name: string, temporary: bool, keep_closed: bool, recursive: ?bool) -> (notes: []string)
method RenameLink(name: string, new_name: string) -> (notes: []string)
method ShowIptun(name: ?string, persistent: bool) -> (tunnels: []Iptun)
method ShowLink(name: ?string) -> (links: []Link)
# Dropped before a link was found for them: unknown SPIs, wrong outer addresses and the like.
method ShowUnlinked() -> (drops_in: []Drop, drops_out: []Drop)
# value "hidden": ipsec is told to root, and to those to whom the tunnel is delegated.
method ShowLinkProp(name: ?string, properties: ?string, persistent: bool) -> (properties: []Property)
# ipsec is the text of a policy: an action block, or entries as in ipsecinit.d/tunnels/NAME.conf.
method SetLinkProp(name: string, properties: [string]string, temporary: bool, ipsec_source: ?string) -> (notes: []string)
# No properties: all but ipsec. force: also where the tunnel passes clear text then.
method ResetLinkProp(name: string, properties: ?string, temporary: bool, force: ?bool) -> (notes: []string)
error io.adit.Failed (code: int, text: string)
)";

Result<json> answer(const Result<engine::Outcome>& outcome) {
  if (!outcome) return std::unexpected(outcome.error());
  return json{{"notes", outcome->notes}};
}

std::string name_or_all(const json& in) {
  return optional_text(in, "name").value_or("");
}

// "a,b" -> {a, b}; absent or empty: none, which means all.
std::vector<std::string> list_parameter(const json& in, const char* name) {
  std::vector<std::string> words;
  const std::string text = optional_text(in, name).value_or("");
  for (size_t at = 0; at < text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    words.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return words;
}

Result<tunnel::Type> type_parameter(const json& in) {
  TRY_ASSIGN(const std::string type, text_parameter(in, "type"));
  if (type == "ipv4") return tunnel::Type::ipv4;
  if (type == "ipv6") return tunnel::Type::ipv6;
  return fail(EINVAL, "unknown tunnel type: {} (ipv4 or ipv6)", type);
}

Result<engine::IptunRequest> iptun_request(const json& in) {
  engine::IptunRequest request;
  TRY_ASSIGN(request.name, text_parameter(in, "name"));
  TRY_ASSIGN(request.type, type_parameter(in));
  request.local = optional_text(in, "local");
  request.remote = optional_text(in, "remote");
  request.temporary = flag_parameter(in, "temporary");
  request.secured = flag_parameter(in, "secured");
  TRY_ASSIGN(request.properties, text_map_parameter(in, "properties"));
  request.ipsec_source = optional_text(in, "ipsec_source").value_or(request.ipsec_source);
  return request;
}

Result<json> create_iptun(engine::Links& links, const json& in) {
  TRY_ASSIGN(const auto request, iptun_request(in));
  return answer(links.create(request));
}

constexpr size_t kMostAtOnce = 10'000;

Result<json> create_iptuns(engine::Links& links, const json& in) {
  const auto found = in.find("tunnels");
  if (found == in.end() || !found->is_array()) return fail(EINVAL, "parameter 'tunnels' must be an array of tunnels");
  if (found->size() > kMostAtOnce) return fail(E2BIG, "at most {} tunnels go into one call", kMostAtOnce);
  std::vector<engine::IptunRequest> requests;
  for (const json& one : *found) {
    if (!one.is_object()) return fail(EINVAL, "parameter 'tunnels' must be an array of tunnels");
    TRY_ASSIGN(auto request, iptun_request(one));
    requests.push_back(std::move(request));
  }
  return answer(links.create_all(requests));
}

Result<json> show_iptun(engine::Links& links, const json& in) {
  TRY_ASSIGN(const auto tunnels, links.show_iptun(name_or_all(in), flag_parameter(in, "persistent")));
  json rows = json::array();
  for (const engine::IptunInfo& tunnel : tunnels)
    rows.push_back({{"name", tunnel.name},
                    {"type", tunnel.type},
                    {"flags", tunnel.flags},
                    {"local", tunnel.local},
                    {"remote", tunnel.remote},
                    {"temporary", tunnel.temporary},
                    {"secured", tunnel.secured},
                    {"policy", tunnel.policy}});
  return json{{"tunnels", rows}};
}

json drops_json(const std::vector<std::pair<std::string, uint64_t>>& drops) {
  json rows = json::array();
  for (const auto& [reason, packets] : drops) {
    const auto* text = std::ranges::find(kDropReasonTexts, reason, &DropReasonText::name);
    rows.push_back(
        {{"reason", reason}, {"packets", packets}, {"sentence", text == kDropReasonTexts.end() ? "" : text->sentence}});
  }
  return rows;
}

std::string why_down(const engine::Namespaces& namespaces, const engine::LinkInfo& link, uid_t user) {
  return namespaces.may_see_tunnel(user, link.name) ? link.why_down : without_quotes(link.why_down);
}

Result<json> show_link(engine::Engine& engine, const json& in, const Caller& caller) {
  TRY_ASSIGN(const auto found, engine.links().show_link(name_or_all(in)));
  json rows = json::array();
  for (const engine::LinkInfo& link : found)
    rows.push_back({{"name", link.name},
                    {"class", link.link_class},
                    {"state", link.state},
                    {"over", link.over},
                    {"bridge", ""},
                    {"mtu", link.mtu},
                    {"secured", link.secured},
                    {"ipackets", link.ipackets},
                    {"rbytes", link.rbytes},
                    {"ierrors", link.ierrors},
                    {"opackets", link.opackets},
                    {"obytes", link.obytes},
                    {"oerrors", link.oerrors},
                    {"drops_in", drops_json(link.drops_in)},
                    {"drops_out", drops_json(link.drops_out)},
                    {"closed_by", link.closed_by},
                    {"why_down", why_down(engine.namespaces(), link, caller.uid)},
                    {"open", link.open},
                    {"why_open", link.why_open}});
  return json{{"links", rows}};
}

using NamedDrops = std::vector<std::pair<std::string, uint64_t>>;

Result<json> show_unlinked(const engine::Dataplane& dataplane) {
  NamedDrops in, out;
  for (size_t reason = 1; reason < kDropReasons; ++reason) {
    uint64_t packets_in = 0, packets_out = 0;
    for (const datapath::LinkCounters* counters : dataplane.unlinked()) {
      packets_in += counters->drops_in[reason].get();
      packets_out += counters->drops_out[reason].get();
    }
    if (reason == static_cast<size_t>(DropReason::socket_backlog)) packets_in += dataplane.socket_backlog();
    if (packets_in > 0) in.emplace_back(kDropReasonTexts[reason].name, packets_in);
    if (packets_out > 0) out.emplace_back(kDropReasonTexts[reason].name, packets_out);
  }
  return json{{"drops_in", drops_json(in)}, {"drops_out", drops_json(out)}};
}

// The text of a policy is for those who may list its rules.
Result<json> show_properties(engine::Engine& engine, const json& in, const Caller& caller) {
  TRY_ASSIGN(const auto found, engine.links().show_properties(name_or_all(in), list_parameter(in, "properties"),
                                                              flag_parameter(in, "persistent")));
  json rows = json::array();
  for (const engine::LinkProperty& property : found)
    rows.push_back(
        {{"link", property.link},
         {"property", property.property},
         {"perm", property.perm},
         {"value", property.property != "ipsec" || engine.namespaces().may_see_tunnel(caller.uid, property.link)
                       ? property.value
                       : "hidden"},
         {"default", property.fallback},
         {"possible", property.possible}});
  return json{{"properties", rows}};
}

Result<json> set_properties(engine::Links& links, const json& in) {
  TRY_ASSIGN(const std::string name, text_parameter(in, "name"));
  TRY_ASSIGN(const auto properties, text_map_parameter(in, "properties"));
  return answer(links.set_properties(name, properties, flag_parameter(in, "temporary"),
                                     optional_text(in, "ipsec_source").value_or("ipsec")));
}

}  // namespace

void add_link_methods(VarlinkMethods& methods, engine::Engine& engine) {
  engine::Links& links = engine.links();
  const auto add = [&](const char* name, Access access, Result<json> (*run)(engine::Links&, const json&)) {
    methods.add(std::string("io.adit.links.") + name, access,
                [&links, run](const json& in, const Caller&) { return run(links, in); });
  };
  methods.describe("io.adit.links", kDescription);
  add("CreateIptun", Access::write, create_iptun);
  add("CreateIptuns", Access::write, create_iptuns);
  add("ModifyIptun", Access::write, [](engine::Links& l, const json& in) -> Result<json> {
    TRY_ASSIGN(const std::string name, text_parameter(in, "name"));
    return answer(
        l.modify(name, optional_text(in, "local"), optional_text(in, "remote"), flag_parameter(in, "temporary")));
  });
  add("DeleteIptun", Access::write, [](engine::Links& l, const json& in) -> Result<json> {
    TRY_ASSIGN(const std::string name, text_parameter(in, "name"));
    return answer(l.remove(name, flag_parameter(in, "temporary"), flag_parameter(in, "keep_closed"),
                           flag_parameter(in, "recursive")));
  });
  add("RenameLink", Access::write, [](engine::Links& l, const json& in) -> Result<json> {
    TRY_ASSIGN(const std::string name, text_parameter(in, "name"));
    TRY_ASSIGN(const std::string new_name, text_parameter(in, "new_name"));
    return answer(l.rename(name, new_name));
  });
  add("ShowIptun", Access::read, show_iptun);
  methods.add("io.adit.links.ShowLink", Access::read,
              [&engine](const json& in, const Caller& caller) { return show_link(engine, in, caller); });
  methods.add("io.adit.links.ShowUnlinked", Access::read,
              [&engine](const json&, const Caller&) { return show_unlinked(engine.dataplane()); });
  methods.add("io.adit.links.ShowLinkProp", Access::read,
              [&engine](const json& in, const Caller& caller) { return show_properties(engine, in, caller); });
  add("SetLinkProp", Access::write, set_properties);
  add("ResetLinkProp", Access::write, [](engine::Links& l, const json& in) -> Result<json> {
    TRY_ASSIGN(const std::string name, text_parameter(in, "name"));
    return answer(l.reset_properties(name, list_parameter(in, "properties"), flag_parameter(in, "temporary"),
                                     flag_parameter(in, "force")));
  });
}

}  // namespace adit::protocol
