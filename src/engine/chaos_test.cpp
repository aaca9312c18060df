// Chaos over the fake platform: commands that die at any of their steps, acts of others against every layer, lost and
// old files, failing calls of the system, a guardian that is away. After each act, for each kind of packet: nothing for
// a promised network can leave in the clear as long as one layer that can stop its kind stands; and what is promised
// leaves the book only by the command that says so. Each walk ends with the operator, who opens everything.
//
//   ADIT_CHAOS_ACTS=1000000 ADIT_CHAOS_SEED=7 engine_test --gtest_filter='Chaos.*'
//
// Each walk logs its steps, and the model must allow them (control/step_log.h).
//
// A walk that fails is run again with acts left out, until none can be; what remains is printed, and
// ADIT_CHAOS_REPLAY='whole:15d6843 kill:be3dd32a' runs that alone and tells what each act called.
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>

#include "engine/testing/engine_world.h"
#include "engine/testing/model_check.h"

namespace adit::engine {
namespace {

int points_left = 0;
void die_at_point(std::string_view) {
  if (--points_left == 0) throw Killed{};
}

// What is promised, with an address inside that no other of them holds.
struct Promise {
  const char* network;
  const char* address;
};
constexpr Promise kPromises[] = {{"10.0.1.0/24", "10.0.1.9"},      {"10.0.1.128/25", "10.0.1.200"},
                                 {"10.7.0.0/24", "10.7.0.9"},      {"239.1.0.0/16", "239.1.2.3"},
                                 {"0.0.0.0/0", "198.51.100.1"},    {"2001:db8:67::/64", "2001:db8:67::9"},
                                 {"169.254.7.0/24", "169.254.7.9"}};
const char* address_in(const net::Prefix& network) {
  for (const auto& promise : kPromises)
    if (prefix_of(promise.network) == network) return promise.address;
  return nullptr;
}

struct Act {
  size_t kind;
  uint32_t word;  // what the act draws its choices from
};

struct Figures {
  uint64_t acts = 0, judged = 0, kills = 0, unlayered = 0, opened = 0, worlds = 0;
};

class Chaos {
 public:
  explicit Chaos(Figures& figures, const std::string& trace = {}) : figures_(figures) {
    ++figures_.worlds;
    world_.trace = trace;
    add_default6();
    check(world_.start().has_value(), "the first start failed");
  }

  // The sentence that is not as promised, or nothing.
  std::string run(const std::vector<Act>& acts) {
    for (const Act& act : acts) {
      random_.seed(act.word);
      (this->*kKinds[act.kind].run)();
      ++figures_.acts;
      if (told_ != nullptr) tell(kKinds[act.kind].name);
      judge(kKinds[act.kind].name);
      if (!fault_.empty()) return fault_;
    }
    operator_opens_everything();
    return fault_;
  }

  void tell_to(std::ostream& stream) { told_ = &stream; }

  struct Kind {
    const char* name;
    void (Chaos::*run)();
    int weight;
  };
  static const std::vector<Kind> kKinds;

 private:
  // ---- what must hold
  void check(bool holds, const std::string& text) {
    if (!holds && fault_.empty()) fault_ = text;
  }

  void tell(const char* act) {
    *told_ << act << (world_.engine ? "" : " (no daemon)") << "\n";
    for (const auto& call : std::exchange(world_.platform.journal, {})) *told_ << "    " << call << "\n";
    for (const auto& network : promised_) *told_ << "    promised " << network.str() << "\n";
  }

  void judge(const char* act) {
    for (const auto& network : promised_) {
      const char* address = address_in(network);
      for (const PacketKind kind : kPacketKinds) {
        ++figures_.judged;
        if (world_.layers_for(kind) == 0) {
          ++figures_.unlayered;  // others broke all of them: out of the promise
          continue;
        }
        if (const auto way = world_.leak(kind, address))
          return check(false, fmt::format("after {}: a {} packet to {} leaves {}, with {} of its layers there", act,
                                          name_of(kind), address, *way, world_.layers_for(kind)));
      }
    }
    if (!world_.engine) return;
    lasting_.clear();
    for (const auto& [network, entry] : world_.engine->guard().book().networks())
      if (entry.lasting()) lasting_.insert(network);
    for (const auto& network : promised_)
      check(world_.engine->guard().guards(network), fmt::format("after {}: {} is in no book", act, network.str()));
  }

  // ---- commands, which may die at any of their steps
  size_t pick(size_t count) { return random_() % count; }
  bool one_in(size_t count) { return pick(count) == 0; }

  // `may_open`: what this command may take out of the book.
  bool risky(const std::function<bool()>& command, const std::set<net::Prefix>& may_open = {}) {
    if (!world_.engine) return false;
    points_left = one_in(5) ? static_cast<int>(pick(25)) + 1 : 0;
    set_crash_hook(die_at_point);
    bool done = false;
    try {
      done = command();
    } catch (const Killed&) {
      die();
      for (const auto& network : may_open) promised_.erase(network);  // before or after: both are right
    }
    set_crash_hook(nullptr);
    if (world_.engine)
      for (const auto& network : may_open)
        if (!world_.engine->guard().guards(network)) promised_.erase(network);
    return done;
  }
  void die() {
    ++figures_.kills;
    world_.kill();
  }
  // What this tunnel alone keeps closed.
  std::set<net::Prefix> held_by(const std::string& tunnel) const {
    const auto all = world_.engine->guard().networks_of(tunnel);
    return {all.begin(), all.end()};
  }
  std::string tunnel() { return pick(2) == 0 ? "t0" : "t1"; }
  static const char* far_end(const std::string& name) { return name == "t0" ? "5.6.7.8" : "5.6.7.9"; }
  static const char* inner_peer(const std::string& name) { return name == "t0" ? "10.0.1.1" : "10.0.2.1"; }

  void create() {
    const auto name = tunnel();
    risky([&] { return world_.create(name, true, far_end(name), one_in(6)).has_value(); });
  }
  // Both tunnels and all that they may promise, so that a walk has something to lose.
  void whole() {
    if (!world_.engine) return;
    (void)world_.load_policy(EngineWorld::protect_all("t0") + EngineWorld::protect_all("t1"));
    for (const char* name : {"t0", "t1"}) {
      (void)world_.create(name, true, far_end(name));
      (void)world_.create_address(name, inner_peer(name));
    }
    route();
    route_nested();
    for (const char* network : {"239.1.0.0/16", "2001:db8:67::/64"})
      if (world_.engine && world_.engine->guard().close(prefix_of(network), "t0")) promised_.insert(prefix_of(network));
  }
  void create_unsecured() {
    risky([&] { return world_.create(pick(2) == 0 ? "u0" : tunnel(), false, "5.6.7.10").has_value(); });
  }
  void plumb() {
    const auto name = tunnel();
    risky([&] { return world_.create_address(name, inner_peer(name)).has_value(); });
  }
  void plumb_unsecured() {
    risky([&] { return world_.create_address("u0", "10.0.3.1").has_value(); });
  }
  bool add_route(const char* network, const char* gateway) {
    return risky([&] {
      const auto report = world_.add_route({network, gateway}, !one_in(4));
      return report && !report->failed();
    });
  }
  void promise(bool done, const char* network) {
    if (!done || !world_.engine) return;
    const auto route = std::ranges::find_if(world_.platform.route_list, [&](const platform::Route& there) {
      return there.table == platform::kGuardTable && there.destination == prefix_of(network);
    });
    if (route == world_.platform.route_list.end()) return;
    for (const auto& [name, link] : world_.platform.links)
      if (const auto there = world_.engine->links().tunnel(name);
          link.info.index == route->interface_index && there && there->secured)
        promised_.insert(prefix_of(network));
  }
  void route() { promise(add_route("10.0.1.0/24", "10.0.1.1"), "10.0.1.0/24"); }
  void route_nested() { promise(add_route("10.0.1.128/25", "10.0.2.1"), "10.0.1.128/25"); }
  void route_link_local() { promise(add_route("169.254.7.0/24", "10.0.1.1"), "169.254.7.0/24"); }
  void route_default() { promise(add_route("default", "10.0.1.1"), "0.0.0.0/0"); }
  void route_unsecured() { (void)add_route("10.0.1.0/26", "10.0.3.1"); }
  void unroute() {
    const bool wide = one_in(2);
    risky(
        [&] {
          const std::vector<std::string> words{wide ? "default" : "10.0.1.128/25", wide ? "10.0.1.1" : "10.0.2.1"};
          return world_.engine->routes().remove(words, true).has_value();
        },
        {prefix_of(wide ? "0.0.0.0/0" : "10.0.1.128/25")});
  }
  void close() {
    const auto& chosen = kPromises[one_in(2) ? 3 : one_in(2) ? 5 : pick(std::size(kPromises))];
    const bool done =
        risky([&] { return world_.engine->guard().close(prefix_of(chosen.network), tunnel()).has_value(); });
    if (done && world_.engine) promised_.insert(prefix_of(chosen.network));
  }
  void open() {
    const auto network = prefix_of(kPromises[pick(std::size(kPromises))].network);
    risky([&] { return world_.engine->guard().open(network).has_value(); }, {network});
  }
  void erase() {
    if (!world_.engine) return;
    const auto name = tunnel();
    const bool keep = one_in(2);
    const auto may_open = keep ? std::set<net::Prefix>{} : held_by(name);
    (void)risky([&] { return world_.engine->links().remove(name, one_in(4), keep, true).has_value(); }, may_open);
  }
  void rename() {
    const auto name = tunnel();
    risky([&] { return world_.engine->links().rename(name, one_in(2) ? "t2" : "u0").has_value(); });
  }
  void rename_back() {
    risky([&] { return world_.engine->links().rename(one_in(2) ? "t2" : "u0", tunnel()).has_value(); });
  }
  void modify() {
    const auto name = tunnel();
    risky([&] {
      return world_.engine->links().modify(name, {}, one_in(2) ? "5.6.7.11" : far_end(name), false).has_value();
    });
  }
  void down_up() {
    risky([&] {
      return one_in(2) ? world_.engine->links().take_down().has_value() : world_.engine->links().bring_up().has_value();
    });
  }
  void load() {
    const char* kNetwork = "{ tunnel t0 negotiate tunnel raddr 10.7.0.0/24 } ipsec { encr_algs aes-gcm sa shared }\n";
    const bool narrow = one_in(2);
    // Another rule in its place may let 10.7.0.0/24 go: a rule that is replaced is the operator's word.
    const bool done =
        risky([&] { return world_.load_policy(narrow ? kNetwork : EngineWorld::protect_all("t0")).has_value(); },
              narrow ? std::set<net::Prefix>{} : std::set{prefix_of("10.7.0.0/24")});
    if (narrow && done && world_.engine && world_.engine->guard().guards(prefix_of("10.7.0.0/24")))
      promised_.insert(prefix_of("10.7.0.0/24"));
  }
  void load_broken() {
    risky([&] { return world_.load_policy("{ tunnel t0 negotiate tunnel } ipsec { encr_algs none").has_value(); });
  }
  void flush() {
    risky([&] { return world_.engine->policy().flush_global().has_value(); });
  }
  void inside() {
    risky([&] { return world_.engine->guard().set_inside("net1", one_in(2)).has_value(); });
  }

  // ---- the daemon and its machine
  void kill() { die(); }
  void start() {
    if (world_.engine) return;
    points_left = one_in(3) ? static_cast<int>(pick(15)) + 1 : 0;
    set_crash_hook(die_at_point);
    try {
      const auto started = world_.start();
      if (!started) refused(started.error());
      if (started) book_hurt_ = false;
    } catch (const Killed&) {
      die();
    }
    set_crash_hook(nullptr);
  }
  // A start may be refused while something fails, or for a book that cannot be read: closed, and the text says what to
  // do, which is done here.
  void refused(const Error& error) {
    check(failing_ || book_hurt_, "a start is refused though nothing failed: " + error.text);
    die();
    if (hurt_file_.empty()) return;
    std::filesystem::remove(world_.root + hurt_file_);
    failing_ = false;
  }
  void reboot() {
    world_.reboot();
    failing_ = false;
    add_default6();
    // Of temporary tunnels nothing outlives a boot.
    std::erase_if(promised_, [&](const net::Prefix& network) { return !lasting_.contains(network); });
  }
  void add_default6() {
    platform::Route route;
    route.destination = prefix_of("::/0");
    route.gateway = address_of("2001:db8:1::1");
    route.interface_index = world_.platform.links.at("net0").info.index;
    route.protocol = 4;
    world_.platform.others_add_route(route);
  }
  void tick() {
    if (!world_.engine) return;
    world_.clock.advance(Seconds(1 + pick(3)));
    world_.run_until_quiet();
    world_.engine->tick();
  }
  void clock_jumps() { world_.clock.advance(Seconds(pick(2) == 0 ? 86400 : 60)); }
  // Quiet: whatever others broke is back, whatever failed was done again.
  void quiet() {
    if (!world_.engine) return;
    world_.platform.guardian = true;
    world_.platform.fail_no_more();
    for (int round = 0; round < 3; ++round) {
      world_.clock.advance(Seconds(2));
      world_.run_until_quiet();
      world_.engine->tick();
    }
    failing_ = false;
    if (!world_.platform.guard || world_.platform.guard->closed.empty()) return;
    const auto& layers = world_.platform.layers;
    check(layers.rule && layers.lasting && layers.owned, "it is quiet, and a layer is not back");
  }
  void call_fails() {
    static const char* kCalls[] = {"change_guard",     "replace_guard",  "add_route",   "remove_route",
                                   "set_carrier",      "open_tun",       "set_link_up", "add_address",
                                   "remove_address",   "put_back_rule",  "delete_tun",  "apply_firewall",
                                   "put_back_lasting", "put_back_owned", "rename_link"};
    static const int kCodes[] = {EIO, ENOMEM, EPERM, EEXIST, EBUSY};
    world_.platform.fail_call(kCalls[pick(std::size(kCalls))], static_cast<int>(pick(3)) + 1, kCodes[pick(5)]);
    failing_ = true;
  }
  void guardian_hangs() {
    world_.platform.guardian = false;
    failing_ = true;
  }
  void guardian_answers() { world_.platform.guardian = true; }
  void guardian_dies() { world_.platform.kill_guardian(); }

  // ---- files: one of them is hurt at a time, until a start has seen it
  void hurt(const std::string& path, const std::function<void(const std::string&)>& how) {
    if (book_hurt_ || !std::filesystem::exists(world_.root + path)) return;
    book_hurt_ = true;
    hurt_file_ = path;
    how(world_.root + path);
  }
  std::string some_book() { return one_in(2) ? "/etc/adit/guard.book" : "/etc/adit/guard.book.copy"; }
  void book_lost() {
    hurt(some_book(), [](const std::string& path) { std::filesystem::remove(path); });
  }
  void book_emptied() {
    hurt(some_book(), [](const std::string& path) { std::filesystem::resize_file(path, 0); });
  }
  void book_cut() {
    hurt(some_book(), [&](const std::string& path) {
      std::filesystem::resize_file(path, pick(std::filesystem::file_size(path) + 1));
    });
  }
  void book_saved() { saved_book_ = world_.file("/etc/adit/guard.book"); }
  void book_old() {
    if (saved_book_.empty()) return;
    hurt("/etc/adit/guard.book", [&](const std::string& path) { std::ofstream(path) << saved_book_; });
  }
  void links_lost() {
    if (world_.engine) return;
    const std::string path = world_.root + "/etc/dladm/datalink.conf";
    if (!std::filesystem::exists(path)) return;
    if (one_in(2)) return void(std::filesystem::remove(path));
    const std::string text = world_.file("/etc/dladm/datalink.conf");
    const size_t line = text.find('\n', pick(text.size() + 1));
    std::filesystem::resize_file(path, line == text.npos ? 0 : line + 1);
  }

  // ---- others
  void link_down() { world_.platform.others_set_link(tunnel(), one_in(4)); }
  void link_deleted() { world_.platform.others_delete_link(tunnel()); }
  void our_route_deleted() {
    platform::Route route;
    route.destination = prefix_of("10.0.1.0/24");
    route.table = platform::kGuardTable;
    world_.platform.others_remove_route(route);
  }
  void ruleset_flushed() { world_.platform.others_flush_nftables(); }
  void rule_deleted() { world_.platform.others_remove_rule(); }
  static const char* elsewhere() { return "10.0.1.0/28"; }
  void routed_elsewhere() {
    elsewhere_ends();
    world_.platform.others_add_route(world_.foreign_route(elsewhere()));
    world_.platform.others_add_route(world_.foreign_route("10.0.1.200/32"));
  }
  void elsewhere_ends() {
    world_.platform.others_remove_route(world_.foreign_route(elsewhere()));
    world_.platform.others_remove_route(world_.foreign_route("10.0.1.200/32"));
  }
  platform::Route into_tunnel(const char* network, int device) const {
    platform::Route route;
    route.destination = prefix_of(network);
    route.interface_index = device;
    route.protocol = 4;
    return route;
  }
  void seen_route() {
    const auto found = world_.platform.links.find(tunnel());
    if (found == world_.platform.links.end() || !found->second.info.up) return;
    world_.platform.others_add_route(into_tunnel(one_in(2) ? "10.9.0.0/16" : "0.0.0.0/1", found->second.info.index));
  }
  void seen_withdrawn() {
    for (const char* name : {"t0", "t1"})
      if (const auto found = world_.platform.links.find(name); found != world_.platform.links.end())
        for (const char* network : {"10.9.0.0/16", "0.0.0.0/1"})
          world_.platform.others_remove_route(into_tunnel(network, found->second.info.index));
  }
  void lease() { (void)world_.platform.add_address("net0", prefix_of("10.0.1.77/24"), {}); }
  void lease_ends() { world_.platform.others_remove_address("net0", prefix_of("10.0.1.77/24")); }
  void address_deleted() {
    const auto found = world_.platform.links.find(tunnel());
    if (found == world_.platform.links.end()) return;
    for (const auto& address : std::vector(world_.platform.address_list))
      if (address.interface_index == found->second.info.index)
        return world_.platform.others_remove_address(found->first, address.local);
  }

  // ---- never locked out: with a daemon that runs, or after one more start, the operator opens everything; and then
  // the packets that never left do leave, which shows that the question was worth asking.
  void operator_opens_everything() {
    set_crash_hook(nullptr);
    world_.platform.guardian = true;
    for (int round = 0; round < 3 && !world_.engine; ++round) {
      const auto started = world_.start();
      if (!started) refused(started.error());
    }
    check(world_.engine != nullptr, "no start succeeds any more");
    if (!world_.engine) return;
    quiet();
    for (const char* name : {"t0", "t1", "t2", "u0"})
      if (world_.engine->links().tunnel(name)) check_done(world_.engine->links().remove(name, false, true, true), name);
    const auto networks = world_.engine->guard().book().networks();  // a copy: it shrinks
    for (const auto& [network, entry] : networks) {
      check_done(world_.engine->guard().open(network), "open " + network.str());
      ++figures_.opened;
    }
    if (!fault_.empty()) return;
    world_.run_until_quiet();
    elsewhere_ends();
    for (const auto& network : promised_)
      check(world_.leak(PacketKind::local, address_in(network)).has_value(),
            network.str() + " is still closed after the operator opened it");
  }
  void check_done(const auto& result, const std::string& what) {
    if (!result) check(false, fmt::format("the operator is locked out: {}: {}", what, result.error().text));
  }

  EngineWorld world_;
  Figures& figures_;
  std::ostream* told_ = nullptr;
  std::minstd_rand random_;
  std::set<net::Prefix> promised_,
      lasting_;  // what was to be closed; what the book said of boots when it was last seen
  std::string saved_book_, hurt_file_, fault_;
  bool book_hurt_ = false, failing_ = false;
};

const std::vector<Chaos::Kind> Chaos::kKinds = {{"whole", &Chaos::whole, 2},
                                                {"create", &Chaos::create, 4},
                                                {"create-unsecured", &Chaos::create_unsecured, 1},
                                                {"plumb", &Chaos::plumb, 4},
                                                {"plumb-unsecured", &Chaos::plumb_unsecured, 1},
                                                {"route", &Chaos::route, 4},
                                                {"route-nested", &Chaos::route_nested, 2},
                                                {"route-link-local", &Chaos::route_link_local, 1},
                                                {"route-default", &Chaos::route_default, 1},
                                                {"route-unsecured", &Chaos::route_unsecured, 1},
                                                {"unroute", &Chaos::unroute, 1},
                                                {"close", &Chaos::close, 3},
                                                {"open", &Chaos::open, 1},
                                                {"erase", &Chaos::erase, 2},
                                                {"rename", &Chaos::rename, 1},
                                                {"rename-back", &Chaos::rename_back, 2},
                                                {"modify", &Chaos::modify, 1},
                                                {"down-up", &Chaos::down_up, 1},
                                                {"load", &Chaos::load, 2},
                                                {"load-broken", &Chaos::load_broken, 1},
                                                {"flush", &Chaos::flush, 1},
                                                {"inside", &Chaos::inside, 1},
                                                {"kill", &Chaos::kill, 2},
                                                {"start", &Chaos::start, 8},
                                                {"reboot", &Chaos::reboot, 1},
                                                {"tick", &Chaos::tick, 5},
                                                {"clock-jumps", &Chaos::clock_jumps, 1},
                                                {"quiet", &Chaos::quiet, 4},
                                                {"call-fails", &Chaos::call_fails, 3},
                                                {"guardian-hangs", &Chaos::guardian_hangs, 1},
                                                {"guardian-answers", &Chaos::guardian_answers, 2},
                                                {"guardian-dies", &Chaos::guardian_dies, 2},
                                                {"book-lost", &Chaos::book_lost, 1},
                                                {"book-emptied", &Chaos::book_emptied, 1},
                                                {"book-cut", &Chaos::book_cut, 1},
                                                {"book-saved", &Chaos::book_saved, 1},
                                                {"book-old", &Chaos::book_old, 1},
                                                {"links-lost", &Chaos::links_lost, 1},
                                                {"link-down", &Chaos::link_down, 2},
                                                {"link-deleted", &Chaos::link_deleted, 2},
                                                {"our-route-deleted", &Chaos::our_route_deleted, 2},
                                                {"ruleset-flushed", &Chaos::ruleset_flushed, 2},
                                                {"rule-deleted", &Chaos::rule_deleted, 2},
                                                {"routed-elsewhere", &Chaos::routed_elsewhere, 2},
                                                {"elsewhere-ends", &Chaos::elsewhere_ends, 1},
                                                {"seen-route", &Chaos::seen_route, 1},
                                                {"seen-withdrawn", &Chaos::seen_withdrawn, 1},
                                                {"lease", &Chaos::lease, 1},
                                                {"lease-ends", &Chaos::lease_ends, 1},
                                                {"address-deleted", &Chaos::address_deleted, 1}};

std::vector<Act> acts_of(uint32_t seed, size_t count) {
  std::mt19937 random(seed);
  std::vector<int> weights;
  const char* without = std::getenv("ADIT_CHAOS_WITHOUT");  // a comma behind each, to go on past a known fault
  for (const auto& kind : Chaos::kKinds)
    weights.push_back(without != nullptr && std::strstr(without, (std::string(kind.name) + ",").c_str()) ? 0
                                                                                                         : kind.weight);
  std::discrete_distribution<size_t> kind(weights.begin(), weights.end());
  std::vector<Act> acts{{0, static_cast<uint32_t>(random())}};
  for (size_t i = 0; i < count; ++i) {
    const size_t drawn = kind(random);
    acts.push_back({drawn, static_cast<uint32_t>(random())});
  }
  return acts;
}

std::string fault_of(const std::vector<Act>& acts, Figures& figures, const std::string& trace = {}) {
  return Chaos(figures, trace).run(acts);
}

using Fault = std::function<std::string(const std::vector<Act>&)>;

std::string fault_of_walk(const std::vector<Act>& acts) {
  Figures unused;
  return fault_of(acts, unused);
}

std::string refusal_of(const std::vector<Act>& acts) {
  Figures unused;
  const std::string trace = trace_file("again");
  const std::string fault = fault_of(acts, unused, trace);
  const std::string refused = fault.empty() ? refused_by_model({trace}) : fault;
  std::filesystem::remove(trace);
  return refused;
}

// Leaves out ever smaller parts as long as it still fails.
std::vector<Act> shortest_failing(std::vector<Act> acts, const Fault& fault) {
  for (size_t part = std::max<size_t>(1, acts.size() / 2);; part /= 2) {
    for (size_t at = 0; at < acts.size();) {
      std::vector<Act> without(acts);
      const auto first = without.begin() + static_cast<std::ptrdiff_t>(at);
      without.erase(first, first + static_cast<std::ptrdiff_t>(std::min(part, acts.size() - at)));
      if (fault(without).empty())
        at += part;
      else
        acts = std::move(without);
    }
    if (part == 1) return acts;
  }
}

std::string text_of(const std::vector<Act>& acts) {
  std::string text;
  for (const Act& act : acts) text += fmt::format(" {}:{:x}", Chaos::kKinds[act.kind].name, act.word);
  return text;
}

std::vector<Act> acts_from(const std::string& text) {
  std::vector<Act> acts;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const auto colon = word.find(':');
    const auto kind =
        std::ranges::find(Chaos::kKinds, word.substr(0, colon), [](const auto& one) { return std::string(one.name); });
    if (kind == Chaos::kKinds.end() || colon == word.npos) throw std::invalid_argument(word);
    acts.push_back({static_cast<size_t>(kind - Chaos::kKinds.begin()),
                    static_cast<uint32_t>(std::stoul(word.substr(colon + 1), nullptr, 16))});
  }
  return acts;
}

uint64_t number_from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

// Walks whose steps wait to be judged: one process for many.
class Traces {
 public:
  std::string file_for(uint64_t seed) {
    seeds_.push_back(seed);
    return file_of(seed);
  }
  [[nodiscard]] bool enough() const { return seeds_.size() >= 100; }
  // The first walk that the model refuses, with its refusals.
  std::optional<std::pair<uint64_t, std::string>> judge() {
    std::vector<std::string> files;
    for (const uint64_t seed : seeds_) files.push_back(file_of(seed));
    const std::string refused = files.empty() ? "" : refused_by_model(files);
    const auto seeds = std::exchange(seeds_, {});
    for (const std::string& file : files) std::filesystem::remove(file);
    if (refused.empty()) return std::nullopt;
    for (const uint64_t seed : seeds)
      if (refused.find(file_of(seed) + ":") != refused.npos) return std::pair(seed, refused);
    return std::pair(seeds.front(), refused);
  }

 private:
  static std::string file_of(uint64_t seed) { return trace_file(std::to_string(seed)); }
  std::vector<uint64_t> seeds_;
};

constexpr size_t kWalk = 120;

std::string told(uint64_t seed, const std::string& what, const Fault& fault) {
  const auto shortest = shortest_failing(acts_of(static_cast<uint32_t>(seed), kWalk), fault);
  return fmt::format("seed {}: {}\nshortest:{}\n  {}", seed, what, text_of(shortest), fault(shortest));
}

TEST(Chaos, NoActsInAnyOrderOpenWhatIsPromised) {
  const uint64_t acts = number_from_environment("ADIT_CHAOS_ACTS", 3000);
  uint64_t seed = number_from_environment("ADIT_CHAOS_SEED", 1);
  Figures figures;
  if (const char* replay = std::getenv("ADIT_CHAOS_REPLAY")) {
    Chaos chaos(figures);
    chaos.tell_to(std::cout);
    EXPECT_EQ(chaos.run(acts_from(replay)), "");
    EXPECT_EQ(refusal_of(acts_from(replay)), "");
    return;
  }
  Traces traces;
  for (; figures.acts < acts; ++seed) {
    const auto walk = acts_of(static_cast<uint32_t>(seed), kWalk);
    const std::string fault = fault_of(walk, figures, traces.file_for(seed));
    if (!fault.empty()) FAIL() << told(seed, fault, fault_of_walk);
    if (!traces.enough() && figures.acts < acts) continue;
    if (const auto refused = traces.judge()) FAIL() << told(refused->first, refused->second, refusal_of);
  }
  std::cout << fmt::format(
      "{} acts in {} worlds, {} kills, {} judgements ({} with no layer left), {} networks opened again\n", figures.acts,
      figures.worlds, figures.kills, figures.judged, figures.unlayered, figures.opened);
  EXPECT_GT(figures.kills, acts / 100);
  EXPECT_GT(figures.judged - figures.unlayered, acts);
}

}  // namespace
}  // namespace adit::engine
