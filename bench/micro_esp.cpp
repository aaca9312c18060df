// What sealing and opening cost a packet, in bursts of 32, by engine and suite.
#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "esp/esp.h"

namespace adit::esp {
namespace {

constexpr size_t kBurst = 32;

struct Suite {
  const char* name;
  crypto::EncrAlg encr;
  crypto::AuthAlg auth;
  uint32_t key_bytes, salt_bytes, auth_bytes;
};
constexpr Suite kSuites[] = {
    {"aes-128-gcm", crypto::EncrAlg::aes_gcm16, crypto::AuthAlg::none, 16, 4, 0},
    {"aes-256-gcm", crypto::EncrAlg::aes_gcm16, crypto::AuthAlg::none, 32, 4, 0},
    {"aes-256-cbc+sha512", crypto::EncrAlg::aes_cbc, crypto::AuthAlg::hmac_sha512, 32, 0, 64},
    {"chacha20-poly1305", crypto::EncrAlg::chacha20_poly1305, crypto::AuthAlg::none, 32, 4, 0},
};

std::shared_ptr<sad::Sa> make_sa(const Suite& suite) {
  sad::SaSpec spec;
  spec.spi = sad::Spi{0x1000};
  spec.encr = suite.encr;
  spec.auth = suite.auth;
  spec.encr_key = Secret(suite.key_bytes);
  spec.salt = Secret(suite.salt_bytes);
  spec.auth_key = Secret(suite.auth_bytes);
  spec.esn = true;
  spec.replay_window = 1024;
  return *sad::Sa::make(std::move(spec));
}

// Buffers of 2 KiB, one packet each, put back to their start before every burst.
struct Burst {
  std::vector<uint8_t> memory = std::vector<uint8_t>(kBurst * 2048, 0x5a);
  std::vector<net::Packet> packets = std::vector<net::Packet>(kBurst);
  void reset(uint32_t length) {
    for (size_t i = 0; i < kBurst; ++i) {
      packets[i] = {memory.data() + i * 2048 + net::kHeadroom, length, net::kHeadroom, net::kTailroom, 4};
    }
  }
};

void report(benchmark::State& state, uint32_t length) {
  const int64_t packets = state.iterations() * static_cast<int64_t>(kBurst);
  state.SetItemsProcessed(packets);
  state.SetBytesProcessed(packets * length);
}

void seal_burst(benchmark::State& state, const Suite& suite, crypto::EngineKind kind, uint32_t length) {
  const auto engine = *crypto::make_engine(kind);
  const auto sa = make_sa(suite);
  Burst burst;
  for (auto _ : state) {
    burst.reset(length);
    seal(*engine, *sa, burst.packets);
    benchmark::DoNotOptimize(burst.memory.data());
  }
  report(state, length);
}

void open_burst(benchmark::State& state, const Suite& suite, crypto::EngineKind kind, uint32_t length) {
  const auto engine = *crypto::make_engine(kind);
  const auto out = make_sa(suite), in = make_sa(suite);
  Burst burst;
  burst.reset(length);
  seal(*engine, *out, burst.packets);
  const auto wire_packets = burst.packets;
  const auto wire = burst.memory;
  for (auto _ : state) {  // includes copying the burst in, as receiving would
    burst.packets = wire_packets;
    std::memcpy(burst.memory.data(), wire.data(), wire.size());
    in->replay.configure(1024, true);
    open(*engine, *in, burst.packets);
    if (burst.packets[0].drop != DropReason::none) state.SkipWithError("open refused its own packet");
  }
  report(state, length);
}

const int registered = [] {
  const std::pair<crypto::EngineKind, const char*> engines[] = {{crypto::EngineKind::ipsec_mb, "ipsec-mb"},
                                                                {crypto::EngineKind::openssl, "openssl"}};
  for (const auto& [kind, engine] : engines) {
    if (!crypto::make_engine(kind)) continue;
    for (const Suite& suite : kSuites) {
      for (const uint32_t length : {64u, 1420u}) {
        const auto name = [&](const char* what) {
          return fmt::format("{}/{}/{}/{}", what, suite.name, length, engine);
        };
        benchmark::RegisterBenchmark(name("seal").c_str(), seal_burst, suite, kind, length);
        benchmark::RegisterBenchmark(name("open").c_str(), open_burst, suite, kind, length);
      }
    }
  }
  return 0;
}();

}  // namespace
}  // namespace adit::esp
