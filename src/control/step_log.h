// The steps by which the promise stands or falls, one a line, so that tests/model/trace_checker.py can say whether the
// model allows their order (the format: docs/model/README.md). For tests: off unless a file is named, and then each
// step costs one comparison.
//
// Each step is logged right after it is done (on disk, or in the kernel), but for layer_opens, right before. A daemon
// killed between a step and its line then never makes a true order look wrong.
//
// One thread. Daemons of one test append to the same file, whole lines at a time.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "net/address.h"

namespace adit::engine {

enum class Layer : uint8_t { rule, owned, lasting };  // DESIGN's three mechanisms
inline constexpr Layer kLayers[] = {Layer::rule, Layer::owned, Layer::lasting};
enum class BookState : uint8_t { intact, older, missing };                           // what a start found
enum class Opening : uint8_t { open, release, deletion, withdrawal, rename, undo };  // why an entry leaves the book

class StepLog {
 public:
  // Off.
  StepLog() = default;
  // `who`: "aditd", "guardian", "console". Appends to the file `path`, made with mode 0600 and never followed as a
  // link; off when it cannot be opened. `clock` outlives the log.
  StepLog(const std::string& path, std::string who, const Clock& clock);
  // To the file that ADIT_TRACE_STEPS names; off without it.
  static StepLog from_environment(std::string who, const Clock& clock);
  StepLog(StepLog&& other) noexcept;
  StepLog& operator=(StepLog&& other) noexcept;
  StepLog(const StepLog&) = delete;
  StepLog& operator=(const StepLog&) = delete;
  ~StepLog();

  [[nodiscard]] bool on() const { return fd_ >= 0; }

  // ---- a life of a process
  // First of all; then what the book says, each entry, `started`, before anything is done.
  void start() {
    if (on()) line({"start"});
  }
  void book(BookState found) {
    if (on()) line({"book", name_of(found)});
  }
  void loaded(const net::Prefix& network, std::string_view tunnel, std::string_view who, std::string_view source,
              bool temporary = false) {
    if (on()) entry("loaded", network, tunnel, who, source, temporary);
  }
  // The book is older or missing and this stands in the kernel; book_added(…, "kept") follows before started().
  void adopted(const net::Prefix& network) {
    if (on()) line({"adopted", network.masked().str()});
  }
  void started() {
    if (on()) line({"started"});
  }
  // An orderly end; last.
  void stop() {
    if (on()) line({"stop"});
  }

  // ---- the book. `who`: "operator", "user:NAME" or "others"; `source`: address, route, policy, seen, standing, kept,
  // closed, rule-gone.
  // Right before the entry is written: killed now, it may or may not be there.
  void book_writes(const net::Prefix& network, std::string_view tunnel, std::string_view who, std::string_view source) {
    if (on()) line({"writes", network.masked().str(), tunnel, who, source});
  }
  // After the entry is on disk.
  void book_added(const net::Prefix& network, std::string_view tunnel, std::string_view who, std::string_view source,
                  bool temporary = false);
  // Right before the record is written, and so before anything opens. `id`: without spaces, never used twice. An empty
  // tunnel or source: all entries of the network, of the tunnel. `who`: whose command it is.
  void record(std::string_view id, Opening why, const net::Prefix& network, std::string_view tunnel,
              std::string_view who, std::string_view source) {
    if (!on()) return;
    line({"record", id, name_of(why), network.masked().str(), tunnel.empty() ? "*" : tunnel, who,
          source.empty() ? "*" : source});
  }
  // After the book on disk no longer has the entry.
  void book_removed(const net::Prefix& network, std::string_view tunnel, std::string_view who, std::string_view source,
                    std::string_view record);
  // What root allows: `who` "user:NAME", a delegation; "others", the prefixes whose seen routes close for good.
  void allowed(std::string_view who, const net::Prefix& prefix) {
    if (on()) line({"allow", who, prefix.masked().str()});
  }
  void no_longer_allowed(std::string_view who, const net::Prefix& prefix) {
    if (on()) line({"disallow", who, prefix.masked().str()});
  }

  // ---- layers. Of the owned table `aditd` logs what the guardian has acknowledged.
  // Stands whole, for all that the book holds now: made, put back, or looked at.
  void layer_up(Layer layer) {
    if (on()) line({"layer", name_of(layer), "up"});
  }
  // Stands, for this network now too.
  void layer_up(Layer layer, const net::Prefix& network) {
    if (on()) line({"layer", name_of(layer), "up", network.masked().str()});
  }
  // Was found gone, changed or overtaken; or its keeper is away or does not answer.
  void layer_down(Layer layer) {
    if (on()) line({"layer", name_of(layer), "down"});
  }
  // Right before the layer lets the network go.
  void layer_opens(Layer layer, const net::Prefix& network) {
    if (on()) line({"layer", name_of(layer), "opens", network.masked().str()});
  }

  // ---- tunnels
  // Made or adopted, without carrier.
  void device_added(std::string_view tunnel, int index, bool secured) {
    if (on()) line({"device+", tunnel, std::to_string(index), secured ? "secured" : "plain"});
  }
  void device_removed(std::string_view tunnel, int index) {
    if (on()) line({"device-", tunnel, std::to_string(index)});
  }
  // The guard lets this device carry packets to guarded networks; it no longer does.
  void passes(std::string_view tunnel, int index) {
    if (on()) line({"pass+", tunnel, std::to_string(index)});
  }
  void passes_no_longer(std::string_view tunnel, int index) {
    if (on()) line({"pass-", tunnel, std::to_string(index)});
  }
  // What packets see (the published snapshot): rules attached, or none.
  void policy(std::string_view tunnel, bool attached) {
    if (on()) line({"policy", tunnel, attached ? "on" : "off"});
  }
  void carrier(std::string_view tunnel, bool carrier_on) {
    if (on()) line({"carrier", tunnel, carrier_on ? "on" : "off"});
  }
  // A route, or an address's peer, that leads into the device.
  void route_added(const net::Prefix& network, std::string_view tunnel) {
    if (on()) line({"route+", network.masked().str(), tunnel});
  }
  void route_removed(const net::Prefix& network, std::string_view tunnel) {
    if (on()) line({"route-", network.masked().str(), tunnel});
  }

 private:
  static std::string_view name_of(Layer layer);
  static std::string_view name_of(BookState state);
  static std::string_view name_of(Opening why);
  void entry(std::string_view step, const net::Prefix& network, std::string_view tunnel, std::string_view who,
             std::string_view source, bool temporary);
  void line(std::initializer_list<std::string_view> words);
  bool append(std::string_view text);

  int fd_ = -1;
  std::string who_;
  const Clock* clock_ = nullptr;
  uint64_t lost_ = 0;  // lines that could not be written
  bool torn_ = false;  // the file ends in half a line
};

}  // namespace adit::engine
