// rename-link: the guard holds for both names, the device gets the new one, the disk, then the policy of every
// namespace in one swap.
#include <algorithm>
#include <filesystem>
#include <set>

#include "base/store.h"
#include "links/links.h"

namespace adit::engine {
namespace {

// What the operator has to do with one file that names the old tunnel.
std::string remedy(const RuleOrigin& file, const std::string& name, const std::string& new_name) {
  const std::filesystem::path path(file.file);
  if (path.filename() == name + ".conf" && path.parent_path().filename() == "tunnels")
    return fmt::format("mv {} {}", file.file, (path.parent_path() / (new_name + ".conf")).string());
  return fmt::format("write 'tunnel {}' in {}:{}", new_name, file.file, file.line);
}

std::string remedies(const std::vector<RuleOrigin>& files, const std::string& name, const std::string& new_name) {
  std::string text;
  for (const RuleOrigin& file : files) text += (text.empty() ? "" : "; ") + remedy(file, name, new_name);
  return text;
}

// Namespaces of services that gave rules to the tunnel.
std::set<std::string> owners(const spd::Head* head) {
  std::set<std::string> names;
  if (head == nullptr) return names;
  for (const spd::Rule& rule : head->rules()) {
    if (!rule.name_space.empty() && rule.name_space != kPropertyNamespace) names.insert(rule.name_space);
  }
  return names;
}

}  // namespace

// The next refresh takes away the rules that files have for the old name. A secured tunnel closes then; another one
// must not come to pass clear text by a change of name.
Result<> Links::check_rename(const Tunnel& tunnel, const std::string& new_name) const {
  const std::string& name = tunnel.active.name;
  TRY(tunnel::check_name(new_name));
  if (tunnels_.contains(new_name) || broken_line_of(new_name) != nullptr || context_.platform.interface(new_name))
    return fail(EEXIST, "object already exists: {}; choose another name", new_name);
  TRY(may_delete(name));
  TRY(may_promise(*this, name));
  TRY(policy_.may_rename(name, new_name));
  const auto files = policy_.files_naming(name);
  const auto head = policy_.head_of(name);
  const bool property = tunnel.active.properties.ipsec.has_value();
  if (tunnel.active.secured || property || files.empty() || policy_.head_of(new_name) || !owners(head.get()).empty())
    return {};
  return fail(EBUSY,
              "{0} is not secured (-S) and its rules are in files that name it: after the next refresh {1} would pass "
              "clear text; first {2} (a copy beside the old rules will do) and refresh ipsec/policy",
              name, new_name, remedies(files, name, new_name));
}

Result<> Links::guard_both(const std::string& name, const std::string& new_name, Undo& undo) {
  const Tunnel& tunnel = tunnels_.at(name);
  if (!tunnel.active.secured) return {};  // what the name holds from an earlier, secured tunnel is not this one's
  TRY_ASSIGN(const auto before, guard_.hold_also(name, new_name));
  undo.add([this, before] { guard_.take_back(before); });
  TRY_ASSIGN(const auto rules,
             guard_.hold(policy_.holds_of(new_name, policy_.head_of(new_name).get(), tunnel.active.temporary)));
  undo.add([this, rules] { guard_.take_back(rules); });
  return {};
}

void Links::change_name(const std::string& from, const std::string& to) {
  auto node = tunnels_.extract(from);
  node.key() = to;
  node.mapped().active.name = to;
  set_ends(node.mapped(), node.mapped().ends);
  if (node.mapped().stored) node.mapped().stored->name = to;
  names_[static_cast<uint32_t>(node.mapped().active.id)] = to;
  tunnels_.insert(std::move(node));
}

Result<> Links::rename_device(const std::string& name, const std::string& new_name, Undo& undo) {
  TunnelRecord half = tunnels_.at(name).active;
  half.id = free_id();
  half.name = new_name;
  half_made_.insert_or_assign(new_name, std::move(half));
  undo.add([this, new_name] {
    half_made_.clear();
    (void)save_active({new_name});
  });
  TRY(save_active({new_name}));
  crash_point("rename:recorded");
  const Tunnel& tunnel = tunnels_.at(name);
  const auto log = [this, index = tunnel.index, secured = tunnel.active.secured](const auto& from, const auto& to) {
    context_.steps.device_removed(from, index);
    context_.steps.device_added(to, index, secured);
  };
  TRY(context_.platform.rename_link(name, new_name));
  log(name, new_name);
  undo.add([this, log, name, new_name] {
    if (context_.platform.rename_link(new_name, name)) log(new_name, name);
  });
  crash_point("rename:device");
  return {};
}

Result<Outcome> Links::rename(const std::string& name, const std::string& new_name) {
  TRY_ASSIGN(Tunnel* const tunnel, find(name));
  TRY(check_rename(*tunnel, new_name));

  Undo undo;
  TRY(close_carrier(*tunnel, undo));
  TRY(guard_both(name, new_name, undo));
  crash_point("rename:guarded");
  TRY(rename_device(name, new_name, undo));
  half_made_.clear();
  change_name(name, new_name);
  undo.add([this, name, new_name] {
    change_name(new_name, name);
    (void)save_stored({name, new_name});
    (void)save_active({name, new_name});
  });
  resting_.erase(new_name);
  if (tunnels_.at(new_name).stored) TRY(save_stored({name, new_name}));
  crash_point("rename:stored");
  TRY(save_active({name, new_name}));
  undo.keep();
  Outcome outcome = policy_goes_along(name, new_name);
  if (auto told = guard_.tunnels_changed({name, new_name}); !told)
    context_.events.add(Severity::warning, EventKind::guard_failed, new_name, told.error().text);
  if (tunnels_.at(new_name).active.secured)
    if (auto forgotten = guard_.forget(name, Opening::rename); !forgotten)
      context_.events.add(Severity::warning, EventKind::guard_failed, name, forgotten.error().text);
  for (auto* user : users_) user->link_renamed(name, new_name);
  TRY(refresh(tunnels_.at(new_name)));
  context_.events.add(Severity::info, EventKind::link_renamed, new_name,
                      fmt::format("{} is called {} now", name, new_name));
  return outcome;
}

Outcome Links::policy_goes_along(const std::string& name, const std::string& new_name) {
  const auto files = policy_.files_naming(name);
  const auto others = owners(policy_.head_of(name).get());
  policy_.tunnel_renamed(name, new_name);
  Outcome outcome;
  if (!files.empty())
    outcome.notes.push_back(
        fmt::format("its rules came along, but the next refresh of ipsec/policy takes away those of files that name "
                    "{}, and {} {}: {}",
                    name, new_name, tunnels_.at(new_name).active.secured ? "closes then" : "lacks them then",
                    remedies(files, name, new_name)));
  for (const std::string& other : others)
    outcome.notes.push_back(fmt::format("rules of {} came along; what its owner says of {} from now on is not about {}",
                                        other, name, new_name));
  if (tunnels_.at(new_name).active.secured && !policy_.head_of(new_name))
    outcome.notes.push_back(fmt::format("{} has no rule and is down until it gets one", new_name));
  return outcome;
}

}  // namespace adit::engine
