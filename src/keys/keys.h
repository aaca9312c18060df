// The keys in force: the SAD, what follows from its changes, and what must outlive the daemon: sequence numbers, so
// that a restarted aditd never repeats one under the same key, and remembers what it has seen.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "config/ipseckey/ipseckey.h"
#include "control/key_access.h"
#include "control/seams.h"
#include "control/service_methods.h"
#include "datapath/events.h"
#include "keys/sequence_store.h"
#include "links/tunnel_policy.h"
#include "namespaces/namespaces.h"
#include "path/dataplane.h"
#include "policy/algorithms.h"
#include "sad/database.h"

namespace adit::engine {

class Keys final : public KeyAccess, public LinkUser, public NamespacePart {
 public:
  Keys(const Context& context, const Algorithms& algorithms, Dataplane& dataplane, const LinkView& links,
       const TunnelPolicy& policy, Namespaces& namespaces);

  // ---- KeyAccess
  sad::Database& keys() override { return database_; }
  [[nodiscard]] const crypto::AlgorithmTable& algorithms() const override { return algorithms_.table(); }
  void keys_changed() override;
  void listen_to_keys(std::function<void(const sad::Event&)> listener) override { listener_ = std::move(listener); }
  Result<> permit(const PeerCredentials& peer, const sad::Requester& who) override;
  Result<> permit_outer(const PeerCredentials& peer, const sad::Requester& who, const net::Address& source,
                        const net::Address& destination) override;
  [[nodiscard]] bool is_privileged(const PeerCredentials& peer) const override;
  [[nodiscard]] bool may_see(const PeerCredentials& peer, const std::string& name_space) const override;
  void overrode(const PeerCredentials& peer, const sad::Requester& who, const std::string& what) override;
  void connection_closed(const PeerCredentials& peer) override;
  Result<sad::Acquire> policy_for(const sad::Endpoints& outer, const std::optional<net::Flow>& inner) override;

  // ---- NamespacePart
  [[nodiscard]] size_t records_of(const std::string& name) const override { return database_.size_of(name); }
  [[nodiscard]] std::vector<std::string> namespaces_with_records() const override { return database_.namespaces(); }
  void set_quota(const std::string& name, const NamespaceRecord* record) override;
  Result<> may_retire(const std::string&) const override { return {}; }
  Result<> retire(const std::string& name, Outcome& outcome) override;

  // ---- LinkUser: a link that goes takes its acquires along.
  Result<> may_delete(const std::string&) const override { return {}; }
  [[nodiscard]] std::vector<Obstacle> standing_on(const std::string&) const override { return {}; }
  Result<> take_off(const std::string&, Undo&) override { return {}; }
  void link_ready(const std::string&) override {}
  void link_gone(const std::string& link) override;
  void link_renamed(const std::string& from, const std::string&) override { link_gone(from); }

  // ---- svc:/network/ipsec/manual-key: the SAs of /etc/inet/secret/ipseckeys replace those of the global namespace. An
  // SA that is there with the same keys stays as it is: beginning its sequence anew would repeat IVs. EPERM: the file
  // is readable by others; EINVAL: its errors; nothing changed then.
  Result<Outcome> load_file();
  Result<Outcome> flush_global();
  ServiceMethods service();

  // ---- the workers' words
  void handle(const datapath::AcquireNeeded& event);
  void handle(const datapath::SaReached& event);
  void handle(const datapath::NumbersWanted& event);  // gathers; save_numbers() when all events are handled
  void save_numbers();

  void restore() { sequences_.restore(); }  // before the first key is loaded
  void stop() { sequences_.stop(); }        // no packet is on its way any more
  void addresses_changed();
  void address_changed(const platform::AddressInfo& address, bool gone);
  void names_changed();  // of the file as it was loaded last, SAs that waited for a name come in
  void tick();           // lifetimes; limits of sequence numbers

 private:
  Result<Outcome> replace_by_file(const std::string& path);
  Result<> exchange_for(const sad::Database& wanted, const std::string& path);
  void report(const sad::Event& event);
  [[nodiscard]] config::KeyText parse(const Secret& file, const std::string& path) const;
  void tell(EventKind kind, const sad::Sa& sa, const char* what);

  const Context& context_;
  const Algorithms& algorithms_;
  Dataplane& dataplane_;
  const LinkView& links_;
  const TunnelPolicy& policy_;
  Namespaces& namespaces_;
  std::map<net::Address, std::set<std::pair<int, std::optional<net::Address>>>> local_addresses_;  // device, peer
  sad::Database database_;
  SequenceStore sequences_;
  std::vector<sad::SaPtr> wanting_;     // numbers
  uint64_t published_ = 0;              // generation
  std::optional<Secret> waiting_file_;  // the key file, while some of its SAs wait for a name
  std::function<void(const sad::Event&)> listener_;
};

}  // namespace adit::engine
