// A hash map whose changed copies share all that did not change: 64 x 64 buckets, of which a change copies one, and the
// two arrays above it. Readers keep their copy as long as they like. Buckets stay short up to some 100,000 entries.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace adit {

template <typename Key, typename Value, typename Hash>
class PersistentMap {
 public:
  // Never allocates. The pointer lives as long as this map or any copy of it, or until its key is put again here.
  template <typename Like = Key>
  [[nodiscard]] const Value* find(const Like& key) const {
    const Bucket* bucket = bucket_at(Hash{}(key));
    if (bucket == nullptr) return nullptr;
    for (const auto& [have, value] : *bucket) {
      if (have == key) return &value;
    }
    return nullptr;
  }

  // Adds or replaces.
  void put(const Key& key, Value value) {
    Bucket* bucket = copy_at(Hash{}(key));
    for (auto& entry : *bucket) {
      if (entry.first == key) {
        entry.second = std::move(value);
        return;
      }
    }
    bucket->emplace_back(key, std::move(value));
    ++size_;
  }

  void erase(const Key& key) {
    if (find(key) == nullptr) return;
    Bucket* bucket = copy_at(Hash{}(key));
    std::erase_if(*bucket, [&](const auto& entry) { return entry.first == key; });
    --size_;
  }

  template <typename Visit>
  void for_each(Visit visit) const {
    if (root_ == nullptr) return;
    for (const auto& node : *root_) {
      if (node == nullptr) continue;
      for (const auto& bucket : *node) {
        if (bucket == nullptr) continue;
        for (const auto& [key, value] : *bucket) visit(key, value);
      }
    }
  }

  [[nodiscard]] size_t size() const { return size_; }

 private:
  static constexpr size_t kWidth = 64;
  using Bucket = std::vector<std::pair<Key, Value>>;
  using Node = std::array<std::shared_ptr<Bucket>, kWidth>;
  using Root = std::array<std::shared_ptr<Node>, kWidth>;

  [[nodiscard]] const Bucket* bucket_at(size_t hash) const {
    if (root_ == nullptr) return nullptr;
    const auto& node = (*root_)[hash % kWidth];
    return node == nullptr ? nullptr : (*node)[hash / kWidth % kWidth].get();
  }

  // A bucket of our own, on a path of our own.
  Bucket* copy_at(size_t hash) {
    root_ = root_ == nullptr ? std::make_shared<Root>() : std::make_shared<Root>(*root_);
    auto& node = (*root_)[hash % kWidth];
    node = node == nullptr ? std::make_shared<Node>() : std::make_shared<Node>(*node);
    auto& bucket = (*node)[hash / kWidth % kWidth];
    bucket = bucket == nullptr ? std::make_shared<Bucket>() : std::make_shared<Bucket>(*bucket);
    return bucket.get();
  }

  std::shared_ptr<Root> root_;
  size_t size_ = 0;
};

}  // namespace adit
