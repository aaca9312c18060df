// SAs, the newest first, in pieces that changed copies share: a hundred thousand between the same two hosts cost one
// more what ten do.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "sad/sa.h"

namespace adit::sad {

class SaSequence {
 public:
  [[nodiscard]] bool empty() const { return pieces_.empty(); }

  // REQUIRES: it is not among them.
  void put(Sa* sa) {
    const auto at = piece_for(sa->age);
    if (at == pieces_.end()) {
      pieces_.push_back(std::make_shared<const Piece>(Piece{sa}));
      return;
    }
    Piece changed = **at;
    changed.insert(place_in(changed, sa->age), sa);
    if (changed.size() <= kMost) {
      *at = std::make_shared<const Piece>(std::move(changed));
      return;
    }
    const auto half = changed.begin() + kMost / 2;
    auto older = std::make_shared<const Piece>(half, changed.end());
    *at = std::make_shared<const Piece>(changed.begin(), half);
    pieces_.insert(at + 1, std::move(older));
  }

  void erase(const Sa* sa) {
    const auto at = piece_for(sa->age);
    if (!holds(at, sa)) return;
    Piece changed = **at;
    std::erase(changed, sa);
    if (changed.empty())
      pieces_.erase(at);
    else
      *at = std::make_shared<const Piece>(std::move(changed));
  }

  [[nodiscard]] bool contains(const Sa* sa) const {
    auto& self = const_cast<SaSequence&>(*this);  // looks only
    return self.holds(self.piece_for(sa->age), sa);
  }

  // Until `visit` returns false.
  template <typename Visit>
  void each(const Visit& visit) const {
    for (const auto& piece : pieces_) {
      for (Sa* sa : *piece) {
        if (!visit(sa)) return;
      }
    }
  }

 private:
  static constexpr size_t kMost = 256;
  using Piece = std::vector<Sa*>;
  using Pieces = std::vector<std::shared_ptr<const Piece>>;

  // The first whose oldest is not newer; else the last; end() if there is none.
  Pieces::iterator piece_for(uint64_t age) {
    const auto at = std::ranges::partition_point(pieces_, [&](const auto& piece) { return piece->back()->age > age; });
    return at == pieces_.end() && !pieces_.empty() ? at - 1 : at;
  }
  static Piece::iterator place_in(Piece& piece, uint64_t age) {
    return std::ranges::partition_point(piece, [&](const Sa* sa) { return sa->age > age; });
  }
  bool holds(Pieces::iterator at, const Sa* sa) const {
    if (at == pieces_.end()) return false;
    auto place = std::ranges::partition_point(**at, [&](const Sa* other) { return other->age > sa->age; });
    for (; place != (*at)->end() && (*place)->age == sa->age; ++place) {
      if (*place == sa) return true;
    }
    return false;
  }

  Pieces pieces_;
};

}  // namespace adit::sad
