// An SA's lifetime as packets meet it: asked before a burst, told after it, and each limit reported once.
#pragma once

#include "datapath/context.h"
#include "sad/sa.h"

namespace adit::datapath {

// May this SA carry a burst now? sa_expired: its hard limit is reached (it is DEAD from here on). none: yes; at a soft
// limit it has become DYING. Whichever worker moves the state reports SaReached.
DropReason check_limits(const Context& context, sad::Sa& sa);

// The sequence numbers ran out during a seal: DEAD, reported.
void stop_exhausted(const Context& context, sad::Sa& sa);

// After a burst: reports NumbersWanted where it is time.
void ask_for_numbers(const Context& context, sad::Sa& sa);

}  // namespace adit::datapath
