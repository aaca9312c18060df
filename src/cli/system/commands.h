// Commands about services, and what tells how it goes.
#pragma once

#include <span>
#include <string>

#include "cli/frame/context.h"

namespace adit::cli {

int cmd_svcadm(Context&, std::span<const std::string>);
int cmd_svcs(Context&, std::span<const std::string>);
int cmd_explain(Context&, std::span<const std::string>);
int cmd_trace(Context&, std::span<const std::string>);
int cmd_monitor(Context&, std::span<const std::string>);
int cmd_status(Context&, std::span<const std::string>);
int cmd_guard(Context&, std::span<const std::string>);
int cmd_namespace(Context&, std::span<const std::string>);

}  // namespace adit::cli
