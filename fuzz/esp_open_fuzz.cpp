// ESP and AH input with fixed keys. Byte 0 chooses the SA and the way: as it came, or as the body of an authentic
// packet, so that what stands behind the integrity check is reached too.
#include <cstdlib>
#include <vector>

#include "esp/esp.h"

namespace {
using namespace adit;

enum Way : uint8_t { kEspRaw, kEspAuthentic, kEspUnauthenticated, kAhRaw, kAhRoundTrip, kWays };

std::shared_ptr<sad::Sa> make_sa(Way way, bool esn) {
  sad::SaSpec spec;
  spec.spi = sad::Spi{0x01020304};
  spec.esn = esn;
  spec.replay_window = 0;
  spec.type = way >= kAhRaw ? sad::SaType::ah : sad::SaType::esp;
  spec.auth = way == kEspUnauthenticated ? crypto::AuthAlg::none : crypto::AuthAlg::hmac_sha256;
  spec.auth_key = Secret(way == kEspUnauthenticated ? 0 : 32);
  spec.encr = way == kEspUnauthenticated ? crypto::EncrAlg::aes_cbc
              : way >= kAhRaw            ? crypto::EncrAlg::none
                                         : crypto::EncrAlg::null;
  spec.encr_key = Secret(way == kEspUnauthenticated ? 16 : 0);
  return *sad::Sa::make(std::move(spec));
}

void check(bool holds) {
  if (!holds) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto engine = *crypto::make_engine(crypto::EngineKind::best);
  if (size < 1 || size > 4096) return 0;
  const auto way = static_cast<Way>(data[0] % kWays);
  const bool esn = data[0] >= 0x80;
  static std::shared_ptr<sad::Sa> sas[kWays][2];
  if (sas[way][esn] == nullptr) sas[way][esn] = make_sa(way, esn);
  sad::Sa& sa = *sas[way][esn];

  std::vector<uint8_t> buffer(net::kHeadroom + size - 1 + net::kTailroom);
  std::copy(data + 1, data + size, buffer.data() + net::kHeadroom);
  net::Packet packet{buffer.data() + net::kHeadroom, static_cast<uint32_t>(size - 1), net::kHeadroom, net::kTailroom,
                     50};
  const std::vector<uint8_t> original(data + 1, data + size);
  if (way == kEspAuthentic) {  // its ICV goes behind what came
    if (size < 10) return 0;
    crypto::Job job;
    job.aad = packet.data;
    job.aad_length = 8;
    job.iv = job.data = packet.data + 8;
    job.length = packet.length - 8;
    job.icv = packet.data + packet.length;
    job.sequence = sa.replay.infer(load_be32(packet.data + 4));
    engine->seal(*sa.transform, {&job, 1});
    packet.append(sa.transform->icv_bytes());
  }
  if (way == kAhRoundTrip) {
    esp::ah_seal(*engine, sa, {&packet, 1});
    if (packet.drop != DropReason::none) return 0;
  }
  if (way >= kAhRaw)
    esp::ah_open(*engine, sa, {&packet, 1});
  else
    esp::open(*engine, sa, {&packet, 1});
  check(packet.data >= buffer.data() && packet.data + packet.length <= buffer.data() + buffer.size());
  if (way == kEspRaw || way == kAhRaw) check(packet.drop != DropReason::none || size > 24);
  if (way == kEspAuthentic) check(packet.drop != DropReason::bad_icv);
  if (way == kAhRoundTrip) {
    check(packet.drop == DropReason::none && packet.length == original.size());
    const bool v4 = original[0] >> 4 == 4;  // the checksum is made anew
    for (size_t i = 0; i < original.size(); ++i) check((v4 && (i == 10 || i == 11)) || packet.data[i] == original[i]);
  }
  return 0;
}
