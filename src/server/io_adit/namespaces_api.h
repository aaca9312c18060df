// io.adit.namespaces: what `adit namespace` asks for.
#pragma once

#include "namespaces/namespaces.h"
#include "protocol/varlink/varlink.h"

namespace adit::protocol {

// `namespaces` outlives the methods.
void add_namespace_methods(VarlinkMethods& methods, engine::Namespaces& namespaces);

}  // namespace adit::protocol
