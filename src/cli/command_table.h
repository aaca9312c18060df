// Every command that the one binary holds. A name is what is typed, or the name of an installed link to `adit`.
#pragma once

#include <span>
#include <string_view>

#include "cli/keys/commands.h"
#include "cli/network/commands.h"
#include "cli/policy/commands.h"
#include "cli/system/commands.h"

namespace adit::cli {

struct CommandEntry {
  std::string_view name;
  Command run;
  std::string_view summary;
  bool linked;  // also installed under its own name; the others are `adit NAME` only
};

inline constexpr CommandEntry kCommands[] = {
    {"dladm", cmd_dladm, "make, change, delete and show IP tunnels", true},
    {"ipadm", cmd_ipadm, "addresses, interfaces and protocol properties", true},
    {"route", cmd_route, "routes; persistent with -p", false},
    {"netstat", cmd_netstat, "routing tables, interfaces, counters and drop reasons", false},
    {"ipsecconf", cmd_ipsecconf, "IPsec policy", true},
    {"ipsecalgs", cmd_ipsecalgs, "the algorithm table", true},
    {"ipseckey", cmd_ipseckey, "security associations by hand", true},
    {"svcadm", cmd_svcadm, "enable, disable, refresh, restart and clear services", true},
    {"svcs", cmd_svcs, "the state of services, and why", true},
    {"explain", cmd_explain, "why a packet would leave or be let in, and how, or why not", false},
    {"trace", cmd_trace, "live packets: which rule and SA decided, why one was dropped", false},
    {"monitor", cmd_monitor, "events as they happen", false},
    {"guard", cmd_guard, "the networks that are closed but for their tunnels", false},
    {"namespace", cmd_namespace, "who may manage which tunnels' policy and keys", false},
    {"status", cmd_status, "tunnels, guard and services on one page", false},
};

// nullptr: no such command.
const CommandEntry* find_command(std::string_view name);

// main() of the adit binary: picks the command by argv[0] or argv[1].
int run(int argc, char** argv);

}  // namespace adit::cli
