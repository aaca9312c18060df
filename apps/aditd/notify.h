// sd_notify(3) by hand: one datagram to the socket that the service manager named, if it named one.
#pragma once

#include <string_view>

namespace adit {

void notify_service_manager(std::string_view state);  // "READY=1", "STOPPING=1"

}  // namespace adit
