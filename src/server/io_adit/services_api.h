// io.adit.services: what svcadm and svcs ask for.
#pragma once

#include "protocol/varlink/varlink.h"
#include "services/services.h"

namespace adit::protocol {

// `services` outlives the methods.
void add_service_methods(VarlinkMethods& methods, engine::Services& services);

}  // namespace adit::protocol
