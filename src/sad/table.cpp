#include "sad/table.h"

#include <algorithm>
#include <array>

#include "sad/acquire.h"
#include "sad/strength.h"
#include "sad/table_parts.h"

namespace adit::sad {
namespace {

size_t mix(size_t seed, uint64_t value) {
  seed ^= value + 0x9e3779b97f4a7c15ULL + (seed << 6) + (seed >> 2);
  seed *= 0xff51afd7ed558ccdULL;
  return seed ^ seed >> 32;
}

InnerSelector masked(InnerSelector inner) {
  inner.source = inner.source.masked();
  inner.destination = inner.destination.masked();
  return inner;
}

PairKey pair_key(const Sa& sa) {
  return {sa.spec.source, sa.spec.destination, sa.spec.type};
}

SelectKey select_key(const Sa& sa) {
  SelectKey key{pair_key(sa), std::nullopt};
  if (sa.spec.inner) key.inner = masked(*sa.spec.inner);
  return key;
}

Shape shape_of(const InnerSelector& inner) {
  return {false,
          inner.source.family(),
          inner.source.length(),
          inner.destination.length(),
          inner.protocol != 0,
          inner.source_port != 0,
          inner.destination_port != 0};
}

Shape shape_of(const Sa& sa) {
  return sa.spec.inner ? shape_of(*sa.spec.inner) : Shape{};
}

// The selector of that shape which covers the flow; false: none does.
bool mask_flow(const Shape& shape, const net::Flow& flow, std::optional<InnerSelector>& inner) {
  inner.reset();
  if (shape.any) return true;
  if (flow.source.family() != shape.family || flow.destination.family() != shape.family) return false;
  if ((shape.source_port || shape.destination_port) && !flow.has_ports) return false;
  inner.emplace();
  inner->source = net::Prefix(flow.source, shape.source_length).masked();
  inner->destination = net::Prefix(flow.destination, shape.destination_length).masked();
  if (shape.protocol) inner->protocol = flow.protocol;
  if (shape.source_port) inner->source_port = flow.source_port;
  if (shape.destination_port) inner->destination_port = flow.destination_port;
  return true;
}

// Larval SAs have no algorithms yet, one said to be inbound only never protects what leaves, and one that is bound to
// another protocol than the tunnel's (4, 41) is not for tunnels.
bool serves_outbound(const Sa& sa) {
  if (sa.state.load(std::memory_order_relaxed) == SaState::larval) return false;
  if (sa.spec.inbound && !sa.spec.outbound) return false;
  const uint8_t protocol = sa.spec.outer_protocol;
  return protocol == 0 || protocol == net::kProtoIpv4 || protocol == net::kProtoIpv6;
}

// Keys that another namespace chose protect nobody's traffic but its own. Those of the global namespace, the
// operator's and the key manager's, serve all.
bool of_its_namespace(const Sa& sa, const spd::Rule& rule) {
  return sa.spec.name_space.empty() || sa.spec.name_space == rule.name_space;
}

// The lists that may serve a flow: the first `exact` have the rule's own selectors.
struct Candidates {
  std::array<const SaList*, 2 * (Table::kMaxShapes + 1)> lists;
  size_t count = 0, exact = 0;

  void put(const SaList* list) {
    if (list != nullptr && std::find(lists.begin(), lists.begin() + count, list) == lists.begin() + count)
      lists[count++] = list;
  }
};

// What there is between the two, and its shapes: most often one, so that a selection costs two probes.
struct PairShapes {
  PairKey pair;
  const Shapes* shapes = nullptr;
};

const SaList* list_of(const Table::Parts& parts, const SelectKey& key) {
  const std::shared_ptr<const SaList>* list = parts.lists.find(key);
  return list == nullptr ? nullptr : list->get();
}

std::array<PairShapes, 2> pairs_of(const Table::Parts& parts, SaType type, const Endpoints& outer) {
  std::array<PairShapes, 2> pairs{{{{outer.local, outer.remote, type}, nullptr},
                                   {{net::Address::any(outer.remote.family()), outer.remote, type}, nullptr}}};
  pairs[0].shapes = parts.shapes.find(pairs[0].pair);
  if (parts.any_source != 0) pairs[1].shapes = parts.shapes.find(pairs[1].pair);
  return pairs;
}

Candidates gather(const Table::Parts& parts, SaType type, const spd::Rule& rule, const Endpoints& outer,
                  const net::Flow& flow) {
  Candidates found;
  const auto pairs = pairs_of(parts, type, outer);
  SelectKey key;
  if (rule.mode == spd::Mode::tunnel) {
    key.inner = inner_selector(rule);
    const Shape own = shape_of(*key.inner);
    for (const auto& [pair, shapes] : pairs) {
      if (shapes == nullptr || std::ranges::find(*shapes, own, &ShapeCount::shape) == shapes->end()) continue;
      key.pair = pair;
      found.put(list_of(parts, key));
    }
  }
  found.exact = found.count;
  for (const auto& [pair, shapes] : pairs) {
    if (shapes == nullptr) continue;
    key.pair = pair;
    for (const ShapeCount& entry : *shapes) {
      if (rule.mode != spd::Mode::tunnel && !entry.shape.any) continue;
      if (mask_flow(entry.shape, flow, key.inner)) found.put(list_of(parts, key));
    }
  }
  return found;
}

// The best of one list: the newest MATURE one, else the newest DYING one, among those that fit.
template <typename Fits>
void best_of(const SaList& list, const spd::Rule& rule, const Fits& fits, Sa*& mature, Sa*& dying) {
  for (const SaList::Group& group : list.groups) {
    if (!fits(group.strength)) continue;
    group.sas.each([&](Sa* sa) {
      if (!of_its_namespace(*sa, rule)) return true;
      const SaState state = sa->state.load(std::memory_order_relaxed);
      Sa*& best = state == SaState::mature ? mature : dying;
      if (state != SaState::mature && state != SaState::dying) return true;
      if (best == nullptr || sa->age > best->age) best = sa;
      return state != SaState::mature;
    });
  }
}

template <typename Fits>
Sa* choose(const Candidates& candidates, const spd::Rule& rule, const Fits& fits) {
  Sa *mature = nullptr, *dying = nullptr;
  for (size_t i = 0; i < candidates.count; ++i) {
    if (i == candidates.exact && mature != nullptr) break;
    best_of(*candidates.lists[i], rule, fits, mature, dying);
  }
  return mature != nullptr ? mature : dying;
}

SaList with_sa(const SaList* list, Sa* sa) {
  SaList next = list == nullptr ? SaList{} : *list;
  const Strength strength = strength_of(sa->spec);
  auto group = std::ranges::find(next.groups, strength, &SaList::Group::strength);
  if (group == next.groups.end()) group = next.groups.insert(group, SaList::Group{strength, {}});
  group->sas.put(sa);
  return next;
}

SaList without_sa(const SaList& list, const Sa* sa) {
  SaList next = list;
  for (SaList::Group& group : next.groups) group.sas.erase(sa);
  std::erase_if(next.groups, [](const SaList::Group& group) { return group.sas.empty(); });
  return next;
}

Shapes with_shape(const Shapes* shapes, const Shape& shape) {
  Shapes next = shapes == nullptr ? Shapes{} : *shapes;
  auto entry = std::ranges::find(next, shape, &ShapeCount::shape);
  if (entry == next.end()) entry = next.insert(entry, {shape, 0});
  ++entry->count;
  return next;
}

Shapes without_shape(const Shapes& shapes, const Shape& shape) {
  Shapes next = shapes;
  const auto entry = std::ranges::find(next, shape, &ShapeCount::shape);
  if (entry != next.end() && --entry->count == 0) next.erase(entry);
  return next;
}

bool listed(const Table::Parts& parts, const Sa& sa) {
  const SaList* list = list_of(parts, select_key(sa));
  if (list == nullptr) return false;
  return std::ranges::any_of(list->groups, [&](const SaList::Group& group) { return group.sas.contains(&sa); });
}

}  // namespace

size_t KeyHash::operator()(const InboundKey& key) const {
  return mix(net::hash_address(key.destination), static_cast<uint64_t>(key.spi) << 8 | static_cast<uint64_t>(key.type));
}

size_t KeyHash::operator()(const PairKey& key) const {
  return mix(mix(net::hash_address(key.source), net::hash_address(key.destination)), static_cast<uint64_t>(key.type));
}

size_t KeyHash::operator()(const SelectKey& key) const {
  size_t hash = (*this)(key.pair);
  if (!key.inner) return hash;
  const InnerSelector& inner = *key.inner;
  hash = mix(hash, net::hash_address(inner.source.address(), inner.source.length()));
  hash = mix(hash, net::hash_address(inner.destination.address(), inner.destination.length()));
  return mix(hash, uint64_t{inner.protocol} << 32 | uint64_t{inner.source_port} << 16 | inner.destination_port);
}

Table::Table() : parts_(std::make_shared<const Parts>()) {}

Sa* Table::find(Spi spi, SaType type, const net::Address& destination) const {
  const std::shared_ptr<Sa>* sa = parts_->by_name.find({spi, type, destination});
  return sa == nullptr ? nullptr : sa->get();
}

Table::Bundle Table::select(const spd::Rule& rule, const Endpoints& outer, const net::Flow& flow) const {
  const auto asks = [&](auto want) { return std::ranges::any_of(rule.actions, want); };
  Candidates esp, ah;
  if (asks(wants_esp)) esp = gather(*parts_, SaType::esp, rule, outer, flow);
  if (asks(wants_ah)) ah = gather(*parts_, SaType::ah, rule, outer, flow);

  for (const spd::Action& action : rule.actions) {
    if (!wants_esp(action) && !wants_ah(action)) continue;
    Bundle bundle{nullptr, nullptr, &action};
    if (wants_esp(action)) {
      bundle.esp = choose(esp, rule, [&](const Strength& strength) { return esp_fits(action, strength); });
      if (bundle.esp == nullptr) continue;
    }
    if (wants_ah(action)) {
      bundle.ah = choose(ah, rule, [&](const Strength& strength) { return ah_fits(action, strength); });
      if (bundle.ah == nullptr) continue;
    }
    return bundle;
  }
  return {};
}

bool Table::satisfies(const spd::Rule& rule, const Sa* esp, const Sa* ah) {
  if ((esp != nullptr && !of_its_namespace(*esp, rule)) || (ah != nullptr && !of_its_namespace(*ah, rule)))
    return false;
  return std::ranges::any_of(rule.actions, [&](const spd::Action& action) {
    if (!wants_esp(action) && !wants_ah(action)) return false;
    if (wants_esp(action) != (esp != nullptr) || wants_ah(action) != (ah != nullptr)) return false;
    return (esp == nullptr || esp_fits(action, strength_of(esp->spec))) &&
           (ah == nullptr || ah_fits(action, strength_of(ah->spec)));
  });
}

Result<std::shared_ptr<const Table>> Table::with(std::shared_ptr<Sa> sa) const {
  const InboundKey name{sa->spec.spi, sa->spec.type, sa->spec.destination};
  if (parts_->by_name.find(name) != nullptr)
    return fail(EEXIST, "an SA with spi {:#x} to {} is there already", static_cast<uint32_t>(name.spi),
                name.destination.str());
  auto next = std::make_shared<Parts>(*parts_);
  if (serves_outbound(*sa)) {
    const PairKey pair = pair_key(*sa);
    Shapes shapes = with_shape(next->shapes.find(pair), shape_of(*sa));
    if (shapes.size() > kMaxShapes)
      return fail(ENOSPC, "more than {} kinds of inner selectors between {} and {}; use fewer distinct prefix lengths",
                  kMaxShapes, pair.source.str(), pair.destination.str());
    if (pair.source.is_unspecified() && next->shapes.find(pair) == nullptr) ++next->any_source;
    next->shapes.put(pair, std::move(shapes));
    const SelectKey key = select_key(*sa);
    next->lists.put(key, std::make_shared<const SaList>(with_sa(list_of(*next, key), sa.get())));
  }
  next->by_name.put(name, std::move(sa));
  return std::make_shared<const Table>(std::shared_ptr<const Parts>(std::move(next)));
}

std::shared_ptr<const Table> Table::without(const Sa& sa) const {
  auto next = std::make_shared<Parts>(*parts_);
  if (find(sa.spec.spi, sa.spec.type, sa.spec.destination) == &sa) {
    if (listed(*parts_, sa)) {
      const SelectKey key = select_key(sa);
      SaList list = without_sa(*list_of(*next, key), &sa);
      if (list.groups.empty())
        next->lists.erase(key);
      else
        next->lists.put(key, std::make_shared<const SaList>(std::move(list)));
      Shapes shapes = without_shape(*next->shapes.find(key.pair), shape_of(sa));
      if (shapes.empty() && key.pair.source.is_unspecified()) --next->any_source;
      if (shapes.empty())
        next->shapes.erase(key.pair);
      else
        next->shapes.put(key.pair, std::move(shapes));
    }
    next->by_name.erase({sa.spec.spi, sa.spec.type, sa.spec.destination});
  }
  return std::make_shared<const Table>(std::shared_ptr<const Parts>(std::move(next)));
}

std::vector<std::shared_ptr<Sa>> Table::all() const {
  std::vector<std::shared_ptr<Sa>> sas;
  sas.reserve(size());
  parts_->by_name.for_each([&](const InboundKey&, const std::shared_ptr<Sa>& sa) { sas.push_back(sa); });
  return sas;
}

size_t Table::size() const {
  return parts_->by_name.size();
}

}  // namespace adit::sad
