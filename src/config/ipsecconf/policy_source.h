// What a policy text is read for.
#pragma once

#include <optional>
#include <string>

namespace adit::config {

class LoadMemory;  // ipsecconf_memory.h

struct PolicySource {
  std::string file;                           // for messages and origins
  std::string name_space;                     // whose rules they shall be
  std::optional<std::string> implied_tunnel;  // ipsecinit.d/tunnels/NAME.conf: `tunnel NAME` need not be written
  LoadMemory* memory = nullptr;               // of a load of several files; null: this text is all of it
  bool allow_host_ipsec = false;              // later: IPsec for the host's own traffic
};

}  // namespace adit::config
