// The SAD's single writer: every rule of PF_KEY about SAs, without messages and without I/O. Time comes from a Clock,
// so tests move it. One thread (the engine's). What packets read is table(): publish it after each call that may have
// changed something, and pass take_events() on.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "crypto/algorithm.h"
#include "sad/acquire.h"
#include "sad/diagnostic.h"
#include "sad/sa.h"
#include "sad/table.h"

namespace adit::sad {

using SaPtr = std::shared_ptr<Sa>;

// Who asks. Records of another namespace are refused (EPERM, other_namespace, the owner's name in the text) unless
// override_owner is set; whether the caller may set it, the engine decides before.
struct Requester {
  std::string name_space;
  bool override_owner = false;
};

struct SaName {
  SaType type = SaType::esp;
  Spi spi{};
  net::Address destination;
  friend auto operator<=>(const SaName&, const SaName&) = default;
};
SaName name_of(const Sa& sa);

// PF_KEY's replay value: outbound the last number sent, inbound the highest seen. Waits for the burst of a worker.
uint64_t replay_value_of(Sa& sa);

// ADD and UPDATE. spec.pair, spec.cookie, keys: as given. Lifetimes not given stay as they are (UPDATE) or unlimited
// (ADD).
struct SaRequest {
  SaSpec spec;
  SaState state = SaState::mature;
  std::optional<Lifetime> hard, soft, idle;
  std::optional<uint64_t> replay_value;  // inbound: highest seen; outbound: last sent
};

struct SpiRequest {
  SaType type = SaType::esp;
  net::Address source, destination;
  uint32_t minimum = 0, maximum = 0;  // host byte order, inclusive
  uint32_t acquire_seq = 0;
};

// What happened. SaPtr keeps the SA alive; its state is DEAD once it left the table.
struct SaAdded {
  SaPtr sa;
};  // also larval, and larval that became mature
struct SaChanged {
  SaPtr sa;
};
struct SaDeleted {
  SaPtr sa;
};  // by DELETE, FLUSH and their kin
struct SaExpired {
  SaPtr sa;
  Expiry expiry = Expiry::none;
  bool removed = false;
};
struct AcquireRaised {
  Acquire acquire;
};
struct AcquireEnded {
  Acquire acquire;
  bool found = false;
  int error = 0;
};  // found: an SA serves it; else why not
using Event = std::variant<SaAdded, SaChanged, SaDeleted, SaExpired, AcquireRaised, AcquireEnded>;

// Who keeps sequence numbers across the lives of the daemon. Asked before SAs enter the table; all or none may.
class Remembrance {
 public:
  virtual ~Remembrance() = default;
  virtual KeyResult<> begin(std::span<const SaPtr> fresh) = 0;
};

class Database {
 public:
  struct Settings {
    Remembrance* remembrance = nullptr;  // null: nothing outlives us
    size_t maximum_sas = 100'000;
    size_t maximum_acquires = 4096;
    Seconds larval_wait{120};  // a GETSPI without UPDATE
    Seconds acquire_wait{30};
    std::function<bool(const net::Address&)> is_local;  // now; for listings alone. Empty: they show only what flags say
  };
  // Both outlive the database. `algorithms` is read at each request: what ipsecalgs removed is refused from then on.
  Database(const Clock& clock, const crypto::AlgorithmTable& algorithms, Settings settings);
  Database(const Clock& clock, const crypto::AlgorithmTable& algorithms) : Database(clock, algorithms, Settings{}) {}
  ~Database();

  // ---- requests. All or nothing; the KeyError has errno and diagnostic.

  // EEXIST: the range is all taken. EINVAL: bad range (malformed_range), reserved SPI.
  KeyResult<SaPtr> get_spi(const SpiRequest& request, const Requester& who);
  // EEXIST: (SPI, type, destination) is there. EINVAL: any check of sad/validate.h. ENOMEM: too_many. ESRCH: the pair.
  KeyResult<SaPtr> add(SaRequest request, const Requester& who);
  // Larval: completes it. Else: lifetimes, state (MATURE, DYING), replay value, pair, cookie. ESRCH: sa_not_found.
  KeyResult<SaPtr> update(SaRequest request, const Requester& who);
  // In one step `gone`, SAs of this database, leave and `fresh` come: SAs of another database that is not used any
  // more, with the owners they have there. The errors of add(); nothing is changed then.
  KeyResult<> exchange(const std::vector<SaPtr>& gone, const std::vector<SaPtr>& fresh);
  // Lifetimes of both SAs of a pair. ESRCH: sa_not_found, pair_not_found.
  KeyResult<SaPtr> update_pair(SaRequest request, const Requester& who);
  KeyResult<SaPtr> remove(const SaName& name, const Requester& who);
  KeyResult<SaPtr> remove_pair(const SaName& name, const Requester& who);
  // Pairs whose SA is in `state`. type unspec: all. Returns how many SAs went.
  size_t remove_pairs_in_state(SaType type, SaState state, const Requester& who);
  [[nodiscard]] KeyResult<SaPtr> get(const SaName& name, const Requester& who) const;
  // SAs of the requester's namespace (override_owner: of all). Returns how many went.
  size_t flush(SaType type, const Requester& who);

  // ---- listing, oldest first. A page begins behind `after` (the age of the last SA seen); an empty page is the end.
  struct DumpFilter {
    SaType type = SaType::unspec;
    Requester who;            // override_owner: all namespaces
    uint64_t unused_for = 0;  // only SAs unused for that many seconds; 0: all
  };
  [[nodiscard]] std::vector<SaPtr> page(const DumpFilter& filter, uint64_t after, size_t count) const;

  // ---- acquires

  // False: there is one for this key already, or the limit is reached. True: AcquireRaised is among the events.
  bool acquire(const AcquireKey& key, const Endpoints& outer, const spd::Rule& rule, const net::Flow& flow);
  // The key manager's "it failed" (ACQUIRE with errno). ESRCH: no such record. Frees larval SAs of that seq, those of
  // `who` alone if given.
  KeyResult<> acquire_failed(uint32_t seq, int error, const Requester* who = nullptr);
  [[nodiscard]] const Acquire* find_acquire(uint32_t seq) const;
  [[nodiscard]] const std::map<uint32_t, Acquire>& acquires() const { return acquires_; }  // open ones, by seq
  // The link went, or its policy changed: its records end.
  void forget_acquires(const std::string& link);

  // ---- time and use

  // A worker saw that limit reached (datapath::SaReached) and has moved the SA's state itself, so the SA alone no
  // longer tells which. none: look for yourself.
  void reached(const SaName& name, Expiry expiry = Expiry::none);
  // Does all that is due. Call at next_deadline(), or earlier, or more often.
  void tick();
  [[nodiscard]] std::optional<MonoTime> next_deadline() const;

  // ---- for publishing

  [[nodiscard]] std::shared_ptr<const Table> table() const { return table_; }
  [[nodiscard]] uint64_t generation() const { return generation_; }  // moves with every change of table()
  [[nodiscard]] std::vector<Event> take_events();
  [[nodiscard]] size_t size() const { return by_age_.size(); }
  [[nodiscard]] size_t size_of(const std::string& name_space) const;
  [[nodiscard]] std::vector<std::string> namespaces() const;  // those with SAs
  // How many SAs a namespace may have, larval ones too (EDQUOT, quota, when it wants more); nullopt: no quota of its
  // own. What is over it already stays.
  void set_quota(const std::string& name_space, std::optional<size_t> sas);

 private:
  struct Entry;
  using Entries = std::map<SaName, std::unique_ptr<Entry>>;

  Entry* find(const SaName& name) const;
  KeyResult<Entry*> owned(const SaName& name, const Requester& who) const;
  KeyResult<Entry*> pair_of(const Sa& sa) const;
  KeyResult<Entry*> check_pair(const Sa& sa) const;
  void join(Sa& sa, Entry* other);
  void part(const Sa& sa);
  KeyResult<SaPtr> insert(SaPtr sa);
  KeyResult<> check_quota(const std::string& name_space, size_t more) const;
  void enter(SaPtr sa);
  KeyResult<> remember(std::span<const SaPtr> fresh) const;
  void birth(Sa& sa) const;
  KeyResult<SaPtr> complete(Entry& larval, SaRequest request);
  KeyResult<SaPtr> change(Entry& entry, const SaRequest& request);
  KeyResult<> change_lifetimes(Entry& entry, const SaRequest& request);
  void show_direction(Sa& sa) const;
  void erase(const SaName& name);
  void expire(Entry& entry, Expiry expiry);
  void examine(Entry& entry);
  void arm(Entry& entry);
  void resolve_acquires(const Sa& sa);
  void end_acquire(uint32_t seq, bool found, int error);
  [[nodiscard]] bool may_touch(const Sa& sa, const Requester& who) const;

  const Clock& clock_;
  const crypto::AlgorithmTable& algorithms_;
  Settings settings_;
  std::shared_ptr<const Table> table_;
  uint64_t generation_ = 0;
  uint64_t next_age_ = 1;
  Entries entries_;
  std::map<uint64_t, Entry*> by_age_;
  std::set<std::pair<uint64_t, uint64_t>> timers_;  // (second, age)
  std::set<uint64_t> larval_;                       // ages of those without keys
  std::map<uint32_t, Acquire> acquires_;            // by seq
  std::map<AcquireKey, uint32_t> acquire_by_key_;
  std::set<std::pair<net::Address, uint32_t>> acquire_by_remote_;
  uint32_t next_seq_ = 0x80000000u;
  std::map<std::string, size_t> counts_, quotas_;  // by namespace
  std::vector<Event> events_;
};

}  // namespace adit::sad
