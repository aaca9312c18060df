// io.adit.routes: what route and netstat -r ask for.
#pragma once

#include "host/routes.h"
#include "protocol/varlink/varlink.h"

namespace adit::protocol {

// `routes` outlives the methods.
void add_route_methods(VarlinkMethods& methods, engine::Routes& routes);

}  // namespace adit::protocol
