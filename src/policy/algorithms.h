// The algorithm table in force (ipsecalgs): /etc/inet/ipsecalgs over the built-in one. Adit's engines know what they
// know: the file may take algorithms away, rename them or narrow their keys, not add a cipher.
#pragma once

#include "control/seams.h"
#include "control/service_methods.h"
#include "crypto/algorithm.h"

namespace adit::engine {

class Algorithms {
 public:
  explicit Algorithms(const Context& context) : context_(context), table_(crypto::AlgorithmTable::builtin()) {}

  [[nodiscard]] const crypto::AlgorithmTable& table() const { return table_; }
  void set(crypto::AlgorithmTable table) { table_ = std::move(table); }  // PF_POLICY UPDATEALGS; until the next load

  // The file, or the built-in table when there is none. EINVAL: its first error, by line; the old table stays.
  Result<Outcome> load();
  ServiceMethods service();

 private:
  const Context& context_;
  crypto::AlgorithmTable table_;
};

}  // namespace adit::engine
