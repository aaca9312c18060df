// What becomes of tunnels while a command runs: Links notes each change of state here, and whoever watches, a command's
// answer or an event about a change that nobody waits for, takes the sentences along. Engine thread only.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace adit::engine {

// How a tunnel stands towards clear text.
enum class Stand : uint8_t {
  unknown,  // not looked at since the start
  born,     // just made
  shut,     // secured (or closed because it was), and nothing passes
  down,     // nothing passes, and rules would decide
  bare,     // nothing passes, and once it is up nothing keeps clear text from leaving
  up,       // rules decide
  open,     // it passes clear text
};

class Consequences {
 public:
  // What changed for the worse between its birth and the question. Without consequences (a test's bare part): nothing.
  class Watch {
   public:
    explicit Watch(Consequences* of) : of_(of) {
      if (of_ != nullptr) of_->watches_.push_back(this);
    }
    ~Watch() {
      if (of_ != nullptr) std::erase(of_->watches_, this);
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    // By tunnel, each a whole sentence: what is open or closed, why, and what mends it.
    [[nodiscard]] std::vector<std::string> sentences() const;

   private:
    friend class Consequences;
    struct Change {
      Stand before = Stand::unknown, now = Stand::unknown;
      std::string sentence;
    };
    Consequences* of_;
    std::map<std::string, Change> changes_;
  };

  // `sentence`: empty where the new state needs no word.
  void note(const std::string& tunnel, Stand before, Stand now, const std::string& sentence);
  void gone(const std::string& tunnel);

 private:
  std::vector<Watch*> watches_;
};

}  // namespace adit::engine
