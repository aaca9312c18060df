// Keys and namespaces: who may make SAs between which addresses, and SAs whose owner is gone for good.
#include "control/permission.h"
#include "keys/keys.h"

namespace adit::engine {
namespace {

NamespaceActor actor_of(const PeerCredentials& peer) {
  return {peer.uid, NamespaceActor::Via::keys, peer.connection};
}

}  // namespace

Result<> Keys::permit(const PeerCredentials& peer, const sad::Requester& who) {
  TRY(namespaces_.permit(peer.uid, who.name_space, who.override_owner));
  if (!is_privileged(peer)) namespaces_.acts(actor_of(peer), who.name_space);
  return {};
}

// Both addresses, in either direction, are a tunnel's; and it is one of those that the namespace is delegated for.
Result<> Keys::permit_outer(const PeerCredentials& peer, const sad::Requester& who, const net::Address& source,
                            const net::Address& destination) {
  namespaces_.acts(actor_of(peer), who.name_space);
  if (is_privileged(peer)) return {};
  for (const auto& tunnel : links_.tunnels()) {
    const bool out = tunnel.local == source && tunnel.remote == destination;
    const bool in = tunnel.local == destination && tunnel.remote == source;
    if (tunnel.local && tunnel.remote && (out || in))
      return namespaces_.permit_tunnel(peer.uid, who.name_space, tunnel.name);
  }
  return fail(EPERM, "permission denied: no tunnel that {} is delegated for is between {} and {}", who.name_space,
              source.str(), destination.str());
}

bool Keys::is_privileged(const PeerCredentials& peer) const {
  return engine::is_privileged(peer.uid);
}

bool Keys::may_see(const PeerCredentials& peer, const std::string& name_space) const {
  return namespaces_.may_see(peer.uid, name_space);
}

void Keys::overrode(const PeerCredentials& peer, const sad::Requester& who, const std::string& what) {
  context_.events.add(Severity::warning, EventKind::key_override, who.name_space,
                      fmt::format("user id {}, process {}, acting in {}, overrode other namespaces: {}", peer.uid,
                                  peer.pid, who.name_space.empty() ? "the global namespace" : who.name_space, what));
}

void Keys::connection_closed(const PeerCredentials& peer) {
  namespaces_.gone(actor_of(peer));
}

void Keys::set_quota(const std::string& name, const NamespaceRecord* record) {
  database_.set_quota(name, record == nullptr ? std::nullopt : std::optional<size_t>(record->sas));
}

Result<> Keys::retire(const std::string& name, Outcome& outcome) {
  const size_t gone = database_.flush(sad::SaType::unspec, {name});
  keys_changed();
  if (gone > 0) outcome.notes.push_back(fmt::format("{} SAs of {} are gone; what needs them is dropped", gone, name));
  return {};
}

}  // namespace adit::engine
