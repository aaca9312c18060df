// io.adit.addresses: what ipadm asks for.
#pragma once

#include "engine/addresses.h"
#include "engine/protocol_properties.h"
#include "protocol/varlink.h"

namespace adit::protocol {

// Both outlive the methods.
void add_address_methods(VarlinkMethods& methods, engine::Addresses& addresses, engine::ProtocolProperties& properties);

}  // namespace adit::protocol
