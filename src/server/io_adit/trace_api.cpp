// io.adit.trace
#include <chrono>
#include <ctime>
#include <map>

#include "links/links.h"
#include "path/dataplane.h"
#include "server/door.h"
#include "server/io_adit/engine_api.h"

namespace adit::protocol {
namespace {

using nlohmann::json;

constexpr const char* kDescription = R"(# Live packets: which rule and SA decided, and why one was dropped.
interface io.adit.trace

# rule 0: no rule decided; origin: file:line of the rule. spi 0: no SA. drop "": the packet went on.
# time: RFC 3339, of this host's clock. outer: the addresses are the outer packet's, for nobody knows what is inside.
type Packet (time_ns: int, time: string, outer: bool, tunnel: string, direction: string, source: string, destination: string, protocol: int, source_port: ?int,
  destination_port: ?int, icmp_type: ?int, icmp_code: ?int, length: int, rule: int, origin: string, spi: int, sequence: int,
  drop: string, sentence: string)

# With more. tunnel: only its packets. lost: how many did not fit since the last answer.
method Follow(tunnel: ?string) -> (packets: []Packet, lost: int)
error io.adit.Failed (code: int, text: string)
)";

std::string origin_of(const spd::Head* head, uint64_t index) {
  if (head == nullptr) return "";
  for (const spd::Rule& rule : head->rules())
    if (rule.index == index)
      return rule.origin.line == 0 ? rule.origin.file : fmt::format("{}:{}", rule.origin.file, rule.origin.line);
  return "";
}

// Of a moment of the monotonic clock.
std::string wall_time(uint64_t when_ns) {
  using namespace std::chrono;
  const auto ago = steady_clock::now().time_since_epoch() - nanoseconds(when_ns);
  const auto wall = time_point_cast<milliseconds>(system_clock::now() - duration_cast<system_clock::duration>(ago));
  const std::time_t seconds =
      system_clock::to_time_t(time_point_cast<std::chrono::seconds>(floor<std::chrono::seconds>(wall)));
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, wall.time_since_epoch().count() % 1000);
}

json packet_json(const datapath::TraceRecord& record, const datapath::Snapshot& snapshot) {
  const datapath::Link* link = snapshot.by_id(record.link);
  json row = {{"time_ns", record.when_ns},
              {"time", wall_time(record.when_ns)},
              {"outer", record.outer},
              {"tunnel", link == nullptr ? "" : link->name},
              {"direction", record.outbound ? "out" : "in"},
              {"source", record.flow.source.str()},
              {"destination", record.flow.destination.str()},
              {"protocol", record.flow.protocol},
              {"length", record.length},
              {"rule", record.rule_index},
              {"origin", origin_of(link == nullptr ? nullptr : link->head.get(), record.rule_index)},
              {"spi", record.spi},
              {"sequence", record.sequence},
              {"drop", record.drop == DropReason::none ? "" : text_of(record.drop).name},
              {"sentence", record.drop == DropReason::none ? "" : text_of(record.drop).sentence}};
  if (record.flow.has_ports)
    row.update({{"source_port", record.flow.source_port}, {"destination_port", record.flow.destination_port}});
  if (record.flow.has_icmp) row.update({{"icmp_type", record.flow.icmp_type}, {"icmp_code", record.flow.icmp_code}});
  return row;
}

// Taps the packet path while anybody looks, and hands out what it sees ten times a second.
class TraceFeed : public std::enable_shared_from_this<TraceFeed> {
 public:
  TraceFeed(engine::Engine& engine, asio::io_context& io) : shared_(engine.dataplane().shared()), timer_(io) {}

  uint64_t add(std::string tunnel, Emit emit) {
    readers_[next_] = {std::move(tunnel), std::move(emit)};
    if (readers_.size() == 1) {
      shared_.trace.enable(true);
      arm();
    }
    return next_++;
  }

  void remove(uint64_t reader) {
    readers_.erase(reader);
    if (readers_.empty()) {
      shared_.trace.enable(false);
      timer_.cancel();
    }
  }

 private:
  struct Reader {
    std::string tunnel;
    Emit emit;
  };

  void arm() {
    timer_.expires_after(std::chrono::milliseconds(100));
    timer_.async_wait([self = shared_from_this()](asio::error_code error) {
      if (error || self->readers_.empty()) return;
      self->arm();
      (void)at_the_door([&] { self->hand_out(); });  // those packets are lost to who looks
    });
  }

  void hand_out() {
    const auto records = shared_.trace.take();
    const uint64_t lost = shared_.trace.lost() - lost_before_;
    lost_before_ += lost;
    if (records.empty() && lost == 0) return;
    const auto snapshot = shared_.publisher.get();
    if (!snapshot) return;
    json all = json::array();
    for (const auto& record : records) all.push_back(packet_json(record, *snapshot));
    const auto readers = readers_;  // a reader that is gone removes itself while told
    for (const auto& [id, reader] : readers) {
      json wanted = all;
      if (!reader.tunnel.empty())
        std::erase_if(wanted.get_ref<json::array_t&>(),
                      [&](const json& row) { return row["tunnel"] != reader.tunnel; });
      if (!wanted.empty() || lost > 0) reader.emit({{"packets", wanted}, {"lost", lost}});
    }
  }

  datapath::Shared& shared_;
  asio::steady_timer timer_;
  std::map<uint64_t, Reader> readers_;
  uint64_t next_ = 1;
  uint64_t lost_before_ = 0;
};

}  // namespace

void add_trace_methods(VarlinkMethods& methods, engine::Engine& engine, asio::io_context& io) {
  const auto feed = std::make_shared<TraceFeed>(engine, io);
  methods.describe("io.adit.trace", kDescription);
  methods.add_stream("io.adit.trace.Follow", Access::write,
                     [feed, &engine](const json& in, const Caller&, Emit emit) -> Result<Unsubscribe> {
                       const std::string tunnel = optional_text(in, "tunnel").value_or("");
                       if (!tunnel.empty() && !engine.links().tunnel(tunnel))
                         return fail(ENOENT, "object not found: there is no tunnel {}", tunnel);
                       const uint64_t reader = feed->add(tunnel, std::move(emit));
                       return [feed, reader] { feed->remove(reader); };
                     });
}

}  // namespace adit::protocol
