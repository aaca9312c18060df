#include "engine/algorithms.h"

namespace adit::engine {

ServiceMethods Algorithms::service() {
  return {[this] { return load(); }, [this] { return load(); }, [] { return Outcome{}; }};
}

}  // namespace adit::engine
