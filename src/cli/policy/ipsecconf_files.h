// ipsecconf about the service's files: is the whole set right, and what would a refresh change?
#pragma once

#include "cli/frame/context.h"
#include "cli/policy/ipsecconf_options.h"

namespace adit::cli {

// -c without a file. Asks no daemon.
int check_policy_files(Context& context, bool verbose);

// diff. Asks the daemon, over varlink: what is in force and what becomes of the tunnels only it knows.
int show_policy_diff(Context& context, const PolicyOptions& options);

}  // namespace adit::cli
