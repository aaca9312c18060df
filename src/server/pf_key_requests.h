// What each PF_KEY request does, and who hears of it (pf_key.md §1.3, §1.4). No sockets here.
#pragma once

#include <optional>
#include <vector>

#include "control/key_access.h"
#include "protocol/pf_key/translate.h"

namespace adit::protocol {

// A dump under way: pages are made when the reader has room for them, nothing is held meanwhile but this.
struct KeyDump {
  sad::Database::DumpFilter filter;
  uint64_t after = 0;
  uint32_t seq = 0, pid = 0;
  uint8_t satype = 0;
};

// One socket.
struct KeySession {
  engine::PeerCredentials peer;
  bool promiscuous = false;
  bool extended = false;            // registered with X_EREG
  std::vector<uint8_t> registered;  // SA types
  std::optional<KeyDump> dump;

  [[nodiscard]] bool hears(uint8_t satype) const;  // registered for it, either way
};

enum class Audience : uint8_t {
  sender,
  watched,     // sender and promiscuous sockets
  registered,  // sender, promiscuous, and those registered for the message's satype (not extended)
  everyone
};
struct KeyAnswer {
  sad::KeyMessage message;
  Audience audience = Audience::sender;
};

// REQUIRES: `message` came from decode_key_message. Its keys are taken out. Errors go back as a base header.
sad::KeyResult<std::vector<KeyAnswer>> answer_key_request(sad::KeyMessage& message, KeySession& session,
                                                          engine::KeyAccess& access);

// The next messages of a dump: at most `count` SAs; the last page ends with the message of seq 0 and clears
// session.dump.
std::vector<sad::KeyMessage> next_dump_page(KeySession& session, sad::Database& keys, size_t count);

}  // namespace adit::protocol
