// What commands ask of the engine and what it tells them: plain values, shared by the engine's classes and the protocol
// room.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crypto/transform.h"
#include "tunnel/link.h"

namespace adit::engine {

struct Settings {
  std::string root;  // prefix of /etc/…; empty: /
  std::string run_dir = "/run/adit";
  uint32_t workers = 0;  // 0: one a core, at most 8
  crypto::EngineKind crypto = crypto::EngineKind::best;
  bool require_security = false;  // every tunnel is -S
  bool threads = true;            // false: workers move only by Worker::run_once, for tests
};

// ---- links
struct IptunRequest {
  std::string name;
  tunnel::Type type = tunnel::Type::ipv4;
  std::optional<std::string> local, remote;  // as typed (names are resolved now and again at start)
  bool temporary = false, secured = false;
  std::map<std::string, std::string> properties;  // as dladm set-linkprop takes them
  std::string ipsec_source = "ipsec";             // what messages call the text of the property ipsec
};
struct IptunInfo {
  std::string name, type, flags, local, remote;
  bool temporary = false, secured = false, policy = false;
};
struct LinkInfo {
  std::string name, link_class, state, over;
  uint32_t mtu = 0;
  bool secured = false;
  uint64_t ipackets = 0, rbytes = 0, ierrors = 0, opackets = 0, obytes = 0, oerrors = 0;
  std::vector<std::pair<std::string, uint64_t>> drops_in, drops_out;  // reason, count; only those not zero
  std::string closed_by;  // what keeps it closed, in one word (tunnel/closed.def); empty: it is not
  std::string why_down;   // one sentence: what is closed, why, what opens it
  bool open = false;      // a tunnel that passes clear text at this moment
  std::string why_open;   // one sentence: why, and what closes it
};
struct LinkProperty {
  std::string link, property, perm, value, fallback, possible;
};

// ---- addresses
struct AddressRequest {
  std::string object;           // v4_bob0/v4
  std::string type = "static";  // static, addrconf
  std::optional<std::string> local, remote;
  bool temporary = false, down = false;
  std::optional<std::string> interface_id;
};
struct AddressObject {
  std::string object, type, state, current, persistent, address;
};
struct IfInfo {
  std::string name, state, current, persistent;
};
struct ProtocolProperty {
  std::string protocol, property, perm, current, persistent, fallback, possible;
};

// ---- what a command says besides its result: warnings and consequences, for the command's stderr
struct Outcome {
  std::vector<std::string> notes;
  std::vector<std::string> progress;  // what went as asked: for a service's log and svcadm -v
};

}  // namespace adit::engine
