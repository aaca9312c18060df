// Lifetimes, proposals and algorithm lists as text.
#include <algorithm>
#include <limits>

#include "config/ipseckey/lines.h"

namespace adit::config::ipseckey {
namespace {
using namespace sad;

// How much is left of a limit, and when it comes by time.
void put_remaining(Printer& printer, std::string_view prefix, std::string_view kind, const Lifetime& limit,
                   const Lifetime& current) {
  SecretString& out = printer.out;
  if (limit.bytes != 0) {
    const uint64_t left = limit.bytes > current.bytes ? limit.bytes - current.bytes : 0;
    out += fmt::format("{}: {} bytes {}more can be protected.\n", prefix, left, byte_hint(left));
  }
  const uint64_t now = printer.options.now;
  uint64_t at = std::numeric_limits<uint64_t>::max();
  if (limit.add_seconds != 0) at = std::min(at, current.add_seconds + limit.add_seconds);
  if (limit.use_seconds != 0 && current.use_seconds != 0) at = std::min(at, current.use_seconds + limit.use_seconds);
  if (at == std::numeric_limits<uint64_t>::max() || now == 0) return;
  if (at < now) {
    out += fmt::format("{}: {} expiration occurred\n", prefix, kind);
  } else {
    std::string hint = second_hint(at - now);
    if (!hint.empty()) hint = " " + hint.substr(0, hint.size() - 1);
    out += fmt::format("{}: {} expiration occurs in {} seconds{}\n", prefix, kind, at - now, hint);
  }
  out += fmt::format("{}: Time of expiration: {}.\n", prefix, printer.time(at));
}

void put_seconds(Printer& printer, std::string_view prefix, const Lifetime& life) {
  printer.out +=
      fmt::format("{}: {} seconds {}of post-add lifetime.\n", prefix, life.add_seconds, second_hint(life.add_seconds));
  printer.out +=
      fmt::format("{}: {} seconds {}of post-use lifetime.\n", prefix, life.use_seconds, second_hint(life.use_seconds));
}

void put_limit(Printer& printer, std::string_view prefix, std::string_view kind, const Lifetime& limit,
               const std::optional<Lifetime>& current) {
  printer.out += fmt::format("{}: {} lifetime information:\n", prefix, kind);
  printer.out += fmt::format("{}: {} bytes {}of lifetime, {} allocations.\n", prefix, limit.bytes,
                             byte_hint(limit.bytes), limit.allocations);
  put_seconds(printer, prefix, limit);
  if (current) put_remaining(printer, prefix, kind, limit, *current);
}

void put_current(Printer& printer, const Lifetime& current) {
  SecretString& out = printer.out;
  out += "CLT: Current lifetime information:\n";
  out += fmt::format("CLT: {} bytes {}protected, {} allocations used.\n", current.bytes, byte_hint(current.bytes),
                     current.allocations);
  out += fmt::format("CLT: SA added at time: {}\n", printer.time(current.add_seconds));
  if (current.use_seconds != 0)
    out += fmt::format("CLT: SA first used at time {}\n", printer.time(current.use_seconds));
  if (printer.options.now != 0) out += fmt::format("CLT: Time now is {}\n", printer.time(printer.options.now));
}

std::string limits_text(const Lifetime& life) {
  return fmt::format("alloc={}, bytes={}, post-add secs={}, post-use secs={}", life.allocations, life.bytes,
                     life.add_seconds, life.use_seconds);
}
}  // namespace

std::string byte_hint(uint64_t bytes) {
  if (bytes <= 1024) return {};
  constexpr std::string_view kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return fmt::format("({:.2f} {}) ", value, kUnits[unit]);
}

std::string second_hint(uint64_t seconds) {
  if (seconds <= 60) return {};
  struct Unit {
    uint64_t seconds;
    std::string_view name;
  };
  constexpr Unit kUnits[] = {{86'400, "day"}, {3'600, "hour"}, {60, "minute"}};
  for (const Unit& unit : kUnits) {
    if (seconds < unit.seconds) continue;
    return fmt::format("({:.2f} {}s) ", static_cast<double>(seconds) / static_cast<double>(unit.seconds), unit.name);
  }
  return {};
}

void Printer::put_lifetimes(const KeyMessage& message) {
  if (!message.current && !message.hard && !message.soft && !message.idle) return;
  out += " LT: Lifetime information\n";
  if (message.current) put_current(*this, *message.current);
  if (message.soft) put_limit(*this, "SLT", "Soft", *message.soft, message.current);
  if (message.hard) put_limit(*this, "HLT", "Hard", *message.hard, message.current);
  if (!message.idle) return;
  out += "ILT: Idle lifetime information:\n";
  put_seconds(*this, "ILT", *message.idle);
}

void Printer::put_proposal(const Proposal& proposal) {
  out += fmt::format("PRP: Proposal, replay counter = {}.\n", proposal.replay);
  for (size_t i = 0; i < proposal.combinations.size(); ++i) {
    const Combination& c = proposal.combinations[i];
    out += fmt::format("PRP:  Combination #{} ", i + 1);
    if (c.auth != 0)
      out +=
          fmt::format("Authentication = {}  minbits={}, maxbits={}.\nPRP:  ", algorithm(crypto::AlgProto::ah, c.auth),
                      c.auth_min, c.auth_max);
    if (c.encr != 0)
      out += fmt::format("Encryption = {}  minbits={}, maxbits={}, saltbits={}.\nPRP:  ",
                         algorithm(crypto::AlgProto::esp, c.encr), c.encr_min, c.encr_max, c.salt_bits);
    out += fmt::format("HARD: {}\nPRP:  SOFT: {}\n", limits_text(c.hard), limits_text(c.soft));
  }
}

void Printer::put_extended_proposal(const ExtendedProposal& proposal) {
  out += fmt::format("EPR: Extended Proposal, replay counter = {}, number of combinations = {}.\n", proposal.replay,
                     proposal.combinations.size());
  for (size_t i = 0; i < proposal.combinations.size(); ++i) {
    const ExtendedCombination& c = proposal.combinations[i];
    out += fmt::format("EPR:  Extended combination #{}:\nEPR:  HARD: {}\nEPR:  SOFT: {}\n", i + 1, limits_text(c.hard),
                       limits_text(c.soft));
    for (size_t j = 0; j < c.algorithms.size(); ++j) {
      const AlgorithmDescription& a = c.algorithms[j];
      const bool encr = a.kind == 2;
      const std::string what = a.kind == 1 || encr
                                   ? fmt::format("{} = {}", encr ? "Encryption" : "Authentication",
                                                 algorithm(encr ? crypto::AlgProto::esp : crypto::AlgProto::ah, a.alg))
                                   : fmt::format("algtype({}) = alg({})", a.kind, a.alg);
      out += fmt::format("EPR:  Alg #{} for {} {}  minbits={}, maxbits={}, saltbits={}\n", j + 1, satype_name(a.satype),
                         what, a.min_bits, a.max_bits, a.salt_bits);
    }
  }
}

void Printer::put_supported(const std::vector<SupportedAlgorithm>& list, bool encr) {
  const std::string_view prefix = encr ? "SUE" : "SUA";
  out += fmt::format("{}: Supported {} algorithms.\n", prefix, encr ? "encryption" : "authentication");
  for (const SupportedAlgorithm& a : list) {
    out += fmt::format("{}: {} minbits={}, maxbits={}, ivlen={}, saltbits={}", prefix,
                       algorithm(encr ? crypto::AlgProto::esp : crypto::AlgProto::ah, a.id), a.min_bits, a.max_bits,
                       a.iv_bytes, a.salt_bits);
    out += encr ? fmt::format(", increment={}.\n", a.increment) : ".\n";
  }
}

}  // namespace adit::config::ipseckey
