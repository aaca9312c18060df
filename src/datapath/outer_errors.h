// ICMP errors that the underlay sent about our outer packets: what they teach of the path, and what the inner sender
// must hear.
#pragma once

#include "datapath/answers.h"
#include "datapath/context.h"

namespace adit::datapath {

// Reads the wire's errors and acts: a lower path MTU becomes PathMtuChanged; an error that quotes a readable inner
// packet (cleartext encapsulation) is translated for its sender. An error about ESP or AH counts only when it quotes an
// SA of ours, for anybody can send one.
void carry_outer_errors(const Context& context, Answers& answers);

}  // namespace adit::datapath
