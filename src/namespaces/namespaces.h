// Namespaces: who may act in which, on which tunnels and within which bounds; and whose owner is there. An owner is
// the connections (PF_POLICY, PF_KEY) that act in a namespace. When the last one goes its records stay: nothing opens.
// Registered ones are in /etc/adit/namespaces; root may use names that nobody registered.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/seams.h"
#include "namespaces/namespaces_file.h"

namespace adit::engine {

// What a namespace has records in: Policy (rules), Keys (SAs).
class NamespacePart {
 public:
  virtual ~NamespacePart() = default;
  [[nodiscard]] virtual size_t records_of(const std::string& name) const = 0;
  [[nodiscard]] virtual std::vector<std::string> namespaces_with_records() const = 0;
  virtual void set_quota(const std::string& name, const NamespaceRecord* record) = 0;  // null: none of its own
  // May its records be taken away without opening anything? EBUSY: which may not, and how to do it knowingly.
  virtual Result<> may_retire(const std::string& name) const = 0;
  // Takes them away and opens nothing: secured tunnels go down, others that lose their last rule stay closed, rules
  // of the host that drop stay. The notes say what is closed.
  virtual Result<> retire(const std::string& name, Outcome& outcome) = 0;
  // Root has deleted the namespace: what only it kept closed opens, and the notes say so.
  virtual void deleted(const std::string&, Outcome&) {}
};

enum class NamespaceState : uint8_t {
  empty,      // no owner, no records
  owned,      // somebody acts in it now
  ownerless,  // nobody does; its records stay
  leased,     // nobody does; its records go when the lease is over
};
std::string_view name_of(NamespaceState state);

struct NamespaceInfo {
  NamespaceRecord record;
  bool registered = false;
  size_t rules = 0, sas = 0;
  NamespaceState state = NamespaceState::empty;
  uint32_t lease_left = 0;  // seconds; of a leased one
};

// One connection that acts. `connection` 0: none in particular, holds nothing.
struct NamespaceActor {
  enum class Via : uint8_t { policy, keys };
  uid_t uid = 0;
  Via via = Via::policy;
  uint64_t connection = 0;
};

// What create and delegate set; what is not given stays, or is the default of a new one.
struct NamespaceChange {
  std::vector<uid_t> users;
  std::vector<std::string> tunnels;
  std::vector<net::Prefix> networks = {};
  std::optional<uint32_t> rules, sas, lease_seconds;
  bool bypass = false;
};

class Namespaces {
 public:
  explicit Namespaces(const Context& context) : context_(context) {}
  // Before restore(). `rules` is retired first: it closes.
  void set_parts(NamespacePart& rules, NamespacePart& sas) { rules_ = &rules, sas_ = &sas; }
  // Reads the registry; before the first rule. A file that cannot be read delegates nothing, is reported, and is not
  // overwritten: commands that would write it are refused until it is repaired.
  void restore();

  // ---- adit namespace. Each does all of it or nothing, and is on disk when it returns.
  // EEXIST; EINVAL: name, pattern, user, quota; EPERM: a namespace of the engine's own.
  Result<Outcome> create(const std::string& name, const NamespaceChange& change);
  // ENOENT: not registered; EINVAL.
  Result<Outcome> delegate(const std::string& name, const NamespaceChange& change);
  // What is named is taken back; nothing named: every user and tunnel. ENOENT: not registered, or not delegated so.
  Result<Outcome> revoke(const std::string& name, const NamespaceChange& change);
  // ENOENT. EBUSY: it has records and `records` is false, or they cannot go without opening something.
  Result<Outcome> remove(const std::string& name, bool records);
  // Registered ones and those with records or an owner, by name; not the global one.
  [[nodiscard]] std::vector<NamespaceInfo> list() const;

  // ---- asked for every request. EPERM with a sentence.
  // Root (and the daemon's own user) may act everywhere. Others in what is delegated to them, without override.
  Result<> permit(uid_t uid, const std::string& name, bool override_others) const;
  // ... on that tunnel.
  Result<> permit_tunnel(uid_t uid, const std::string& name, std::string_view tunnel) const;
  // Whether the news and records of a namespace are for that user's eyes.
  [[nodiscard]] bool may_see(uid_t uid, const std::string& name) const;
  // Whether a tunnel is delegated to that user, in whatever namespace: then its policy is for the user's eyes.
  [[nodiscard]] bool may_see_tunnel(uid_t uid, std::string_view tunnel) const;
  // Rules, keys, and who may make them, are news for root, and of what is delegated to a user for that user; the rest
  // for everybody.
  [[nodiscard]] bool may_hear(uid_t uid, const LogEvent& event) const;
  // How many rules the namespaces of that user may have together; nullopt: none is delegated to it.
  [[nodiscard]] std::optional<uint64_t> rules_delegated_to(uid_t uid) const;
  // Users other than root may let clear text pass in it.
  [[nodiscard]] bool may_bypass(const std::string& name) const;
  // Its rules may close this network for the whole host: one of the operator's own services, or delegated so.
  [[nodiscard]] bool may_close(const std::string& name, const net::Prefix& network) const;
  // A tunnel that loses its last rule by a change in that namespace stays closed, secured or not.
  [[nodiscard]] bool keeps_closed(const std::string& name) const;

  // ---- owners
  void acts(const NamespaceActor& actor, const std::string& name);
  void gone(const NamespaceActor& actor);  // the connection ended
  void tick();                             // leases that are over

 private:
  struct Holder {
    NamespaceActor::Via via;
    uint64_t connection;
    friend auto operator<=>(const Holder&, const Holder&) = default;
  };
  struct Life {  // of those that have, or had, an owner
    std::map<Holder, uid_t> holders;
    MonoTime ownerless_since{};
    bool lease_over = false;  // its records that may go are gone
    bool told = false;        // that nobody is there
  };
  [[nodiscard]] const NamespaceRecord* find(const std::string& name) const;
  Result<> apply(NamespaceRecord& record, const NamespaceChange& change) const;
  Result<> save(const std::map<std::string, NamespaceRecord>& records) const;
  Result<> put(const NamespaceRecord& record);
  Result<> retire(const std::string& name, Outcome& outcome);
  void tell_ownerless(const std::string& name, Life& life);
  [[nodiscard]] size_t records_of(const std::string& name) const;
  [[nodiscard]] NamespaceInfo info_of(const std::string& name) const;

  const Context& context_;
  NamespacePart* rules_ = nullptr;
  NamespacePart* sas_ = nullptr;
  std::map<std::string, NamespaceRecord> records_;
  std::map<std::string, Life> lives_;
  std::optional<Error> unreadable_;  // the registry
};

}  // namespace adit::engine
