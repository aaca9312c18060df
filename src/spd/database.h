// The SPD as its single writer holds it: the rules of every head and every namespace, drafts of what shall come, and
// the immutable heads that readers get. Pure: no I/O, no clock, one thread (the engine's). Every method does all or
// nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/persistent_map.h"
#include "base/result.h"
#include "spd/head.h"
#include "spd/rule.h"
#include "spd/rule_changes.h"

namespace adit::spd {

// Every head that has a rule, by name; "" is the host's. Immutable once published: readers of any thread keep it as
// long as they like. A changed copy costs what changed, whatever the number of heads.
class HeadSet {
 public:
  uint64_t generation = 0;
  // The set that this one was made from, and the heads that may not be as there.
  uint64_t made_from = 0;
  std::set<std::string> changed;

  // null: no rule for that name, which is "no policy".
  [[nodiscard]] std::shared_ptr<const Head> find(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> names() const;  // in order
  [[nodiscard]] size_t size() const { return heads_.size(); }
  template <typename Visit>
  void for_each(Visit visit) const {  // (name, head); in no order
    heads_.for_each(visit);
  }
  void put(std::shared_ptr<const Head> head);
  void erase(const std::string& name) { heads_.erase(name); }

 private:
  struct NameHash {
    size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
  };
  PersistentMap<std::string, std::shared_ptr<const Head>, NameHash> heads_;
};
// Names of the heads that are not the same in both.
std::set<std::string> changed_heads(const HeadSet& before, const HeadSet& after);

struct Limits {
  size_t rules = 200'000;  // SPD entries, all heads and namespaces; drafts are bounded by the same number each
  size_t heads = 20'000;
  size_t rules_of_namespace = 200'000;
};

// Who acts: the sender's namespace, and whether it may touch the records of others (the caller has checked its
// privilege).
struct Owner {
  std::string name_space;
  bool override_others = false;
};

class Shelf;  // the rules of one namespace in one head; shared until somebody edits

// A standby copy of one namespace's rules. Edited through the Database; nobody else sees it. A value: copies are cheap.
class Draft {
 public:
  Draft() = default;
  [[nodiscard]] const std::string& name_space() const { return name_space_; }
  // The namespace's generation that it was cloned from.
  [[nodiscard]] uint64_t based_on() const { return based_on_; }
  [[nodiscard]] size_t size() const;   // rules in it
  [[nodiscard]] size_t bytes() const;  // about what they take
  [[nodiscard]] bool has_head(std::string_view head) const;
  [[nodiscard]] std::vector<Rule> rules(std::string_view head) const;  // in index order
  // The same where they are: valid until this draft, not a copy of it, is edited or gone.
  [[nodiscard]] std::vector<const Rule*> rule_pointers(std::string_view head) const;
  [[nodiscard]] std::vector<std::string> heads() const;  // those with a rule, the host's first

 private:
  friend class Database;
  std::string name_space_;
  uint64_t based_on_ = 0;
  std::map<std::string, std::shared_ptr<Shelf>, std::less<>> shelves_;  // copied on the first edit after a clone
};

class Database {
 public:
  explicit Database(Limits limits = {});
  ~Database();
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;

  // What readers shall see from now on. Builds the heads that changed since the last call, so several edits in a row
  // cost one build. The same pointer as before when nothing changed.
  [[nodiscard]] std::shared_ptr<const HeadSet> current();
  // Moves with every committed change; current()->generation is this.
  [[nodiscard]] uint64_t generation() const;
  [[nodiscard]] uint64_t generation_of(std::string_view name_space) const;
  [[nodiscard]] size_t size() const;
  [[nodiscard]] size_t size_of(std::string_view name_space) const;
  [[nodiscard]] std::vector<std::string> namespaces() const;  // those with rules
  // Rules of the host's head that only drop. Their going would open what they close.
  [[nodiscard]] size_t host_drops(std::string_view name_space) const;
  // How many rules a namespace may have; nullopt: Limits::rules_of_namespace. What is over it already stays.
  void set_quota(const std::string& name_space, std::optional<size_t> rules);

  // Heads live by name, whether a tunnel of that name exists or not; the first rule makes one. A tunnel pins its head,
  // so that commands about it succeed while it has no rules. Index counters go on as long as the head is known.
  void pin_head(std::string_view head);
  // The tunnel is deleted, and its rules of every namespace with it (policy.md §3.2).
  void remove_head(std::string_view head);
  // The tunnel is renamed: its rules of every namespace go by the new name from now on, as one change. A namespace that
  // has rules under the new name already wrote those for it: they stay, and its old ones end. EBUSY, EPERM as
  // add: rules that would come together in one head; nothing changed. may_rename_head only looks.
  Result<> rename_head(std::string_view from, std::string_view to);
  [[nodiscard]] Result<> may_rename_head(std::string_view from, std::string_view to) const;
  // A draft that was made before goes along. What it holds under the new name already stays.
  static void rename_head(Draft& draft, std::string_view from, std::string_view to);
  [[nodiscard]] bool knows_head(std::string_view head) const;

  // ---- edits of what is in force; each is one generation. `entries` is one ADDRULE (what expand() made of it),
  // actions resolved; their name_space is set to the owner's. Returns the last index given. EEXIST: the same entry is
  // there, nothing added. EBUSY: tunnel and transport mode mixed. EINVAL, ENOTSUP: check_rule. EDQUOT: a limit. EPERM:
  // a clear-text rule (pass) over a tunnel that another namespace protects, or a rule that would decide traffic which
  // a rule of another namespace decides (spd/conflict.h); its name is in the text.
  Result<uint64_t> add(const Owner& owner, std::string_view head, std::vector<Rule> entries);
  // ENOENT: unknown head. ESRCH: no such index. EPERM: another namespace's, its name in the text.
  Result<> remove(const Owner& owner, std::string_view head, uint64_t index);
  // Every rule of the owner with the traffic of one of `like`. ENOENT, ESRCH; EPERM: only others have such.
  Result<> remove(const Owner& owner, std::string_view head, const std::vector<Rule>& like);
  // The owner's rules of one head. ENOENT: unknown head.
  Result<> flush(const Owner& owner, std::string_view head);
  // The owner's rules of every head.
  void flush_all(const Owner& owner);
  // The namespace's owner is gone for good: its rules of every head go, but those of the host's that only drop.
  void retire(const std::string& name_space);

  // ---- drafts
  [[nodiscard]] Draft empty_draft(std::string name_space) const;  // based on the generation of now
  void clone_all(Draft& draft) const;                             // replaces its contents; based on now
  Result<> clone(Draft& draft, std::string_view head) const;      // ENOENT: unknown head
  // As above. EBUSY and EPERM against other namespaces are looked at by flip.
  Result<uint64_t> add(Draft& draft, std::string_view head, std::vector<Rule> entries);
  // A draft of what the namespace has now, with these changes (REQUIRES: compare_rules of what it has now): what is
  // kept has its index, what is added is numbered behind all others. As add.
  Result<Draft> changed_draft(std::string name_space, const std::vector<HeadChange>& changes);
  // Whether changed_draft and its flip would succeed; changes nothing.
  Result<> rehearse(const std::string& name_space, const std::vector<HeadChange>& changes);
  Result<> remove(Draft& draft, std::string_view head, uint64_t index);
  Result<> remove(Draft& draft, std::string_view head, const std::vector<Rule>& like);
  Result<> flush(Draft& draft, std::string_view head);  // ENOENT: neither here nor there known
  void flush_all(Draft& draft);

  // Swaps the draft with what is in force of its namespace, in every head, as one generation; the draft then holds what
  // was in force, based on the new generation, so that flipping it again undoes. A head that the draft lacks is
  // emptied. EAGAIN: the namespace changed since the draft was made, unless `force`. EBUSY, EDQUOT, EPERM as add;
  // nothing changed.
  Result<uint64_t> flip_all(Draft& draft, bool force = false, bool override_others = false);
  // One head only. ESRCH: unknown head.
  Result<uint64_t> flip(Draft& draft, std::string_view head, bool force = false, bool override_others = false);
  // What `before` was cloned from is in force again, under the generation of then: nothing happened, and drafts that
  // were made since then still flip. For a change that could not take effect.
  Result<> take_back(Draft before);
  Result<> take_back(Draft before, std::string_view head);  // of a change that touched this head alone

 private:
  Result<> take_back_by(Draft& before, const std::function<Result<uint64_t>()>& flip);
  struct State;
  Result<> apply_change(Draft& draft, const HeadChange& change);
  std::unique_ptr<State> state_;
};

}  // namespace adit::spd
