// Sequence numbers of manually keyed SAs across the daemon's lives. A sender that began anew would repeat IVs under the
// same key (fatal for counter modes) and be dropped as a replay; a receiver that began anew would take old packets
// again. Outbound: a ceiling is on disk before any number below it is used; the next life begins above it. Inbound: the
// highest number seen, about once a second. Numbers belong to a key, not to an SPI: new keys begin anew, old keys that
// come back go on. Only SAs of the global namespace: key exchange makes fresh keys instead.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>

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
    std::string keys;  // fingerprint of algorithms and keys
    bool outbound = false;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Entry {
    uint64_t value = 0;  // outbound: ceiling; inbound: highest seen
    uint64_t last = 0;   // outbound: where it stood at the last save
    uint64_t age = 0;    // of the SA that began last: the same one begins once
  };
  // An SA that serves both ways has an entry a way.
  Key key_of(const sad::Sa& sa, bool outbound);
  Entry* entry_for(const sad::Sa& sa, bool outbound);  // null: full
  void begin_inbound(sad::Sa& sa);
  void begin_outbound(sad::Sa& sa);
  void read(const std::string& path);
  bool raise_ceiling(const sad::Sa& sa, bool stopping);
  bool note_highest(sad::Sa& sa);
  [[nodiscard]] std::string text() const;

  const Context& context_;
  std::map<Key, Entry> entries_;
  std::unordered_map<uint64_t, std::string> keys_;  // fingerprints by the SA's age: hashing them each second would cost
  bool disk_due_ = false;                           // begin() made a ceiling that is not on disk
};

}  // namespace adit::engine
