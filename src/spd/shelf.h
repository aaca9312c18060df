// The rules of one namespace in one head: by index, with what add and flip must know at once. Part of spd::Database.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>

#include "spd/rule.h"

namespace adit::spd {

class Shelf {
 public:
  [[nodiscard]] size_t size() const { return rules_.size(); }
  [[nodiscard]] const std::map<uint64_t, std::shared_ptr<const Rule>>& rules() const { return rules_; }
  [[nodiscard]] bool has(uint64_t index) const { return rules_.contains(index); }
  [[nodiscard]] const Rule* find(uint64_t index) const;  // nullptr: not here
  // The rule that same_entry finds, or nullptr.
  [[nodiscard]] const Rule* find_same(const Rule& rule) const;

  // REQUIRES: a new index, above all others here.
  void add(std::shared_ptr<const Rule> rule);
  void remove(uint64_t index);   // REQUIRES: has(index)
  void count(const Rule& rule);  // only the figures below, for a look ahead

  [[nodiscard]] size_t bytes() const { return bytes_; }  // memory_of all

  [[nodiscard]] size_t of_mode(Mode mode) const { return modes_[static_cast<size_t>(mode)]; }
  [[nodiscard]] size_t passing() const { return passing_; }  // rules that let clear text pass
  [[nodiscard]] size_t closing() const { return closing_; }  // rules that protect or drop

 private:
  std::map<uint64_t, std::shared_ptr<const Rule>> rules_;
  std::unordered_multimap<size_t, const Rule*> by_entry_;  // hash_entry
  std::array<size_t, 3> modes_{};
  size_t passing_ = 0, closing_ = 0, bytes_ = 0;
};

}  // namespace adit::spd
