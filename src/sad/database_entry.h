// What the database keeps beside an SA.
#pragma once

#include "sad/database.h"

namespace adit::sad {

struct Database::Entry {
  SaPtr sa;
  uint64_t armed_at = 0;                   // second of its timer; 0: none
  bool soft_told = false;                  // its soft EXPIRE was sent
  uint64_t idle_told_at_use = UINT64_MAX;  // the last_used that an idle EXPIRE was sent for
};

}  // namespace adit::sad
