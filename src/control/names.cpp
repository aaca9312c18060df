#include "control/names.h"

#include <algorithm>

namespace adit::engine {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kStartGrace{1000};  // for the whole of a start
constexpr milliseconds kGrace{100};        // of one command
constexpr Seconds kFirstPatience{2}, kMostPatience{300};
constexpr Seconds kSilence{10};  // a question without an answer for so long is told
constexpr size_t kMostNames = 20'000;

}  // namespace

Names::Names(const Clock& clock, EventLog& events, std::shared_ptr<const config::Resolver> resolver)
    : clock_(clock), events_(events), resolver_(resolver), look_ups_(std::move(resolver)), start_grace_(kStartGrace) {}

std::vector<net::Address> Names::Known::host(std::string_view name) const {
  return names_.need(name).answer.addresses;
}

std::optional<net::Prefix> Names::Known::network(std::string_view name) const {
  return names_.need(name).answer.network;
}

std::optional<uint16_t> Names::Known::service(std::string_view name) const {
  return names_.resolver_->service(name);
}

std::optional<uint8_t> Names::Known::protocol(std::string_view name) const {
  return names_.resolver_->protocol(name);
}

Names::Entry& Names::need(std::string_view name) {
  auto found = entries_.find(name);
  if (found == entries_.end()) {
    if (entries_.size() >= kMostNames) return too_many_ = {};
    found = entries_.emplace(name, Entry{}).first;
    missed_.insert(found->first);
  }
  return found->second;
}

bool Names::ask(const std::string& name, Entry& entry) {
  if (std::exchange(entry.asked, true)) return false;
  entry.asked_at = clock_.now();
  look_ups_.ask(name);
  return true;
}

bool Names::wait_for(const std::vector<std::string>& names) {
  if (names.empty()) return false;
  const auto began = std::chrono::steady_clock::now();
  look_ups_.wait(names, starting_ ? start_grace_ : kGrace);
  const auto took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began);
  if (starting_) start_grace_ -= std::min(took, start_grace_);
  return take_answers();
}

bool Names::ask_what_was_missed() {
  std::vector<std::string> asked;
  for (const std::string& name : std::exchange(missed_, {})) {
    if (ask(name, entries_.at(name))) asked.push_back(name);
  }
  return wait_for(asked);
}

const config::NameAnswer& Names::look_up(const std::string& name) {
  Entry& entry = need(name);
  (void)ask_what_was_missed();
  return entry.answer;
}

void Names::ask_again() {
  std::vector<std::string> asked;
  for (auto& [name, entry] : entries_) {
    if (ask(name, entry)) asked.push_back(name);
  }
  (void)wait_for(asked);
}

bool Names::take_answers() {
  bool changed = false;
  for (auto& [name, said] : look_ups_.take()) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) continue;
    Entry& entry = found->second;
    entry.asked = false;
    if (said.resolves()) {
      if (std::exchange(entry.told, false))
        events_.add(Severity::info, EventKind::name_resolved, name, fmt::format("'{}' resolves now", name));
      entry.patience = Seconds{0};
    } else {
      entry.patience = std::clamp(2 * entry.patience, kFirstPatience, kMostPatience);
      entry.try_again = clock_.now() + entry.patience;
      tell(name, entry, said.refused ? "does not resolve" : "cannot be looked up");
    }
    // A resolver that is away takes nothing back that it said before.
    if (entry.answer == said || (!said.resolves() && !said.refused)) continue;
    changed = changed || entry.answer.resolves() || said.resolves();
    entry.answer = std::move(said);
  }
  return changed;
}

void Names::tell(const std::string& name, Entry& entry, const std::string& why) {
  if (std::exchange(entry.told, true)) return;
  events_.add(Severity::warning, EventKind::name_unresolved, name,
              fmt::format("'{}' {}: {}; it is looked up again by itself", name, why,
                          entry.answer.resolves() ? "what it stood for last is kept"
                                                  : "what names it is closed until it does"));
}

void Names::tick() {
  const MonoTime now = clock_.now();
  for (auto& [name, entry] : entries_) {
    if (entry.asked && now - entry.asked_at >= kSilence) tell(name, entry, "gets no answer from the resolver");
    if (entry.patience > Seconds{0} && now >= entry.try_again) (void)ask(name, entry);
  }
}

void Names::start_is_over() {
  starting_ = false;
}

}  // namespace adit::engine
