// Commands about security associations.
#pragma once

#include <span>
#include <string>

#include "cli/frame/context.h"

namespace adit::cli {

int cmd_ipseckey(Context&, std::span<const std::string>);

}  // namespace adit::cli
