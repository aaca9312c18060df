// Starts a program that is nobody's child: it outlives whoever started it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace adit::platform {

// words[0] is its path. Standard input and output are /dev/null; standard error is the caller's.
Result<> start_detached(const std::vector<std::string>& words);

}  // namespace adit::platform
