// Addresses' part of ipadm.conf: `_ifname=…;_family=2;` for an interface,
// `_ifname=…;_aobjname=…;_ipv4addr=local,remote;up=yes;` with a second line for a typed prefix length,
// `_intfid=id/len,yes,yes` for addrconf (links-and-addresses.md §2.3).
#include <algorithm>
#include <charconv>
#include <set>

#include "host/addresses.h"

namespace adit::engine {
namespace {

constexpr const char* kFamilyV4 = "2";
constexpr const char* kFamilyV6 = "26";  // AF_INET6 of illumos

constexpr Seconds kUntilWritten{1};  // without a change: then the files take up their journals

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

void Addresses::add_interface(IpadmConf& conf, const std::string& link, bool persistent) const {
  if (const auto interface = interfaces_.find(link);
      interface != interfaces_.end() && interface->second.persistent == persistent) {
    conf.add({{"_ifname", link}, {"_family", kFamilyV4}});
    conf.add({{"_ifname", link}, {"_family", kFamilyV6}});
  }
}

void Addresses::add_objects(IpadmConf& conf, const std::string& link, bool persistent) const {
  for (const auto& [name, record] : on(link)) {
    if (record.persistent != persistent) continue;
    conf.add(line_of(record));
    if (record.prefix)
      conf.add({{"_ifname", record.interface}, {"_aobjname", name}, {"prefixlen", std::to_string(*record.prefix)}});
  }
}

// The file, with our lines replaced by those of the persistent (or the temporary) objects.
Result<LineFile::Lines> Addresses::whole(const Stored& stored) const {
  TRY_ASSIGN(IpadmConf conf, IpadmConf::load(stored.file.path()));
  conf.remove_if(ours);
  std::set<std::string> links;
  for (const auto& [name, interface] : interfaces_) links.insert(name);
  for (const auto& [name, record] : records_) links.insert(record.interface);
  for (const std::string& link : links) add_interface(conf, link, stored.persistent);
  for (const std::string& link : links) add_objects(conf, link, stored.persistent);
  return conf.text_lines();
}

// Temporary objects outlive the daemon, not the machine: they are kept in the run directory.
Result<> Addresses::save(const std::vector<std::string>& links) {
  TRY(save(temporary_, links));
  return save(stored_, links);
}

// Lines of one link lean on each other's order: they are said again together.
Result<> Addresses::save(Stored& stored, const std::vector<std::string>& links) {
  LineFile::Change change;
  std::map<std::string, LineFile::Lines> next;
  for (const std::string& link : links) {
    IpadmConf conf;
    add_interface(conf, link, stored.persistent);
    add_objects(conf, link, stored.persistent);
    const LineFile::Lines lines = conf.text_lines(), &held = stored.held[link];
    if (lines == held) continue;
    std::ranges::copy(held, std::back_inserter(change.gone));
    std::ranges::copy(lines, std::back_inserter(change.come));
    next.emplace(link, lines);
  }
  stored_at_ = context_.clock.now();
  TRY(stored.file.change(change, [&] { return whole(stored); }));
  for (auto& [link, lines] : next) stored.held[link] = std::move(lines);
  for (const std::string& link : links)
    if (stored.held[link].empty()) stored.held.erase(link);
  return {};
}

// Nobody has to read a journal to know which addresses there are.
void Addresses::write_stored() {
  for (Stored* stored : {&stored_, &temporary_}) {
    if (!stored->file.owes()) continue;
    const auto lines = whole(*stored);
    const auto written = lines ? stored->file.write(*lines) : std::unexpected(lines.error());
    if (!written) context_.events.add(Severity::warning, EventKind::address_failed, "", written.error().text);
  }
}

void Addresses::tick() {
  if (context_.clock.now() - stored_at_ < kUntilWritten) return;
  stored_at_ = context_.clock.now();
  write_stored();
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

void Addresses::load(Stored& stored) {
  bool damaged = false;
  const auto lines = stored.file.load(&damaged);
  const std::string& path = stored.file.path();
  if (!lines || damaged)
    context_.events.add(Severity::warning, EventKind::address_failed, "",
                        damaged ? fmt::format("{}.journal: a checksum does not fit: what it says is not believed", path)
                                : lines.error().text);
  if (!lines) return;
  for (const std::string& text : *lines) {
    const IpadmConf one = IpadmConf::parse(text);
    if (one.lines().empty() || !ours(one.lines().front())) continue;
    const IpadmConf::Line& line = one.lines().front();
    const std::string object = line.get("_aobjname").value_or("");
    const std::string interface = line.get("_ifname").value_or(object.substr(0, object.find('/')));
    stored.held[interface].push_back(text);
    if (!stored.persistent && !exists(interface)) continue;  // its temporary tunnel did not outlive the daemon
    if (!object.empty())
      load_object(object, line, stored.persistent);
    else
      interfaces_.try_emplace(interface, Interface{.persistent = stored.persistent});
  }
}

void Addresses::restore() {
  load(stored_);
  load(temporary_);
  place_all();
}

}  // namespace adit::engine
