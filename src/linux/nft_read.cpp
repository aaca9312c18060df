// What nft printed, or what we would have it load: its shape, and the leak witness.
#include <map>

#include "linux/nft_json.h"
#include "linux/nft_render.h"

namespace adit::platform {
namespace {

using nft::Json;

// The objects of a listing, or those that a rendered document adds.
const Json* object_of(const Json& entry, const char* kind) {
  if (!entry.is_object()) return nullptr;
  const Json& holder = entry.contains("add") ? entry["add"] : entry;
  const auto found = holder.find(kind);
  return found == holder.end() ? nullptr : &*found;
}

size_t element_count(const Json& set) {
  return set.contains("elem") ? set["elem"].size() : 0;
}

const Json& entries(const Json& document) {
  static const Json none = Json::array();
  if (!document.is_object()) return none;
  const auto found = document.find("nftables");
  return found == document.end() || !found->is_array() ? none : *found;
}

std::optional<bool> direction_of(const std::string& set) {
  if (set.starts_with("guard_out")) return true;
  if (set.starts_with("guard_in")) return false;
  return std::nullopt;
}

void add_witness(const Json& element, bool outbound, std::map<std::pair<net::Prefix, bool>, LeakCount>& sums) {
  const Json* holder = object_of(element, "elem");
  if (holder == nullptr || !holder->is_object()) return;
  const auto counter = holder->find("counter"), comment = holder->find("comment");
  if (counter == holder->end() || !counter->is_object() || comment == holder->end() || !comment->is_string()) return;
  const auto network = net::Prefix::parse(comment->get<std::string>());
  if (!network) return;
  LeakCount& sum = sums[{*network, outbound}];
  sum.network = *network;
  sum.outbound = outbound;
  sum.packets += counter->value("packets", uint64_t{0});
  sum.bytes += counter->value("bytes", uint64_t{0});
}

}  // namespace

std::map<std::string, size_t> table_shape(const Json& document) {
  std::map<std::string, size_t> shape;
  for (const Json& entry : entries(document)) {
    if (const Json* chain = object_of(entry, "chain")) shape["chain " + chain->value("name", "")] += 0;
    if (const Json* rule = object_of(entry, "rule")) ++shape["chain " + rule->value("chain", "")];
    if (const Json* set = object_of(entry, "set")) shape["set " + set->value("name", "")] += element_count(*set);
    if (const Json* elements = object_of(entry, "element"))
      shape["set " + elements->value("name", "")] += element_count(*elements);
  }
  return shape;
}

std::vector<LeakCount> read_leaks(const Json& listing) {
  std::map<std::pair<net::Prefix, bool>, LeakCount> sums;
  for (const Json& entry : entries(listing)) {
    const Json* set = object_of(entry, "set");
    if (set == nullptr || !set->contains("elem")) continue;
    const auto outbound = direction_of(set->value("name", ""));
    if (!outbound) continue;
    for (const Json& element : (*set)["elem"]) add_witness(element, *outbound, sums);
  }
  std::vector<LeakCount> leaks;
  for (const auto& [key, leak] : sums) leaks.push_back(leak);
  return leaks;
}

}  // namespace adit::platform
