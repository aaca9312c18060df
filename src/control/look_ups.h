// Look-ups of names in threads of their own: a resolver that is dead, or slow, makes nobody wait but itself.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/source/resolver.h"

namespace adit::engine {

constexpr size_t kMostLookUps = 64;  // at once; further names wait for a thread

// The threads are nobody's to wait for: a call of the resolver cannot be broken off. What they share with the object
// outlives it. The methods: one thread.
class LookUps {
 public:
  explicit LookUps(std::shared_ptr<const config::Resolver> resolver);
  ~LookUps();  // does not wait; answers that come later are for nobody
  LookUps(const LookUps&) = delete;
  LookUps& operator=(const LookUps&) = delete;

  struct Answer {
    std::string name;
    config::NameAnswer said;
  };
  void ask(const std::string& name);
  std::vector<Answer> take();
  // Until each of these is answered, or the time is over.
  void wait(const std::vector<std::string>& names, std::chrono::milliseconds most);
  // Called on a thread of a look-up when take() has something; empty: nobody.
  void set_bell(std::function<void()> bell);

 private:
  struct Desk;
  std::shared_ptr<Desk> desk_;
};

}  // namespace adit::engine
