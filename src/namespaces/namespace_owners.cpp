// Owners of namespaces: who is there, what is without one, and leases.
#include <set>

#include "control/permission.h"
#include "namespaces/namespaces.h"

namespace adit::engine {

std::string_view name_of(NamespaceState state) {
  switch (state) {
    case NamespaceState::empty:
      return "empty";
    case NamespaceState::owned:
      return "owned";
    case NamespaceState::ownerless:
      return "ownerless";
    case NamespaceState::leased:
      return "leased";
  }
  return "";
}

size_t Namespaces::records_of(const std::string& name) const {
  return rules_->records_of(name) + sas_->records_of(name);
}

void Namespaces::acts(const NamespaceActor& actor, const std::string& name) {
  if (name.empty() || actor.connection == 0) return;
  Life& life = lives_[name];
  life.holders[{actor.via, actor.connection}] = actor.uid;
  life.lease_over = false;
  if (std::exchange(life.told, false))
    context_.events.add(Severity::info, EventKind::namespace_owned, name,
                        fmt::format("user id {} owns namespace {}", actor.uid, name));
}

void Namespaces::gone(const NamespaceActor& actor) {
  for (auto life = lives_.begin(); life != lives_.end();) {
    auto& [name, about] = *life;
    const bool left = about.holders.erase({actor.via, actor.connection}) > 0 && about.holders.empty();
    if (left) about.ownerless_since = context_.clock.now();
    life = about.holders.empty() && find(name) == nullptr ? lives_.erase(life) : std::next(life);
  }
}

// Once a second at most: a command that comes and goes is no news, and nobody floods the events by coming and going.
void Namespaces::tell_ownerless(const std::string& name, Life& life) {
  const NamespaceRecord* record = find(name);
  const size_t rules = rules_->records_of(name), sas = sas_->records_of(name);
  if (record == nullptr || life.told || !life.holders.empty() || rules + sas == 0) return;
  life.told = true;
  context_.events.add(
      Severity::info, EventKind::namespace_ownerless, name,
      fmt::format(
          "namespace {} has no owner; its {} rules and {} SAs {}", name, rules, sas,
          record->lease_seconds == 0 ? "stay" : fmt::format("go after {} s, which closes", record->lease_seconds)));
}

void Namespaces::tick() {
  const MonoTime now = context_.clock.now();
  for (auto& [name, life] : lives_) {
    tell_ownerless(name, life);
    const NamespaceRecord* record = find(name);
    if (record == nullptr || record->lease_seconds == 0 || !life.holders.empty() || life.lease_over) continue;
    if (now < life.ownerless_since + Seconds(record->lease_seconds) || records_of(name) == 0) continue;
    Outcome outcome;
    if (auto retired = retire(name, outcome); !retired) {
      context_.events.add(Severity::alert, EventKind::namespace_failed, name, retired.error().text);
      life.ownerless_since = now;  // and once more
      continue;
    }
    life.lease_over = true;
    std::string closed;
    for (const auto& note : outcome.notes) closed += "; " + note;
    context_.events.add(Severity::warning, EventKind::namespace_expired, name,
                        fmt::format("the lease of namespace {} is over{}", name, closed));
  }
}

Result<> Namespaces::retire(const std::string& name, Outcome& outcome) {
  TRY(rules_->retire(name, outcome));
  return sas_->retire(name, outcome);
}

NamespaceInfo Namespaces::info_of(const std::string& name) const {
  NamespaceInfo info;
  const NamespaceRecord* record = find(name);
  info.registered = record != nullptr;
  info.record = record != nullptr ? *record : NamespaceRecord{.name = name, .rules = 0, .sas = 0};
  info.rules = rules_->records_of(name);
  info.sas = sas_->records_of(name);
  const auto life = lives_.find(name);
  const bool owned = life != lives_.end() && !life->second.holders.empty();
  if (owned)
    info.state = NamespaceState::owned;
  else if (info.rules + info.sas > 0)
    info.state = NamespaceState::ownerless;
  if (info.state != NamespaceState::ownerless || info.record.lease_seconds == 0 || life->second.lease_over) return info;
  info.state = NamespaceState::leased;
  const auto over = life->second.ownerless_since + Seconds(info.record.lease_seconds);
  const auto left = std::chrono::ceil<Seconds>(over - context_.clock.now()).count();
  info.lease_left = static_cast<uint32_t>(std::max<int64_t>(left, 0));
  return info;
}

std::vector<NamespaceInfo> Namespaces::list() const {
  std::set<std::string> names;
  for (const auto& [name, record] : records_) names.insert(name);
  for (const auto& [name, life] : lives_) names.insert(name);
  for (const auto* part : {rules_, sas_}) {
    for (auto& name : part->namespaces_with_records()) names.insert(std::move(name));
  }
  names.erase("");
  std::vector<NamespaceInfo> infos;
  infos.reserve(names.size());
  for (const auto& name : names) infos.push_back(info_of(name));
  return infos;
}

}  // namespace adit::engine
