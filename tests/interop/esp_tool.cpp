// Seals and opens single packets for the tests in Python: one command a line on standard input, one answer a line.
//
//   seal|open|ah-seal|ah-open NAME=VALUE… HEX        -> ok PROTOCOL SEQUENCE HEX | drop REASON | error TEXT
//
// Names: engine (best, openssl), encr, auth (names of the algorithm table), key, salt, authkey (hex), spi (hex),
// seq (the number that the packet has, or seal shall give it), esn=1, protocol (seal: next header),
// udp=SOURCE,DESTINATION (seal puts a UDP header in front, open takes one off). seal: HEX is the payload; open: from
// the ESP or UDP header on; ah-*: a whole IP packet.
#include <fmt/format.h>

#include <iostream>
#include <map>
#include <sstream>
#include <vector>

#include "esp/esp.h"
#include "esp/udp_encap.h"

namespace {
using namespace adit;

struct Command {
  std::string verb, hex;
  std::map<std::string, std::string> values;
  [[nodiscard]] std::string text(const std::string& name) const { return values.contains(name) ? values.at(name) : ""; }
  [[nodiscard]] uint64_t number(const std::string& name) const {
    return values.contains(name) ? std::stoull(values.at(name), nullptr, 0) : 0;
  }
};

Command parse(const std::string& line) {
  Command command;
  std::istringstream words(line);
  words >> command.verb;
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos)
      command.hex = word;
    else
      command.values[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return command;
}

Result<uint8_t> algorithm(crypto::AlgProto proto, const std::string& name) {
  static const auto table = crypto::AlgorithmTable::builtin();
  if (name.empty()) return 0;
  const crypto::Algorithm* row = table.find(proto, name);
  if (row == nullptr) return fail(EINVAL, "no algorithm {}", name);
  return row->number;
}

Result<std::shared_ptr<sad::Sa>> make_sa(const Command& command) {
  sad::SaSpec spec;
  spec.spi = sad::Spi{static_cast<uint32_t>(command.number("spi"))};
  spec.type = command.verb.starts_with("ah-") ? sad::SaType::ah : sad::SaType::esp;
  TRY_ASSIGN(const uint8_t encr, algorithm(crypto::AlgProto::esp, command.text("encr")));
  TRY_ASSIGN(const uint8_t auth, algorithm(crypto::AlgProto::ah, command.text("auth")));
  spec.encr = static_cast<crypto::EncrAlg>(encr);
  spec.auth = static_cast<crypto::AuthAlg>(auth);
  TRY_ASSIGN(spec.encr_key, Secret::from_hex(command.text("key")));
  TRY_ASSIGN(spec.salt, Secret::from_hex(command.text("salt")));
  TRY_ASSIGN(spec.auth_key, Secret::from_hex(command.text("authkey")));
  spec.esn = command.number("esn") == 1;
  TRY_ASSIGN(auto sa, sad::Sa::make(std::move(spec)));
  sa->set_last_sequence(command.number("seq") - 1);
  sa->replay.set_highest(command.number("seq") - 1);
  return sa;
}

// Takes a UDP header off the front. False: it holds no ESP.
bool take_udp(net::Packet& packet) {
  if (packet.length < 8) return false;
  packet.trim_front(8);
  return esp::classify(packet.bytes()) == esp::UdpPayload::esp;
}

void put_udp(net::Packet& packet, const std::string& ports) {
  const size_t comma = ports.find(',');
  const uint32_t length = packet.length;
  packet.prepend(8);
  esp::write_udp_header(packet.data, static_cast<uint16_t>(std::stoul(ports)),
                        static_cast<uint16_t>(std::stoul(ports.substr(comma + 1))), length);
}

std::string answer(const net::Packet& packet) {
  if (packet.drop != DropReason::none)
    return fmt::format("drop {}", kDropReasonTexts[static_cast<size_t>(packet.drop)].name);
  std::string hex;
  for (const uint8_t byte : packet.bytes()) fmt::format_to(std::back_inserter(hex), "{:02x}", byte);
  return fmt::format("ok {} {} {}", packet.protocol, packet.sequence, hex.empty() ? "-" : hex);
}

Result<std::string> run(const Command& command, crypto::Engine& engine) {
  TRY_ASSIGN(const auto sa, make_sa(command));
  TRY_ASSIGN(const Secret bytes, Secret::from_hex(command.hex == "-" ? "" : command.hex));
  std::vector<uint8_t> buffer(net::kHeadroom + bytes.size() + net::kTailroom);
  std::ranges::copy(bytes.bytes(), buffer.begin() + net::kHeadroom);
  net::Packet packet{buffer.data() + net::kHeadroom, static_cast<uint32_t>(bytes.size()), net::kHeadroom,
                     net::kTailroom, static_cast<uint8_t>(command.number("protocol"))};
  const std::string udp = command.text("udp");
  if (command.verb == "seal") {
    esp::seal(engine, *sa, {&packet, 1});
    if (!udp.empty() && packet.drop == DropReason::none) put_udp(packet, udp);
  } else if (command.verb == "open") {
    if (!udp.empty() && !take_udp(packet)) return fail(EINVAL, "no ESP in this datagram");
    esp::open(engine, *sa, {&packet, 1});
  } else if (command.verb == "ah-seal") {
    esp::ah_seal(engine, *sa, {&packet, 1});
  } else if (command.verb == "ah-open") {
    esp::ah_open(engine, *sa, {&packet, 1});
  } else {
    return fail(EINVAL, "unknown verb {}", command.verb);
  }
  return answer(packet);
}

}  // namespace

int main() {
  const auto best = *crypto::make_engine(crypto::EngineKind::best);
  const auto openssl = *crypto::make_engine(crypto::EngineKind::openssl);
  for (std::string line; std::getline(std::cin, line);) {
    const Command command = parse(line);
    const auto result = run(command, command.text("engine") == "openssl" ? *openssl : *best);
    std::cout << (result ? *result : "error " + result.error().text) << std::endl;
  }
}
