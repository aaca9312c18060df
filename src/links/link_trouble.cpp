#include "links/link_trouble.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace adit::engine {

TroubleFacts trouble_facts(const std::vector<std::shared_ptr<datapath::LinkCounters>>& workers) {
  TroubleFacts facts;
  for (const auto& counters : workers) {
    const auto out = [&](DropReason reason) { return counters->drops_out[static_cast<size_t>(reason)].get(); };
    const auto in = [&](DropReason reason) { return counters->drops_in[static_cast<size_t>(reason)].get(); };
    facts.sent += counters->opackets.get();
    for (const auto reason : {DropReason::send_failed, DropReason::send_refused, DropReason::send_unreachable,
                              DropReason::send_no_source, DropReason::send_queue_full, DropReason::send_no_socket})
      facts.refused += out(reason);
    facts.let_in += counters->ipackets.get();
    facts.bad_icv += in(DropReason::bad_icv);
    facts.unknown_spi += in(DropReason::unknown_spi);
    facts.wrong_outer += in(DropReason::wrong_outer);
    if (const int error = counters->send_error.load(std::memory_order_relaxed); error != 0) {
      facts.error = error;
      facts.sent_since += counters->opackets.get() - counters->sent_before_error.load(std::memory_order_relaxed);
    }
    if (const uint16_t port = counters->other_port.load(std::memory_order_relaxed); port != 0) facts.other_port = port;
  }
  return facts;
}

void LinkTrouble::Streak::count(uint64_t failed, uint64_t succeeded, MonoTime now) {
  if (failed != 0 && failed >= succeeded) {
    if (now - at >= kFresh) failures = 0;
    failures += failed;
    at = now;
  } else if (succeeded != 0) {
    failures = 0;
  }
}

bool LinkTrouble::may_tell(Trouble trouble, MonoTime now) {
  auto& told = told_at_[static_cast<size_t>(trouble)];
  if (told && now - *told < kEventEvery) return false;
  told = now;
  return true;
}

Trouble LinkTrouble::tick(const TroubleFacts& facts, MonoTime now) {
  const TroubleFacts before = begun_ ? last_ : facts;
  begun_ = true;
  last_ = facts;
  const uint64_t let_in = facts.let_in - before.let_in;
  // Many may have left in the second in which the way was cut, and none since.
  const uint64_t refused = facts.refused - before.refused;
  refused_.count(refused, refused != 0 && facts.sent_since == 0 ? 0 : facts.sent - before.sent, now);
  bad_icv_.count(facts.bad_icv - before.bad_icv, let_in, now);
  unknown_spi_.count(facts.unknown_spi - before.unknown_spi, let_in, now);
  wrong_outer_.count(facts.wrong_outer - before.wrong_outer, let_in, now);

  const Trouble sends = sending(now), peers = peer(now);
  const bool sends_new = sends != std::exchange(told_sending_, sends) && sends != Trouble::none;
  const bool peers_new = peers != std::exchange(told_peer_, peers) && peers != Trouble::none;
  if (sends_new && may_tell(sends, now)) return sends;
  return peers_new && may_tell(peers, now) ? peers : Trouble::none;
}

Trouble LinkTrouble::sending(MonoTime now) const {
  return refused_.lasts(now, 1) ? Trouble::sending : Trouble::none;
}

Trouble LinkTrouble::peer(MonoTime now) const {
  if (bad_icv_.lasts(now, kEnough)) return Trouble::peer_key;
  if (unknown_spi_.lasts(now, kEnough)) return Trouble::peer_spi;
  if (wrong_outer_.lasts(now, kEnough)) return Trouble::peer_address;
  return last_.other_port != 0 ? Trouble::peer_port : Trouble::none;
}

std::string errno_text(int error) {
  const char* const name = strerrorname_np(error);
  return name == nullptr ? fmt::format("error {}", error) : fmt::format("{} ({})", std::strerror(error), name);
}

namespace {

std::string remedy_of(int error, const std::string& local, const std::string& remote) {
  switch (error) {
    case EPERM:
    case EACCES:
      return "a rule of this host's firewall drops its outer packets; `adit explain` names it";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case ENODEV:
      return fmt::format("no way leads to {}; give the underlay a route to it, or bring its link up", remote);
    case EINVAL:
    case EADDRNOTAVAIL:
      return fmt::format("{} is not an address of this host now; give it back to an interface", local);
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
      return "more is sent than the underlay's device takes; send less, or give that device a longer queue";
    case EAFNOSUPPORT:
      return "aditd has no socket for the outer protocol; `adit status` says which and why";
    default:
      return "`adit explain` follows its outer packets";
  }
}

}  // namespace

std::string sentence_of(Trouble trouble, const LinkTrouble& about, const std::string& link, const std::string& local,
                        const std::string& remote) {
  switch (trouble) {
    case Trouble::none:
      return {};
    case Trouble::sending:
      return fmt::format("{} is up, but its outer packets to {} do not leave: {}: {}", link, remote,
                         errno_text(about.error()), remedy_of(about.error(), local, remote));
    case Trouble::peer_key:
      return fmt::format(
          "what comes to {1} as from {0} fails its integrity check: the keys or algorithms of the two ends are not the "
          "same, or somebody forges; compare them with ipseckey at both ends",
          remote, link);
    case Trouble::peer_spi:
      return fmt::format(
          "what comes to {1} as from {0} names keys that are not here (unknown SPI), or somebody forges: load the "
          "peer's keys here with ipseckey, or take the old ones away there; `adit trace -d` shows the SPI",
          remote, link);
    case Trouble::peer_address:
      return fmt::format(
          "keys of {} come from another address than {}: a NAT on the way has changed it, the peer has moved, or "
          "somebody forges; if it is the peer's, give tunnel and keys the address that `adit trace -d` shows",
          link, remote);
    case Trouble::peer_port:
      return fmt::format(
          "{} sends from UDP port {}, not from the one that the keys of {} name: a NAT on the way has changed it, and "
          "answers do not reach the peer; give the NAT a fixed mapping of the port, or the keys the port (nat_rport)",
          remote, about.other_port(), link);
  }
  return {};
}

}  // namespace adit::engine
