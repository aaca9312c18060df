// The beginnings of keys (guard_layout.h): one look-up says for most packets that no closed network is near, and for
// most others that their device may carry them. What is not so sure is left to the keys themselves. One family. Pure;
// one thread.
#pragma once

#include <map>
#include <set>
#include <utility>

#include "net/address.h"

namespace adit::platform {

// How long the beginnings are, of keys of these lengths: the shortest in use that few networks of the world share.
uint8_t near_length(net::Family family, const std::set<uint8_t>& lengths);

class GuardNear {
 public:
  struct Elements {
    std::set<net::Prefix> near;                  // of all keys that are no shorter
    std::set<std::pair<net::Prefix, int>> sole;  // keys of just this length with none in them, and who may carry them
  };
  struct Step {
    Elements gone, come;
  };

  explicit GuardNear(uint8_t length = 0) : length_(length) {}
  [[nodiscard]] uint8_t length() const { return length_; }

  // Shorter keys change nothing.
  void key(const net::Prefix& key, bool stands);
  void pass(const net::Prefix& key, int device, bool stands);
  Step step();  // since the last call
  [[nodiscard]] Elements all() const;

 private:
  struct Place {
    bool own = false;
    std::set<net::Prefix> longer;
    std::set<int> devices;
  };
  [[nodiscard]] net::Prefix beginning(const net::Prefix& key) const;
  Place& touch(const net::Prefix& beginning);
  void put(const net::Prefix& beginning, Elements& elements) const;

  uint8_t length_;
  std::map<net::Prefix, Place> places_;
  std::set<net::Prefix> touched_;
  Elements before_;  // of touched_
};

}  // namespace adit::platform
