// /etc/adit/namespaces: which namespaces are registered, to whom they are delegated, within which bounds.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace adit::engine {

struct NamespaceRecord {
  std::string name;
  std::set<uid_t> users;           // who may act in it besides root
  std::set<std::string> tunnels;   // glob patterns (fnmatch) of the tunnels that they may act on
  std::set<net::Prefix> networks;  // its rules may close these, and what is in them, for the whole host
  uint32_t rules = 1000;           // quotas: SPD entries, as listings show them, and SAs
  uint32_t sas = 1000;
  uint32_t lease_seconds = 0;  // 0: records stay without an owner
  bool bypass = false;         // its users may let clear text pass
  friend bool operator==(const NamespaceRecord&, const NamespaceRecord&) = default;
};

// EINVAL with a sentence. A name has 1 to 255 printable bytes, no blank, quote, comma or backslash; a pattern 1 to 31
// bytes of a tunnel's name and * ? [ ].
Result<> check_namespace_name(std::string_view name);
Result<> check_tunnel_pattern(std::string_view pattern);

// JSON, one object a namespace. EINVAL: what is wrong, and with which namespace; any bytes are safe.
Result<std::vector<NamespaceRecord>> parse_namespaces(std::string_view text);
std::string format_namespaces(const std::vector<NamespaceRecord>& records);

}  // namespace adit::engine
