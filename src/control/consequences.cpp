#include "control/consequences.h"

namespace adit::engine {

std::vector<std::string> Consequences::Watch::sentences() const {
  std::vector<std::string> told;
  for (const auto& [tunnel, change] : changes_)
    if (change.now != change.before && !change.sentence.empty()) told.push_back(change.sentence);
  return told;
}

void Consequences::note(const std::string& tunnel, Stand before, Stand now, const std::string& sentence) {
  for (Watch* watch : watches_) {
    auto& change = watch->changes_.try_emplace(tunnel, Watch::Change{before, now, {}}).first->second;
    change.now = now;
    change.sentence = sentence;
  }
}

void Consequences::gone(const std::string& tunnel) {
  for (Watch* watch : watches_) watch->changes_.erase(tunnel);
}

}  // namespace adit::engine
