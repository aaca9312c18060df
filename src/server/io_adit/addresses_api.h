// io.adit.addresses: what ipadm asks for.
#pragma once

#include "host/addresses.h"
#include "host/protocol_properties.h"
#include "protocol/varlink/varlink.h"

namespace adit::protocol {

// Both outlive the methods.
void add_address_methods(VarlinkMethods& methods, engine::Addresses& addresses, engine::ProtocolProperties& properties);

}  // namespace adit::protocol
