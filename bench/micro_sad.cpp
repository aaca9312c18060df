// The price of finding an SA as their number grows: find and select must stay flat; a change copies what it touches.
#include <benchmark/benchmark.h>

#include <random>

#include "sad/testing/sad_fixture.h"

namespace {

using namespace adit;
using namespace adit::sad;
using namespace adit::sad::testing;

struct World {
  std::shared_ptr<const Table> table = std::make_shared<const Table>();
  std::vector<SaName> names;  // what a packet has at hand
};

enum class Layout { tunnels, selectors, one };  // an SA a tunnel; many inner networks on one tunnel; rekeyed on and on

SaSpec spec_of(Layout layout, uint32_t i) {
  SaSpec spec = esp(0x1000 + i);
  if (layout == Layout::tunnels) spec.destination = net::Address::v4(0x05000000u + i);
  if (layout == Layout::selectors)
    spec.inner =
        InnerSelector{net::Prefix(net::Address::v4(0x0a000000u + i * 256), 24), prefix("10.200.0.0/16"), 0, 0, 0};
  return spec;
}

World world_of(Layout layout, int64_t count) {
  World world;
  for (uint32_t i = 0; i < static_cast<uint32_t>(count); ++i) {
    auto sa = *Sa::make(spec_of(layout, i));
    sa->age = i + 1;
    world.table = *world.table->with(sa);
    world.names.push_back(name_of(*sa));
  }
  return world;
}

const spd::Rule& rule() {
  static const spd::Rule made = rule_of({action_of(crypto::EncrAlg::aes_cbc, crypto::AuthAlg::hmac_sha256)});
  return made;
}

void BM_SadFind(benchmark::State& state) {
  const World world = world_of(Layout::tunnels, state.range(0));
  std::mt19937 random(1);
  for (auto _ : state) {
    const SaName& name = world.names[random() % world.names.size()];
    benchmark::DoNotOptimize(world.table->find(name.spi, name.type, name.destination));
  }
}
BENCHMARK(BM_SadFind)->Arg(10)->Arg(1000)->Arg(10000);

void BM_SadFindUnknown(benchmark::State& state) {
  const World world = world_of(Layout::tunnels, state.range(0));
  uint32_t spi = 0x80000000;
  for (auto _ : state) benchmark::DoNotOptimize(world.table->find(Spi{spi++}, SaType::esp, kOuter.remote));
}
BENCHMARK(BM_SadFindUnknown)->Arg(10)->Arg(10000);

void select_in(benchmark::State& state, Layout layout) {
  const World world = world_of(layout, state.range(0));
  std::mt19937 random(2);
  net::Flow flow = flow_of("10.0.0.2", "10.200.1.2");
  for (auto _ : state) {
    const auto i = static_cast<uint32_t>(random() % world.names.size());
    if (layout == Layout::selectors) flow.source = net::Address::v4(0x0a000002u + i * 256);
    const Endpoints outer{kOuter.local, world.names[i].destination};
    const auto bundle = world.table->select(rule(), outer, flow);
    if (!bundle.found()) state.SkipWithError("no SA was found");
    benchmark::DoNotOptimize(bundle.esp);
  }
}
void BM_SadSelectTunnels(benchmark::State& state) {
  select_in(state, Layout::tunnels);
}
void BM_SadSelectSelectors(benchmark::State& state) {
  select_in(state, Layout::selectors);
}
void BM_SadSelectRekeyed(benchmark::State& state) {
  select_in(state, Layout::one);
}
BENCHMARK(BM_SadSelectTunnels)->Arg(10)->Arg(1000)->Arg(10000);
BENCHMARK(BM_SadSelectSelectors)->Arg(10)->Arg(1000)->Arg(10000);
BENCHMARK(BM_SadSelectRekeyed)->Arg(10)->Arg(10000);

void BM_SadChange(benchmark::State& state) {
  const World world = world_of(Layout::tunnels, state.range(0));
  SaSpec spec = esp(0xfffffff0);
  const auto sa = *Sa::make(std::move(spec));
  for (auto _ : state) {
    const auto with = *world.table->with(sa);
    benchmark::DoNotOptimize(with->without(*sa));
  }
}
BENCHMARK(BM_SadChange)->Arg(10)->Arg(1000)->Arg(10000);

void BM_ReplayWindow(benchmark::State& state) {
  ReplayWindow window;
  window.configure(static_cast<uint32_t>(state.range(0)), true);
  uint64_t sequence = 0;
  for (auto _ : state) {
    const uint64_t number = window.infer(static_cast<uint32_t>(++sequence));
    benchmark::DoNotOptimize(window.check(number) && window.commit(number));
  }
}
BENCHMARK(BM_ReplayWindow)->Arg(64)->Arg(1024)->Arg(4096);

}  // namespace
