// Event numbers go on when the daemon is restarted, so that a subscriber that comes back with an old one is told what
// it has missed instead of being given other events under numbers that it has seen. They begin anew with the machine.
#pragma once

#include "control/seams.h"

namespace adit::engine {

// Before the first event of this life. Numbers are reserved in <run directory>/events.next, some thousands at a time. A
// file that cannot be written costs that promise and nothing else: the instance still tells.
void continue_event_numbers(const Context& context);

}  // namespace adit::engine
