// aditd's command line and /etc/adit/aditd.conf.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "control/types.h"

namespace adit {

inline constexpr const char* kUsage =
    "usage: aditd [-R ROOT] [--workers N] [--crypto best|ipsec-mb|openssl] [--require-security]\n"
    "             [--foreground] [--help] [--version]\n"
    "  -R ROOT              put in front of /etc/... (ADIT_ROOT); the run directory is then ROOT/run/adit unless "
    "ADIT_RUNDIR\n"
    "                       says otherwise\n"
    "  --workers N          threads that carry packets; default: one a core, at most 8\n"
    "  --crypto KIND        the packet path's crypto engine; default: best\n"
    "  --require-security   every tunnel is secured (-S), also those made without it\n"
    "  --foreground         stay in the foreground, which aditd always does\n"
    "Settings may stand in ROOT/etc/adit/aditd.conf, NAME=VALUE a line: workers, crypto, require_security=yes.\n";

struct Options {
  engine::Settings settings;
  bool help = false, version = false;
};

// Environment, then the configuration file, then the words; the later wins. EINVAL: a word or line that is none, named.
Result<Options> read_options(std::span<const char* const> words);

}  // namespace adit
