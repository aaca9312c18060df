// The engine's whole time for a transaction: flip, guard, host rules, what packets see, states and events. ms a flip of
// that many rules, over a secured tunnel, the operating system left out (linux/platform/testing/fake_platform.h).
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <filesystem>

#include "engine/engine.h"
#include "links/links.h"
#include "linux/platform/testing/fake_platform.h"
#include "policy/policy.h"

namespace {

using namespace adit;

class Site {
 public:
  Site() {
    std::string pattern = "/tmp/adit-bench-XXXXXX";
    root_ = ::mkdtemp(pattern.data()) == nullptr ? "/nonexistent" : pattern;
    platform_.add_interface("net0");
    (void)platform_.add_address("net0", net::Prefix::parse("1.2.3.4/24").value(), {});
    engine::Settings settings{.root = root_,
                              .run_dir = root_ + "/run",
                              .workers = 1,
                              .crypto = crypto::EngineKind::openssl,
                              .threads = false};
    engine = std::make_unique<engine::Engine>(settings, platform_, clock_);
    if (!engine->start() || !engine->links().create({"t0", tunnel::Type::ipv4, "1.2.3.4", "5.6.7.8", false, true}))
      std::abort();
  }
  ~Site() {
    engine.reset();
    std::filesystem::remove_all(root_);
  }
  // `count` entries; `networks`: every second one is of a network of its own, which the guard closes.
  spd::Draft draft(int64_t count, uint32_t base, bool networks) {
    spd::Database& database = engine->policy().database();
    spd::Draft draft = database.empty_draft("");
    for (uint32_t at = 0; draft.size() < static_cast<size_t>(count); ++at) {
      spd::RuleSpec spec{.priority = 0x4fffff - at, .inbound = true, .outbound = true, .mode = spd::Mode::tunnel};
      spec.selector.remote = net::Prefix(net::Address::v4(networks ? base + (at << 8) : base), 24);
      spec.selector.protocol = 6;
      spec.selector.remote_port = static_cast<uint16_t>(1 + at);
      spec.actions = {{.verb = spd::Verb::ipsec, .encr = spd::Cipher{crypto::EncrAlg::aes_gcm16, {256, 256}}}};
      if (!database.add(draft, "t0", spd::expand(spec))) std::abort();
    }
    return draft;
  }

  std::unique_ptr<engine::Engine> engine;

 private:
  std::string root_;
  platform::FakePlatform platform_;
  FakeClock clock_;
};

void flip(benchmark::State& state, bool networks) {
  Site site;
  auto& policy = site.engine->policy();
  const engine::PolicyCaller caller{};
  spd::Draft one = site.draft(state.range(0), 0x0a000000, networks);
  if (!policy.flip(caller, one, {}, {.force = true})) std::abort();
  spd::Draft other = site.draft(state.range(0), 0x0a000000, networks);  // from here on the two swap
  for (auto _ : state)
    if (!policy.flip(caller, other, {}, {.force = true})) std::abort();
}

void BM_EngineFlip(benchmark::State& state) {
  flip(state, false);
}
BENCHMARK(BM_EngineFlip)->Arg(10)->Arg(1000)->Arg(10000)->Unit(benchmark::kMillisecond);

void BM_EngineFlipManyNetworks(benchmark::State& state) {
  flip(state, true);
}
BENCHMARK(BM_EngineFlipManyNetworks)->Arg(10)->Arg(1000)->Arg(10000)->Unit(benchmark::kMillisecond);

}  // namespace
