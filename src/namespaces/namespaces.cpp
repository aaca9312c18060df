// The registry: what root decides about namespaces. Who is there, and leases: namespace_owners.cpp.
#include "namespaces/namespaces.h"

#include <fnmatch.h>

#include <algorithm>
#include <ranges>

#include "base/store.h"
#include "control/permission.h"
#include "services/services.h"

namespace adit::engine {
namespace {

constexpr const char* kRegistry = "/etc/adit/namespaces";

// The engine's own: rules that are properties of tunnels, and the name of the service that loads the files.
bool is_the_engines(std::string_view name) {
  return name == kIptunService || name == kPolicyService;
}

Result<> check_user(uid_t user) {
  if (is_privileged(user)) return fail(EINVAL, "user id {} may act in every namespace already", user);
  return {};
}

std::string users_of(const NamespaceRecord& record) {
  std::string text;
  for (const uid_t user : record.users) text += fmt::format("{}{}", text.empty() ? "" : ", ", user);
  return text;
}

void note_what_lacks(const NamespaceRecord& record, Outcome& outcome) {
  if (!record.users.empty() && record.tunnels.empty())
    outcome.notes.push_back(fmt::format("the users of {} may act on no tunnel yet; name some with -t", record.name));
}

}  // namespace

const NamespaceRecord* Namespaces::find(const std::string& name) const {
  const auto found = records_.find(name);
  return found == records_.end() ? nullptr : &found->second;
}

void Namespaces::restore() {
  const std::string path = context_.in_root(kRegistry);
  const auto text = read_file(path);
  Result<std::vector<NamespaceRecord>> records;
  if (!text)
    records = std::unexpected(text.error());
  else if (*text)
    records = parse_namespaces(**text);
  if (!records) {
    unreadable_ = Error{records.error().code,
                        fmt::format("{}: {}; nothing is delegated until the file is repaired and aditd restarted", path,
                                    records.error().text)};
    return context_.events.add(Severity::alert, EventKind::namespace_failed, "", unreadable_->text);
  }
  for (auto& record : *records) {
    rules_->set_quota(record.name, &record);
    sas_->set_quota(record.name, &record);
    lives_[record.name].ownerless_since = context_.clock.now();
    records_.emplace(record.name, std::move(record));
  }
}

Result<> Namespaces::save(const std::map<std::string, NamespaceRecord>& records) const {
  if (unreadable_) return fail(unreadable_->code, "{}; nothing was changed", unreadable_->text);
  std::vector<NamespaceRecord> list;
  list.reserve(records.size());
  for (const auto& [name, record] : records) list.push_back(record);
  return replace_file(context_.in_root(kRegistry), format_namespaces(list), 0644, Lasting::disk, "namespaces");
}

Result<> Namespaces::put(const NamespaceRecord& record) {
  auto next = records_;
  next[record.name] = record;
  TRY(save(next));
  if (const NamespaceRecord* before = find(record.name))
    for (const net::Prefix& network : before->networks)
      if (!record.networks.contains(network)) context_.steps.no_longer_allowed("user:" + record.name, network);
  records_ = std::move(next);
  rules_->set_quota(record.name, &record);
  sas_->set_quota(record.name, &record);
  Life& life = lives_[record.name];
  if (life.holders.empty()) life.ownerless_since = context_.clock.now();
  return {};
}

Result<> Namespaces::apply(NamespaceRecord& record, const NamespaceChange& change) const {
  for (const uid_t user : change.users) {
    TRY(check_user(user));
    record.users.insert(user);
  }
  for (const std::string& pattern : change.tunnels) {
    TRY(check_tunnel_pattern(pattern));
    record.tunnels.insert(pattern);
  }
  for (const net::Prefix& network : change.networks) record.networks.insert(network.masked());
  if (change.rules == 0u || change.sas == 0u) return fail(EINVAL, "a quota must be 1 or more");
  record.rules = change.rules.value_or(record.rules);
  record.sas = change.sas.value_or(record.sas);
  record.lease_seconds = change.lease_seconds.value_or(record.lease_seconds);
  record.bypass = record.bypass || change.bypass;
  return {};
}

Result<Outcome> Namespaces::create(const std::string& name, const NamespaceChange& change) {
  TRY(check_namespace_name(name));
  if (is_the_engines(name)) return fail(EPERM, "{} is aditd's own: it cannot be delegated", name);
  if (find(name) != nullptr)
    return fail(EEXIST, "{} exists already; change it with 'adit namespace delegate' and 'revoke'", name);
  NamespaceRecord record{.name = name};
  TRY(apply(record, change));
  TRY(put(record));
  Outcome outcome;
  note_what_lacks(record, outcome);
  context_.events.add(Severity::info, EventKind::namespace_created, name, fmt::format("namespace {} was made", name));
  return outcome;
}

Result<Outcome> Namespaces::delegate(const std::string& name, const NamespaceChange& change) {
  const NamespaceRecord* known = find(name);
  if (known == nullptr)
    return fail(ENOENT, "there is no namespace {}; make it with 'adit namespace create {}'", name, name);
  NamespaceRecord record = *known;
  TRY(apply(record, change));
  TRY(put(record));
  Outcome outcome;
  note_what_lacks(record, outcome);
  context_.events.add(Severity::info, EventKind::namespace_delegated, name,
                      fmt::format("namespace {} is delegated to the user ids {}", name,
                                  record.users.empty() ? "(none)" : users_of(record)));
  return outcome;
}

Result<Outcome> Namespaces::revoke(const std::string& name, const NamespaceChange& change) {
  const NamespaceRecord* known = find(name);
  if (known == nullptr) return fail(ENOENT, "there is no namespace {}", name);
  NamespaceRecord record = *known;
  if (change.users.empty() && change.tunnels.empty() && change.networks.empty() && !change.bypass) {
    record.users.clear();
    record.tunnels.clear();
    record.networks.clear();
    record.bypass = false;
  }
  for (const uid_t user : change.users) {
    if (record.users.erase(user) == 0) return fail(ENOENT, "{} is not delegated to user id {}", name, user);
  }
  for (const std::string& pattern : change.tunnels) {
    if (record.tunnels.erase(pattern) == 0)
      return fail(ENOENT, "{} is not delegated for the tunnels {}; it is for those that 'adit namespace show {}' names",
                  name, pattern, name);
  }
  for (const net::Prefix& network : change.networks) {
    if (record.networks.erase(network.masked()) == 0)
      return fail(ENOENT, "{} is not delegated to {}", network.str(), name);
  }
  if (change.bypass) record.bypass = false;
  TRY(put(record));
  Life& life = lives_[name];
  const bool had = !life.holders.empty();  // else it is ownerless already
  std::erase_if(life.holders, [&](const auto& holder) { return !may_see(holder.second, name); });
  if (had && life.holders.empty()) life.ownerless_since = context_.clock.now();
  Outcome outcome;
  if (const size_t left = records_of(name); left > 0)
    outcome.notes.push_back(
        fmt::format("the {} rules and SAs of {} stay as they are; 'adit namespace delete -r {}' "
                    "takes them away and closes what they protect",
                    left, name, name));
  context_.events.add(Severity::info, EventKind::namespace_revoked, name,
                      fmt::format("namespace {} is delegated to the user ids {}", name,
                                  record.users.empty() ? "(none)" : users_of(record)));
  return outcome;
}

// The registry first: a namespace that is no longer in it but still has rules is closed, not open.
Result<Outcome> Namespaces::remove(const std::string& name, bool records) {
  if (find(name) == nullptr && (!records || records_of(name) == 0))
    return fail(ENOENT, "there is no namespace {}", name);
  if (is_the_engines(name))
    return fail(EPERM, "{} is aditd's own: its rules go with their tunnels' property 'ipsec'", name);
  const size_t rules = rules_->records_of(name), sas = sas_->records_of(name);
  if (rules + sas > 0 && !records)
    return fail(EBUSY,
                "{} has {} rules and {} SAs; take them away with 'ipsecconf -N {} -F' and 'ipseckey -N {} flush', or "
                "with -r here, which closes what they protect",
                name, rules, sas, name, name);
  TRY(rules_->may_retire(name));
  auto next = records_;
  next.erase(name);
  if (next.size() != records_.size()) TRY(save(next));
  Outcome outcome;
  if (auto retired = retire(name, outcome); !retired) {
    if (auto put_back = save(records_); !put_back)
      context_.events.add(Severity::alert, EventKind::namespace_failed, name, put_back.error().text);
    return std::unexpected(retired.error());
  }
  records_ = std::move(next);
  rules_->set_quota(name, nullptr);
  sas_->set_quota(name, nullptr);
  lives_.erase(name);
  rules_->deleted(name, outcome);
  context_.events.add(Severity::info, EventKind::namespace_deleted, name,
                      fmt::format("namespace {} was deleted", name));
  return outcome;
}

// ---- what may be done

Result<> Namespaces::permit(uid_t uid, const std::string& name, bool override_others) const {
  if (is_privileged(uid)) return {};
  if (name.empty())
    return fail(EPERM,
                "permission denied: user id {} may not act in the global namespace; act in one that is delegated to it "
                "('adit namespace list'), or become root",
                uid);
  const NamespaceRecord* record = find(name);
  if (record == nullptr || !record->users.contains(uid))
    return fail(EPERM, "permission denied: {} is not delegated to user id {}; it belongs to {}", name, uid,
                record == nullptr || record->users.empty() ? "root" : fmt::format("user id {}", users_of(*record)));
  if (override_others)
    return fail(EPERM, "permission denied: user id {} may not look into or override other namespaces; only root may",
                uid);
  return {};
}

Result<> Namespaces::permit_tunnel(uid_t uid, const std::string& name, std::string_view tunnel) const {
  if (is_privileged(uid)) return {};
  const NamespaceRecord* record = find(name);
  const std::string text(tunnel);
  const auto fits = [&](const std::string& pattern) { return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0; };
  if (record != nullptr && !tunnel.empty() && std::ranges::any_of(record->tunnels, fits)) return {};
  if (tunnel.empty())
    return fail(EPERM,
                "permission denied: the host's own policy and what concerns all of the host is root's; user id {} may "
                "act on tunnels only",
                uid);
  return fail(EPERM, "permission denied: tunnel {} is not among those that {} is delegated for", tunnel, name);
}

bool Namespaces::may_see(uid_t uid, const std::string& name) const {
  if (is_privileged(uid)) return true;
  const NamespaceRecord* record = find(name);
  return record != nullptr && record->users.contains(uid);
}

bool Namespaces::may_see_tunnel(uid_t uid, std::string_view tunnel) const {
  return is_privileged(uid) || std::ranges::any_of(records_, [&](const auto& entry) {
           return entry.second.users.contains(uid) && permit_tunnel(uid, entry.first, tunnel).has_value();
         });
}

bool Namespaces::may_hear(uid_t uid, const LogEvent& event) const {
  if (is_privileged(uid) || hearers_of(event.kind) == Hearers::everybody) return true;
  return may_see(uid, event.subject) || (!event.subject.empty() && may_see_tunnel(uid, event.subject));
}

std::optional<uint64_t> Namespaces::rules_delegated_to(uid_t uid) const {
  std::optional<uint64_t> sum;
  for (const auto& [name, record] : records_)
    if (record.users.contains(uid)) sum = sum.value_or(0) + record.rules;
  return sum;
}

bool Namespaces::may_bypass(const std::string& name) const {
  const NamespaceRecord* record = find(name);
  return record != nullptr && record->bypass;
}

bool Namespaces::may_close(const std::string& name, const net::Prefix& network) const {
  const NamespaceRecord* record = find(name);
  if (record == nullptr || record->users.empty()) {
    context_.steps.allowed("user:" + name, network);
    return true;
  }
  const auto mine = std::ranges::find_if(record->networks, [&](const auto& one) { return one.contains(network); });
  if (mine == record->networks.end()) return false;
  context_.steps.allowed("user:" + name, *mine);
  return true;
}

bool Namespaces::keeps_closed(const std::string& name) const {
  const NamespaceRecord* record = find(name);
  return record != nullptr && !record->bypass;
}

}  // namespace adit::engine
