// The inside of spd::Database: counts, limits, generations, and what every change goes through.
#pragma once

#include "spd/database.h"
#include "spd/head_state.h"

namespace adit::spd {

struct Database::State {
  struct Space {
    uint64_t generation = 0;
    size_t rules = 0;
  };
  Limits limits;
  std::map<std::string, HeadState, std::less<>> heads;
  std::map<std::string, Space, std::less<>> spaces;
  size_t rules = 0;
  uint64_t generation = 0;
  std::map<std::string, size_t, std::less<>> quotas;  // of namespaces that have one of their own
  std::shared_ptr<const HeadSet> published = std::make_shared<HeadSet>();
  std::map<std::string, bool, std::less<>> changed;  // heads to build again

  HeadState* find(std::string_view head) {
    const auto found = heads.find(head);
    return found == heads.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const HeadState* find(std::string_view head) const {
    const auto found = heads.find(head);
    return found == heads.end() ? nullptr : &found->second;
  }
  Space& space(std::string_view name) {
    const auto found = spaces.find(name);
    return found != spaces.end() ? found->second : spaces[std::string(name)];
  }
  size_t rules_of(std::string_view name) const {
    const auto found = spaces.find(name);
    return found == spaces.end() ? 0 : found->second.rules;
  }

  Result<HeadState*> make_head(std::string_view head);
  Result<> check_room(std::string_view name_space, size_t adding, size_t removing) const;
  size_t quota_of(std::string_view name) const {
    const auto found = quotas.find(name);
    return found == quotas.end() ? limits.rules_of_namespace : found->second;
  }
  Result<> check_neighbours(std::string_view head, std::string_view name_space, const Shelf& coming,
                            bool override) const;
  Result<> check_precedence(std::string_view head, std::string_view name_space,
                            const std::vector<const Rule*>& coming) const;
  void replace(std::string_view head, std::string_view name_space, std::shared_ptr<Shelf> shelf);
  void take_out(std::string_view head, const std::string& name_space, const std::vector<uint64_t>& indexes);
  void moved(std::string_view head);
  void committed(std::string_view name_space) {
    ++generation;
    space(name_space).generation = generation;
  }
  // Those that the draft has rules for, and those whose rules it takes away.
  [[nodiscard]] std::vector<std::string> heads_of(const Draft& draft) const;
  // All that a flip looks at, but for who was faster.
  Result<> check_flip(const Draft& draft, const std::vector<std::string>& names, bool override_others) const;
  Result<uint64_t> flip(Draft& draft, const std::vector<std::string>& names, bool force, bool override_others);
};

}  // namespace adit::spd
