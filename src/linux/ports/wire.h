// One worker's sockets to the underlay (datapath::WirePort): raw 4, 41, 50, 51 and UDP 4500 over both families.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "ports/ports.h"

namespace adit::platform {

// Sockets that cannot be had are left out, each with a sentence in `notices`. Fails when no socket at all can be had.
// With `late`: a UDP port that another program has is tried again there instead.
class LateUdp;
Result<std::unique_ptr<datapath::WirePort>> make_wire_port(uint32_t worker, uint32_t workers, uint32_t mark,
                                                           std::vector<std::string>& notices, LateUdp* late = nullptr);

}  // namespace adit::platform
