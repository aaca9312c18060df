// Sequence numbers of manually keyed SAs across the daemon's lives. A sender that began anew would repeat IVs under the
// same key (fatal for counter modes) and be dropped as a replay; a receiver that began anew would take old packets
// again. Both ways a limit is on disk before a number below it is used or accepted, and no number above it is
// (sad/ceiling.h); the next life begins above it, wherever this one ended: by a stop, a kill or a power cut. (After a
// kill what was accepted is known exactly: seen_marks.h.) Numbers
// belong to keys: new keys begin anew, old keys that come back go on, in whatever namespace. What a key exchange made
// is left out: it makes fresh keys instead.
//
// Records of keys that no SA has any more are kept for kKeptSeconds, and beyond that as long as there is room. When
// there is none left, new SAs of that namespace are refused: nothing is forgotten silently.
// Engine thread only.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "control/seams.h"
#include "keys/number_journal.h"
#include "keys/seen_marks.h"
#include "sad/database.h"

namespace adit::engine {

class SequenceStore final : public sad::Remembrance {
 public:
  static constexpr uint64_t kKeptSeconds = 90 * 86'400;
  struct Bounds {  // records of keys that are gone
    size_t of_operator = 131'072, of_namespace = 4'096;
  };
  explicit SequenceStore(const Context& context) : SequenceStore(context, Bounds{}) {}
  SequenceStore(const Context& context, Bounds bounds);

  // Before the first SA is made. What cannot be known closes: begin() refuses then.
  void restore();

  // All or none. Their numbers go on where an earlier life of the same keys stopped. On disk when it returns. ENOSPC,
  // EIO (not_remembered): no room, no disk, or a damaged file.
  sad::KeyResult<> begin(std::span<const sad::SaPtr> fresh) override;
  // It has left the table.
  void end(sad::Sa& sa);
  // Somebody moved its numbers by hand (PF_KEY's replay value): what is above its limits is saved.
  void changed(const sad::SaPtr& sa);
  // They need higher limits: on disk first. What could not be saved is tried again with tick().
  void raise(std::span<const sad::SaPtr> wanting);
  // True: limits were raised that could not be before.
  bool tick();
  // No packet is on its way any more: the numbers are exact.
  void stop();

 private:
  struct Key {
    sad::SaName name;
    uint64_t keys = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    size_t operator()(const Key& key) const;
  };
  struct Pace {  // how fast one way counts
    uint64_t position = 0;
    MonoTime since{};
    double peak = 0;  // numbers a second
    uint64_t ahead(uint64_t position_now, MonoTime now, uint64_t least, uint64_t most);
  };
  struct Entry {
    NumberRecord record;
    sad::SaPtr live;
    SeenMarks::Mark* mark = nullptr;
    Pace sent, seen;
  };
  struct Plan;

  static bool is_remembered(const sad::Sa& sa);
  static Key key_of(const sad::Sa& sa);
  static SeenMarks::Name mark_name(const Key& key);
  void take_mark(Entry& entry, const Key& key, sad::Sa& sa);
  void drop_mark(Entry& entry);
  sad::KeyResult<> make_room(const std::string& name_space, size_t more);
  Plan plan(Entry& entry, const sad::Sa& sa, uint64_t sent, uint64_t seen);
  void apply(const Plan& plan, Entry& entry, sad::Sa& sa);
  Result<> write(std::span<const NumberRecord> records, bool sync);
  Result<> rewrite();
  void lower(Entry& entry, std::vector<NumberRecord>& changed);
  void count_gone(const std::string& name_space, int by);
  void note_gone(const NumberRecord& record);
  void forget(const NumberRecord& record);
  void say_unsaved(const Result<>& saved);

  const Context& context_;
  Bounds bounds_;
  NumberJournal journal_;
  SeenMarks marks_;
  uint64_t id_ = 0;  // of this life's file
  std::string damage_;
  std::unordered_map<Key, Entry, KeyHash> entries_;
  std::unordered_map<const sad::Sa*, Entry*> live_;
  struct Used {
    uint64_t sent = 0;  // by those that are gone: whatever SPI the keys come back under, they go on above it
    size_t entries = 0;
  };
  std::unordered_map<uint64_t, Used> used_;  // by fingerprint
  std::map<std::string, size_t> gone_;       // how many, by namespace
  std::vector<sad::SaPtr> again_;            // what raise() could not save
  std::unordered_set<Entry*> fast_;          // whose limit is far ahead of them
  bool unsaved_ = false;
};

}  // namespace adit::engine
