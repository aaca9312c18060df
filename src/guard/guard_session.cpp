// Nobody cuts the branch that he sits on without being asked: the session of who gives a command, and what the command
// closes.
#include <algorithm>

#include "guard/guard.h"

namespace adit::engine {

using guard::Book;
using guard::Entry;

// The book has the closing already, and what stays reachable inside it.
std::string Guard::cut_sentence(const net::Address& from, const Book::Before& before) const {
  const net::Prefix host = net::Prefix::host(from);
  const Entry* entry = book_.find(host);
  net::Prefix network = host;
  if (entry == nullptr) {
    const auto* wider = book_.enclosing(host);
    if (wider == nullptr) return {};
    network = wider->first;
    entry = &wider->second;
  }
  const auto changed = before.find(network);
  if (changed == before.end() || changed->second) return {};  // it was closed before
  const auto reachable = [&](const net::Prefix& inside) {
    return inside.length() > network.length() && inside.contains(from);
  };
  if (std::ranges::any_of(entry->except, reachable) || std::ranges::any_of(plan_.inside, reachable)) return {};
  const auto devices = devices_of(*entry);
  const auto way = context_.platform.lookup_route(from, 0);
  if (way && std::ranges::find(devices, way->interface_index) != devices.end()) return {};  // it comes by the tunnel
  return fmt::format("{} holds {}, from where your own session comes: closed but for {}, it would end the session",
                     network.str(), from.str(), entry->holders.begin()->first.tunnel);
}

Result<> Guard::spare_session(const Book::Before& before) {
  if (!session_) return {};
  session_refused_ = cut_sentence(*session_, before);
  if (session_refused_.empty()) return {};
  book_.put_back(before);
  return fail(kEndsSession, "{}", session_refused_);
}

std::string Guard::would_cut(const net::Address& from, const std::vector<GuardHold>& holds) {
  Book::Before before;
  for (const GuardHold& hold : holds) {
    const auto tunnel = links_.tunnel(hold.tunnel);
    if (tunnel && tunnel->secured) book_.add(hold, &before);
  }
  freeze_exceptions(before);
  const std::string sentence = cut_sentence(from, before);
  book_.put_back(before);
  return sentence;
}

}  // namespace adit::engine
