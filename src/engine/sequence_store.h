// Sequence numbers of manually keyed SAs across the daemon's lives. A sender that began anew would repeat IVs under the same
// key (fatal for counter modes) and be dropped as a replay; a receiver that began anew would take old packets again.
// Outbound: a ceiling is on disk before any number below it is used; the next life begins above it. Inbound: the highest number
// seen, about once a second. Only SAs of the global namespace: key exchange makes fresh keys instead.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "engine/seams.h"
#include "sad/database.h"

namespace adit::engine {

class SequenceStore {
 public:
  explicit SequenceStore(const Context& context) : context_(context) {}

  void restore();
  // Before the SA is published to packets.
  void begin(sad::Sa& sa);
  // Once a second, and after begin(). `stopping`: no packet is sent any more, the numbers are exact.
  void save(const sad::Database& database, bool stopping);

 private:
  struct Key {
    sad::SaName name;
    bool outbound = false;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Entry {
    uint64_t value = 0;        // outbound: ceiling; inbound: highest seen
    uint64_t last = 0;         // outbound: where it stood at the last save
  };
  void read(const std::string& path);
  bool raise_ceiling(const sad::Sa& sa, bool stopping);
  bool note_highest(sad::Sa& sa);
  [[nodiscard]] std::string text() const;

  const Context& context_;
  std::map<Key, Entry> entries_;
  bool disk_due_ = false;      // begin() made a ceiling that is not on disk
};

}  // namespace adit::engine
