// Addresses' part of ipadm.conf: `_ifname=…;_family=2;` for an interface,
// `_ifname=…;_aobjname=…;_ipv4addr=local,remote;up=yes;` with a second line for a typed prefix length,
// `_intfid=id/len,yes,yes` for addrconf (links-and-addresses.md §2.3).
#include <algorithm>
#include <charconv>

#include "host/addresses.h"

namespace adit::engine {
namespace {

constexpr const char* kFamilyV4 = "2";
constexpr const char* kFamilyV6 = "26";  // AF_INET6 of illumos

constexpr const char* kTemporaryFile = "ipadm.active";

bool ours(const IpadmConf::Line& line) {
  return (line.has("_ifname") || line.has("_aobjname")) && !line.has("_protocol");
}

std::vector<IpadmConf::Pair> line_of(const AddressRecord& record) {
  std::vector<IpadmConf::Pair> pairs{{"_ifname", record.interface}, {"_aobjname", record.name}};
  if (record.addrconf)
    pairs.emplace_back("_intfid", record.interface_id + ",yes,yes");
  else
    pairs.emplace_back(record.family == net::Family::v4 ? "_ipv4addr" : "_ipv6addr",
                       record.local + "," + record.remote);
  if (!record.addrconf || !record.persistent_up) pairs.emplace_back("up", record.persistent_up ? "yes" : "no");
  return pairs;
}

std::optional<uint8_t> small_number(const std::string& text) {
  uint8_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

}  // namespace

// `conf` with our lines replaced by those of the persistent (or the temporary) objects.
IpadmConf Addresses::configuration(IpadmConf conf, bool persistent) const {
  conf.remove_if(ours);
  for (const auto& [name, interface] : interfaces_) {
    if (interface.persistent != persistent) continue;
    conf.add({{"_ifname", name}, {"_family", kFamilyV4}});
    conf.add({{"_ifname", name}, {"_family", kFamilyV6}});
  }
  for (const auto& [name, record] : records_) {
    if (record.persistent != persistent) continue;
    conf.add(line_of(record));
    if (record.prefix)
      conf.add({{"_ifname", record.interface}, {"_aobjname", name}, {"prefixlen", std::to_string(*record.prefix)}});
  }
  return conf;
}

// Temporary objects outlive the daemon, not the machine: they are kept in the run directory.
Result<> Addresses::save() const {
  const auto replace = [&](const std::string& path, bool persistent) -> Result<> {
    TRY_ASSIGN(const IpadmConf before, IpadmConf::load(path));
    const IpadmConf after = configuration(before, persistent);
    if (after.text() == before.text()) return {};
    return after.save(path, persistent ? Lasting::disk : Lasting::boot);
  };
  TRY(replace(context_.in_run(kTemporaryFile), false));
  return replace(context_.in_root(kIpadmConfPath), true);
}

void Addresses::load_object(const std::string& object, const IpadmConf::Line& line, bool persistent) {
  if (const auto length = line.get("prefixlen"); length && records_.contains(object)) {
    const auto prefix = small_number(*length);
    AddressRecord& record = records_.at(object);
    if (prefix && *prefix <= net::address_bits(record.family)) record.prefix = prefix;
    return;
  }
  AddressRecord record;
  record.name = object;
  record.interface = object.substr(0, object.find('/'));
  record.persistent = persistent;
  record.up = record.persistent_up = line.get("up").value_or("yes") != "no";
  const auto endpoints = [&](const std::string& value) {
    const size_t comma = std::min(value.find(','), value.size());
    record.local = value.substr(0, comma);
    record.remote = value.substr(std::min(comma + 1, value.size()));
  };
  if (const auto id = line.get("_intfid")) {
    record.addrconf = true;
    record.interface_id = id->substr(0, id->find(','));
  } else if (const auto v4 = line.get("_ipv4addr")) {
    record.family = net::Family::v4;
    endpoints(*v4);
  } else if (const auto v6 = line.get("_ipv6addr")) {
    endpoints(*v6);
  } else {
    context_.events.add(Severity::warning, EventKind::address_failed, object,
                        fmt::format("{}: the line of {} has no address that is known here", kIpadmConfPath, object));
    return;
  }
  interfaces_.try_emplace(record.interface, Interface{.persistent = persistent});
  records_.insert_or_assign(object, std::move(record));
}

void Addresses::load(const std::string& path, bool persistent) {
  const auto conf = IpadmConf::load(path);
  if (!conf) {
    context_.events.add(Severity::warning, EventKind::address_failed, "", conf.error().text);
    return;
  }
  for (const IpadmConf::Line& line : conf->lines()) {
    if (!ours(line)) continue;
    const std::string object = line.get("_aobjname").value_or("");
    const std::string interface = line.get("_ifname").value_or(object.substr(0, object.find('/')));
    if (!persistent && !exists(interface)) continue;  // its temporary tunnel did not outlive the daemon
    if (!object.empty())
      load_object(object, line, persistent);
    else
      interfaces_.try_emplace(interface, Interface{.persistent = persistent});
  }
}

void Addresses::restore() {
  load(context_.in_root(kIpadmConfPath), true);
  load(context_.in_run(kTemporaryFile), false);
  place_all();
}

}  // namespace adit::engine
