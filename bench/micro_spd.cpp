// The price of a policy decision as rules grow, and of replacing all rules. ns a lookup, ms a flip.
#include <benchmark/benchmark.h>

#include <random>

#include "spd/database.h"
#include "spd/testing/samples.h"

namespace {

using namespace adit;
using namespace adit::spd;

// A site's policy: host pairs, subnets, ports and a final rule for the rest, in `count` entries.
std::vector<Rule> rules_of(int64_t count) {
  std::vector<Rule> rules;
  for (uint32_t at = 0; rules.size() < static_cast<size_t>(count); ++at) {
    RuleSpec spec = samples::both_ways(samples::gcm());
    spec.priority = 0x000fffff - at;
    spec.selector.remote = at % 4 == 3 ? net::Prefix(net::Address::v4(0x0b000000 | at << 8), 24)
                                       : net::Prefix::host(net::Address::v4(0x0a000000 | at));
    if (at % 4 == 1) spec.selector.local = net::Prefix(net::Address::v4(0xc0a80000), 16);
    if (at % 4 == 2) spec.selector.protocol = net::kProtoTcp, spec.selector.remote_port = 443;
    for (Rule& rule : expand(spec)) rules.push_back(std::move(rule));
  }
  return rules;
}

void BM_SpdLookup(benchmark::State& state) {
  const auto head = Head::build("tun0", rules_of(state.range(0))).value();
  std::mt19937 engine(1);
  std::vector<net::Flow> flows(1024, samples::tcp("192.168.1.1", 5000, "10.0.0.0", 443));
  for (net::Flow& flow : flows)
    flow.destination = net::Address::v4(0x0a000000 | static_cast<uint32_t>(engine() % (state.range(0) / 2)));
  size_t at = 0;
  for (auto _ : state) benchmark::DoNotOptimize(head->lookup(flows[at++ % flows.size()], Direction::out));
}
BENCHMARK(BM_SpdLookup)->Arg(10)->Arg(1000)->Arg(10000);

void BM_SpdLookupMiss(benchmark::State& state) {
  const auto head = Head::build("tun0", rules_of(state.range(0))).value();
  const net::Flow flow = samples::tcp("192.168.1.1", 5000, "172.16.0.1", 443);
  for (auto _ : state) benchmark::DoNotOptimize(head->lookup(flow, Direction::out));
}
BENCHMARK(BM_SpdLookupMiss)->Arg(10)->Arg(1000)->Arg(10000);

// The engine's time for a transaction: flip and build of what readers get. Clone and edits are the client's pace.
void BM_SpdFlip(benchmark::State& state) {
  Database database;
  Draft draft = database.empty_draft("");
  for (Rule& rule : rules_of(state.range(0))) (void)database.add(draft, "tun0", {std::move(rule)});
  (void)database.flip_all(draft);
  draft = database.empty_draft("");
  for (Rule& rule : rules_of(state.range(0))) {
    rule.actions = {samples::cbc_sha512()};
    (void)database.add(draft, "tun0", {std::move(rule)});
  }
  for (auto _ : state) {
    (void)database.flip_all(draft);
    benchmark::DoNotOptimize(database.current());
  }
}
BENCHMARK(BM_SpdFlip)->Arg(10)->Arg(1000)->Arg(10000)->Unit(benchmark::kMillisecond);

}  // namespace
