// The packet path alone, between two namespaces: a link, its policy and its SAs built by hand, real ports, no engine
// and no configuration. For measuring and profiling the path; bench/path.sh sets up the namespaces.
//
//   path_driver TUN LOCAL REMOTE [udp|esp|clear] [gcm128|gcm256|cbc|chacha] [WORKERS]
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "datapath/worker.h"
#include "linux/host/linux_platform.h"
#include "sad/sa.h"
#include "spd/head.h"

namespace {

using namespace adit;

template <typename T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "path_driver: {}\n", result.error().text);
  std::exit(1);
}
void must(const Result<>& result) {
  if (result) return;
  fmt::print(stderr, "path_driver: {}\n", result.error().text);
  std::exit(1);
}

struct Options {
  std::string tun, how = "udp", suite = "gcm128";
  net::Address local, remote;
  uint32_t workers = 1;
};

// The same on both sides, so nothing needs to be exchanged: for measuring only.
Secret key(size_t bytes, uint32_t spi) {
  std::vector<uint8_t> text(bytes);
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<uint8_t>(spi + 31 * i);
  return Secret(text);
}

void choose_suite(const std::string& suite, sad::SaSpec& spec, spd::Action& action) {
  const auto spi = static_cast<uint32_t>(spec.spi);
  uint16_t bits = 128;
  spec.encr = crypto::EncrAlg::aes_gcm16;
  if (suite == "gcm256") bits = 256;
  if (suite == "chacha") spec.encr = crypto::EncrAlg::chacha20_poly1305, bits = 256;
  if (suite == "cbc") {
    spec.encr = crypto::EncrAlg::aes_cbc, bits = 256;
    spec.auth = crypto::AuthAlg::hmac_sha512;
    spec.auth_key = key(64, spi);
    action.espa = spd::Integrity{spec.auth, {}};
  } else {
    spec.salt = key(4, spi);
  }
  spec.encr_key = key(bits / 8, spi);
  action.encr = spd::Cipher{spec.encr, {bits, bits}};
}

std::shared_ptr<const sad::Table> add_esp(std::shared_ptr<const sad::Table> table, const Options& options,
                                          const net::Address& from, const net::Address& to, spd::Action& action) {
  sad::SaSpec spec;
  spec.spi = sad::Spi{from < to ? 0x1001u : 0x1002u};
  spec.source = from;
  spec.destination = to;
  if (options.how == "udp") spec.nat = sad::NatT{from, to};
  choose_suite(options.suite, spec, action);
  return must(table->with(must(sad::Sa::make(std::move(spec)))));
}

std::shared_ptr<const spd::Head> policy(const spd::Action& action) {
  std::vector<spd::Rule> rules;
  for (const auto direction : {spd::Direction::out, spd::Direction::in})
    for (const auto family : {net::Family::v4, net::Family::v6}) {
      spd::Rule rule;
      rule.index = rules.size() + 1;
      rule.direction = direction;
      rule.family = family;
      rule.mode = spd::Mode::tunnel;
      rule.actions = {action};
      rules.push_back(std::move(rule));
    }
  return must(spd::Head::build("path0", std::move(rules)));
}

std::shared_ptr<datapath::Snapshot> make_snapshot(
    const Options& options, const std::vector<std::shared_ptr<datapath::LinkCounters>>& counters) {
  auto link = std::make_shared<datapath::Link>();
  link->id = tunnel::LinkId{1};
  link->name = options.tun;
  link->outer = {options.local.is_v4() ? tunnel::Type::ipv4 : tunnel::Type::ipv6, options.local, options.remote};
  link->bound = link->up = true;
  link->mtu = tunnel::link_mtu(link->outer, 1500, options.how == "clear" ? 0 : tunnel::kEspOverhead);
  link->counters = counters;
  auto snapshot = std::make_shared<datapath::Snapshot>();
  snapshot->generation = 1;
  if (options.how != "clear") {
    spd::Action action;
    action.verb = spd::Verb::ipsec;
    snapshot->sas = std::make_shared<sad::Table>();
    snapshot->sas = add_esp(snapshot->sas, options, options.local, options.remote, action);
    snapshot->sas = add_esp(snapshot->sas, options, options.remote, options.local, action);
    link->secured = true;
    link->head = policy(action);
  }
  snapshot->links = std::make_shared<const datapath::LinkSet>(datapath::LinkSet::Links{link}, options.workers);
  return snapshot;
}

void print_counters(const std::vector<std::shared_ptr<datapath::LinkCounters>>& counters) {
  for (size_t w = 0; w < counters.size(); ++w) {
    const datapath::LinkCounters& c = *counters[w];
    fmt::print("worker {}: in {} packets {} bytes, out {} packets {} bytes\n", w, c.ipackets.get(), c.rbytes.get(),
               c.opackets.get(), c.obytes.get());
    for (size_t r = 0; r < kDropReasons; ++r)
      if (const uint64_t in = c.drops_in[r].get(), out = c.drops_out[r].get(); in + out != 0)
        fmt::print("  dropped {}: in {} out {}\n", kDropReasonTexts[r].name, in, out);
  }
}

Options parse(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(stderr, "usage: path_driver TUN LOCAL REMOTE [udp|esp|clear] [gcm128|gcm256|cbc|chacha] [WORKERS]\n");
    std::exit(2);
  }
  Options options;
  options.tun = argv[1];
  options.local = must(net::Address::parse(argv[2]));
  options.remote = must(net::Address::parse(argv[3]));
  if (argc > 4) options.how = argv[4];
  if (argc > 5) options.suite = argv[5];
  if (argc > 6) options.workers = static_cast<uint32_t>(std::stoul(argv[6]));
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, nullptr);

  const auto platform = must(platform::make_linux_platform("", "/nonexistent"));
  auto queues = must(platform->open_tun(options.tun, options.workers, platform::DeviceName::fresh));
  std::vector<std::shared_ptr<datapath::LinkCounters>> counters(options.workers);
  for (auto& c : counters) c = std::make_shared<datapath::LinkCounters>();
  const auto snapshot = make_snapshot(options, counters);
  must(platform->set_mtu(options.tun, snapshot->links->all()[0]->mtu));
  must(platform->set_gso_max(options.tun, datapath::kTunGsoMaxBytes, datapath::kTrainSegments));

  datapath::Shared shared;
  shared.publisher.publish(snapshot);
  std::vector<std::unique_ptr<datapath::Worker>> workers;
  for (uint32_t w = 0; w < options.workers; ++w) {
    workers.push_back(must(datapath::Worker::make(w, shared, must(crypto::make_engine(crypto::EngineKind::best)),
                                                  must(platform->open_wire(w, options.workers)))));
    must(workers[w]->attach(tunnel::LinkId{1}, std::move(queues[w])));
    workers[w]->start();
  }
  must(platform->set_link_up(options.tun, true));
  must(platform->set_carrier(options.tun, true));
  fmt::print("ready\n");
  std::fflush(stdout);

  int signal = 0;
  sigwait(&stop, &signal);
  workers.clear();
  print_counters(counters);
  return 0;
}
