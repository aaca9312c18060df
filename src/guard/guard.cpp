#include "guard/guard.h"

#include <algorithm>
#include <utility>

#include "base/store.h"
#include "base/text.h"
#include "guard/local_networks.h"
#include "linux/platform/mark.h"

namespace adit::engine {
namespace {

using guard::Book;
using guard::Entry;

bool never_guarded(const net::Prefix& network) {  // what stays on one link whatever the routes say
  const net::Address& address = network.address();
  if (network.length() == 0) return false;
  if (address.is_loopback()) return true;
  if (address.is_v4()) {
    static const net::Prefix control = *net::Prefix::parse("224.0.0.0/24");
    return control.contains(network) || address.is_limited_broadcast();
  }
  static const net::Prefix link = *net::Prefix::parse("fe80::/10"), groups = *net::Prefix::parse("ff02::/16");
  return link.contains(network) || groups.contains(network);
}

std::vector<net::Prefix> touched(const Book::Before& before) {
  std::vector<net::Prefix> networks;
  for (const auto& [network, entry] : before) networks.push_back(network);
  return networks;
}

}  // namespace

Guard::Guard(const Context& context, const LinkView& links)
    : context_(context), links_(links), files_(context.in_root("/etc/adit/guard.book"), context.in_run("guard.book")) {}

// ---- what closes

Result<bool> Guard::protect(const net::Prefix& network, const std::string& tunnel, GuardSource source) {
  const auto view = links_.tunnel(tunnel);
  if (!view || !view->secured) return false;
  const Entry* there = book_.find(network);
  if (there != nullptr && there->held_by(tunnel, source)) {
    TRY(stand());
    return false;
  }
  TRY_ASSIGN(const auto before, hold({{network, tunnel, source, view->temporary}}));
  return !before.empty();
}

Result<Book::Before> Guard::hold(const std::vector<GuardHold>& holds) {
  Book::Before before;
  for (const auto& hold : holds) {
    if (never_guarded(hold.network)) continue;
    const Entry* there = book_.find(hold.network);
    const auto is_known = [&] {
      if (there == nullptr) return false;
      const auto holder = there->holders.find({hold.tunnel, hold.owner});
      return holder != there->holders.end() && holder->second.sources.contains(hold.source) &&
             (hold.temporary || !holder->second.temporary);
    };
    if (!is_known()) book_.add(hold, &before);
  }
  TRY(enact(before));
  return before;
}

Result<Book::Before> Guard::keep(const std::string& tunnel) {
  Book::Before before;
  for (const auto& network : book_.networks_of(tunnel)) {
    const Entry* there = book_.find(network);
    Entry entry = *there;
    for (auto& [key, holder] : entry.holders)
      if (key.tunnel == tunnel) holder = {{GuardSource::kept}, false};
    if (entry == *there) continue;
    before.emplace(network, *there);
    book_.put(network, std::move(entry));
  }
  TRY(enact(before, Opening::deletion));
  return before;
}

Result<Book::Before> Guard::hold_also(const std::string& from, const std::string& to) {
  std::vector<GuardHold> holds;
  for (const auto& network : book_.networks_of(from))
    for (const auto& [key, holder] : book_.find(network)->holders)
      if (key.tunnel == from)
        for (const GuardSource source : holder.sources)
          holds.push_back({network, to, source, holder.temporary, key.owner});
  return hold(holds);
}

Result<> Guard::rules_gone(const std::string& tunnel, const std::string& owner,
                           const std::vector<net::Prefix>& networks) {
  Book::Before before;
  for (const auto& network : networks) {
    const Entry* there = book_.find(network);
    if (there == nullptr) continue;
    Entry entry = *there;
    const auto holder = entry.holders.find({tunnel, owner});
    if (holder == entry.holders.end() || holder->second.sources.erase(GuardSource::policy) == 0) continue;
    holder->second.sources.insert(GuardSource::rule_gone);
    before.emplace(network, *there);
    book_.put(network, std::move(entry));
  }
  TRY(enact(before));
  for (const auto& [network, entry] : before)
    context_.events.add(
        Severity::warning, EventKind::guard_rule_gone, network.str(),
        fmt::format("{0} stays closed for {1}, although no rule names it any more; 'adit guard open {0}' "
                    "opens it",
                    network.str(), tunnel));
  return {};
}

Result<> Guard::close(const net::Prefix& network, const std::string& tunnel) {
  const auto view = links_.tunnel(tunnel);
  if (!view) return fail(ENOENT, "{} is not a tunnel of Adit; 'dladm show-iptun' lists those", tunnel);
  if (!view->secured)
    return fail(EINVAL, "{} is not secured (-S): nothing is promised for it, and nothing can be closed for it", tunnel);
  TRY(may_promise(links_, tunnel));
  if (never_guarded(network)) return fail(EINVAL, "{} never leaves its link: it cannot be closed", network.str());
  TRY(hold({{network, tunnel, GuardSource::closed, view->temporary}}));
  return {};
}

Book::Before Guard::now_of(const Book::Before& before) const {
  Book::Before now;
  for (const auto& [network, entry] : before) {
    const Entry* there = book_.find(network);
    now.emplace(network, there == nullptr ? std::nullopt : std::optional(*there));
  }
  return now;
}

// On disk first (a boot must find it), then the layers: the order that docs/model/guard.pml checks. The caller puts its
// route or address in after we return. The book has the change already; on failure it is as it was. `of_what_goes`: why
// reasons leave the book for others of the same network.
Result<> Guard::enact(const Book::Before& before, Opening of_what_goes) {
  if (before.empty()) return stand();
  if (auto stands = stand_before(before); !stands)
    return fail(stands.error().code, "cannot guard {}: {}; nothing was changed",
                joined(touched(before), ", ", &net::Prefix::str), stands.error().text);
  std::vector<net::Prefix> closed;
  for (const auto& [network, entry] : before)
    if (!entry && book_.holds(network)) closed.push_back(network);
  freeze_exceptions(before);
  TRY(spare_session(before));
  const auto undo = [&](const Error& error) {
    const Book::Before after = now_of(before);
    book_.put_back(before);
    carry_rule_networks(touched(before));
    if (auto undone = put_down(after, {Opening::undo, "the change failed"}); undone)
      log_removed(after);
    else
      context_.events.add(Severity::warning, EventKind::guard_failed, "", undone.error().text);
    return fail(error.code, "cannot guard {}: {}; nothing was changed",
                joined(touched(before), ", ", &net::Prefix::str), error.text);
  };
  if (auto written = put_down(before, {of_what_goes, {}}); !written) return undo(written.error());
  log_removed(before);
  crash_point("guard:saved");
  carry_rule_networks(touched(before), Carry::comes);
  platform::GuardChange change;
  add_facts(before, change);
  // At a start the book counts: all of it is sent again until the layers take it, and no tunnel opens before.
  if (auto sent = send(std::move(change)); !sent && !starting_) return undo(sent.error());
  crash_point("guard:closed");
  for (const auto& network : closed)
    context_.events.add(Severity::info, EventKind::guard_closed, network.str(),
                        fmt::format("{} is guarded", network.str()));
  carry_rule_networks(touched(before));
  return {};
}

// ---- the files

std::vector<guard::Line> Guard::lines_for(const Book::Before& before, const std::string& because, bool lasting) const {
  std::vector<guard::Line> lines;
  for (const auto& [network, was] : before) {
    const Entry* entry = book_.find(network);
    guard::Line line{
        .network = network, .interface = {}, .generation = book_.generation, .entry = {}, .because = because};
    if (entry != nullptr) line.entry = lasting ? entry->lasting() : std::optional(*entry);
    if (lasting && (was ? was->lasting() : std::nullopt) == line.entry) continue;
    if (!line.entry && because.empty()) line.because = "only temporary tunnels hold it";
    lines.push_back(std::move(line));
  }
  return lines;
}

Result<> Guard::put_down(const Book::Before& before, const Word& word) {
  log_writes(before);
  log_records(before, word);
  TRY(write(before, word.because));
  log_added(before);
  return {};
}

Result<> Guard::write(const Book::Before& before, const std::string& because) {
  ++book_.generation;
  return append(lines_for(before, because, true), lines_for(before, because, false),
                [&](Book& book) { book.put_back(before); });
}

// Three files, written one after the other. Where one refuses, those before it take it back: a line that opens, left in
// one of them, would open at the next start. `undo` makes of the book what it was before.
Result<> Guard::append(const std::vector<guard::Line>& lasting, const std::vector<guard::Line>& all,
                       const std::function<void(Book&)>& undo) {
  std::optional<Book> was;  // only asked for when a file is rewritten, which is when it has grown to twice its size
  const auto before = [&]() -> const Book& {
    if (was) return *was;
    was = book_;
    undo(*was);
    --was->generation;
    return *was;
  };
  std::vector<guard::BookFile*> written;
  for (guard::BookFile* file : files_.all()) {
    if (auto appended = file->append(file == &files_.run ? all : lasting, before); !appended) {
      for (guard::BookFile* one : written) one->take_back();
      return appended;
    }
    written.push_back(file);
  }
  return {};
}

// ---- the layers

// What the layers did not take whole is sent again as a whole, before anything else: of a change that failed they may
// have done a part, or do it yet.
Result<> Guard::send(platform::GuardChange change) {
  change.generation = book_.generation;
  if (whole_ && change.nothing()) return {};
  if (whole_ && !away_) {
    auto changed = context_.platform.change_guard(change);
    if (changed) {
      advance(plan_, change);
      for (const Layer layer : kLayers)
        for (const auto& [network, devices] : change.close) context_.steps.layer_up(layer, network);
      return {};
    }
    if (changed.error().code != ESTALE) {  // else they lost what they had
      whole_ = false;
      away_ = true;
      context_.steps.layer_down(Layer::owned);
      return changed;
    }
  }
  whole_ = false;
  platform::GuardPlan plan = whole_plan();
  if (auto replaced = context_.platform.replace_guard(plan); !replaced) {
    away_ = true;
    context_.steps.layer_down(Layer::owned);
    return replaced;
  }
  plan_ = std::move(plan);
  whole_ = true;
  away_ = false;
  for (const Layer layer : kLayers) context_.steps.layer_up(layer);
  for (const auto& [name, ends] : ends_) log_passes(name, {}, ends);
  return {};
}

// What the book says, the layers have taken.
Result<> Guard::stand() {
  return whole_ || starting_ ? Result<>{} : send({});
}

// The layers have what the book said before a change that stands in it already: while the guardian is away nothing is
// written that it would have to act upon. On failure the book is as it was before.
Result<> Guard::stand_before(const Book::Before& before) {
  if ((whole_ && !away_) || starting_) return {};
  const Book::Before now = now_of(before);
  book_.put_back(before);
  whole_ = false;
  TRY(send({}));
  book_.put_back(now);
  return {};
}

void Guard::tend() {
  const auto sentences = context_.platform.put_back_guard();
  for (const std::string& sentence : sentences)
    context_.events.add(Severity::alert, EventKind::guard_restored, "", sentence);
  if (!sentences.empty()) look_at_layers();
}

// ---- what opens

Result<std::vector<net::Prefix>> Guard::relax(const Book::Before& before, const Word& word) {
  std::vector<net::Prefix> opened;
  if (before.empty()) return opened;
  TRY(stand_before(before));
  for (const auto& [network, entry] : before)
    if (entry && !book_.holds(network)) opened.push_back(network);
  // The record first: where no room is left on the disk nothing has opened yet.
  if (auto written = put_down(before, word); !written) {
    book_.put_back(before);
    return std::unexpected(written.error());
  }
  crash_point("guard:relaxed");
  platform::GuardChange change;
  add_facts(before, change);
  for (const Layer layer : kLayers)
    for (const auto& network : opened) context_.steps.layer_opens(layer, network);
  if (auto sent = send(std::move(change)); !sent) {
    const Book::Before after = now_of(before);
    book_.put_back(before);
    if (auto undone = put_down(after, {Opening::undo, "the change failed"}); undone)
      log_removed(after);
    else
      context_.events.add(Severity::warning, EventKind::guard_failed, "", undone.error().text);
    return std::unexpected(sent.error());
  }
  log_removed(before);
  for (const auto& network : opened)
    context_.events.add(Severity::info, EventKind::guard_opened, network.str(),
                        fmt::format("{} is no longer guarded: {}", network.str(), word.because));
  carry_rule_networks(touched(before));
  crash_point("guard:opened");
  return opened;
}

Result<bool> Guard::release(const net::Prefix& network, const std::string& tunnel, GuardSource source) {
  TRY_ASSIGN(const auto opened,
             drop({{network, tunnel, source}},
                  {Opening::release, fmt::format("the {} of {} was deleted", name_of(source), tunnel)}));
  return !opened.empty();
}

Result<std::vector<net::Prefix>> Guard::drop(const std::vector<GuardHold>& holds, const Word& word) {
  Book::Before before;
  for (const auto& gone : holds) book_.remove(gone, &before);
  return relax(before, word);
}

Result<std::vector<net::Prefix>> Guard::forget(const std::string& tunnel, Opening why) {
  Book::Before before;
  for (const auto& network : book_.networks_of(tunnel)) {
    const Entry* there = book_.find(network);
    Entry entry = *there;
    for (auto& [key, holder] : entry.holders)
      if (key.tunnel == tunnel && holder.sources.contains(GuardSource::kept)) holder.sources = {GuardSource::kept};
    std::erase_if(entry.holders, [&](const auto& item) {
      return item.first.tunnel == tunnel && !item.second.sources.contains(GuardSource::kept);
    });
    if (entry == *there) continue;
    before.emplace(network, *there);
    book_.put(network, std::move(entry));
  }
  return relax(before, {why, fmt::format("{} was deleted", tunnel)});
}

void Guard::take_back(const Book::Before& before) {
  if (before.empty()) return;
  const Book::Before now = now_of(before);
  book_.put_back(before);
  if (auto opened = relax(now, {Opening::undo, "the command that closed it failed"}); !opened)
    context_.events.add(Severity::warning, EventKind::guard_failed, "", opened.error().text);
}

Result<std::vector<net::Prefix>> Guard::retire(const std::string& owner) {
  std::vector<GuardHold> holds;
  for (const auto& [network, entry] : book_.networks())
    for (const auto& [key, holder] : entry.holders)
      if (key.owner == owner)
        for (const GuardSource source : holder.sources)
          holds.push_back({network, key.tunnel, source, holder.temporary, owner});
  return drop(holds, {Opening::release, fmt::format("the namespace {} was deleted", owner)});
}

Result<> Guard::open(const net::Prefix& network) {
  const Entry* there = book_.find(network);
  if (there == nullptr) return fail(ENOENT, "{} is not guarded", network.str());
  for (const auto& [key, holder] : there->holders) {
    const auto view = links_.tunnel(key.tunnel);
    if (!view || !view->secured) continue;
    for (const GuardSource source : {GuardSource::address, GuardSource::route, GuardSource::policy})
      if (holder.sources.contains(source))
        return fail(EBUSY, "{} is closed by the {} of the secured tunnel {}: delete that first", network.str(),
                    source == GuardSource::policy ? "rules" : name_of(source), key.tunnel);
    if (holder.sources.contains(GuardSource::seen) && others_route_stands(network))
      return fail(EBUSY, "{} is closed by somebody's route into the secured tunnel {}: delete that first",
                  network.str(), key.tunnel);
  }
  forget_others_routes(network.masked());  // none stands
  Book::Before before{{network.masked(), *there}};
  book_.put(network, std::nullopt);
  TRY(relax(before, {Opening::open, "guard open"}));
  return {};
}

// What the book says of it has changed already.
Result<> Guard::write_inside(const std::string& interface, bool inside) {
  ++book_.generation;
  const std::vector<guard::Line> lines{{.network = {},
                                        .interface = interface,
                                        .generation = book_.generation,
                                        .entry = {},
                                        .inside = inside,
                                        .because = "guard outside"}};
  return append(lines, lines, [&](Book& book) { book.set_inside(interface, !inside); });
}

Result<> Guard::set_inside(const std::string& interface, bool inside) {
  if (book_.inside().contains(interface) == inside)
    return fail(inside ? EEXIST : ENOENT, "{} is {} counted as inside", interface, inside ? "already" : "not");
  TRY(stand_before({}));
  book_.set_inside(interface, inside);
  if (session_ && !inside)
    for (const auto& local : local_networks(context_.platform, links_))
      if (local.network.contains(*session_) && plan_.inside.contains(local.network) &&
          !inside_networks().contains(local.network)) {
        book_.set_inside(interface, true);
        session_refused_ = fmt::format("{}, from where your own session comes, is reachable only because {} is inside",
                                       session_->str(), interface);
        return fail(kEndsSession, "{}", session_refused_);
      }
  if (auto written = write_inside(interface, inside); !written) {
    book_.set_inside(interface, !inside);
    return written;
  }
  crash_point("guard:inside");
  platform::GuardChange change;
  difference_of_inside(change);
  if (auto sent = send(std::move(change)); !sent) {
    book_.set_inside(interface, !inside);
    if (auto undone = write_inside(interface, !inside); !undone)
      context_.events.add(Severity::warning, EventKind::guard_failed, "", undone.error().text);
    return sent;
  }
  context_.events.add(Severity::warning, inside ? EventKind::guard_inside : EventKind::guard_outside, interface,
                      fmt::format("the networks of {} are {} reachable although a wider network is closed", interface,
                                  inside ? "now" : "no longer"));
  return {};
}

// ---- answers

std::vector<GuardInfo> Guard::list() const {
  std::vector<GuardInfo> all;
  const auto stopped = [&](const net::Prefix& network, bool outbound) {
    const auto leak = leaks_.find({network, outbound});
    return leak == leaks_.end() ? 0 : leak->second.total;
  };
  for (const auto& [network, entry] : book_.networks()) {
    GuardInfo info;
    info.network = network;
    for (const auto& [key, holder] : entry.holders) {
      const auto view = links_.tunnel(key.tunnel);
      if (view && view->secured && std::ranges::find(info.tunnels, key.tunnel) == info.tunnels.end())
        info.tunnels.push_back(key.tunnel);
      for (const GuardSource source : holder.sources)
        info.reasons.push_back(fmt::format("{} {}{}", key.tunnel.empty() ? "nobody" : key.tunnel, name_of(source),
                                           key.owner.empty() ? "" : " of " + key.owner));
    }
    info.stopped_out = stopped(network, true);
    info.stopped_in = stopped(network, false);
    all.push_back(std::move(info));
  }
  return all;
}

std::optional<GuardVerdict> Guard::verdict_on(const net::Address& address) const {
  const net::Prefix host = net::Prefix::host(address);
  if (never_guarded(host)) return std::nullopt;
  const Entry* own = book_.find(host);
  const auto* wider = own == nullptr ? book_.enclosing(host) : nullptr;
  if (own == nullptr && wider == nullptr) return std::nullopt;
  const net::Prefix network = own == nullptr ? wider->first : host;
  const Entry& entry = own == nullptr ? wider->second : *own;
  for (const auto& inside : plan_.inside)
    if (inside.contains(address) && inside.length() > network.length()) return std::nullopt;
  GuardVerdict verdict{network, {}};
  for (const auto& [key, holder] : entry.holders) {
    const auto view = links_.tunnel(key.tunnel);
    if (view && view->secured) verdict.tunnels.push_back(key.tunnel);
  }
  verdict.tunnels.erase(std::ranges::unique(verdict.tunnels).begin(), verdict.tunnels.end());
  return verdict;
}

void Guard::poll_leaks() {
  if (book_.empty()) return;
  const auto counts = context_.platform.leak_counts();
  if (!counts) return;
  std::erase_if(leaks_, [&](const auto& item) { return !book_.holds(item.first.first); });
  for (const auto& count : *counts) {
    Leak& leak = leaks_[{count.network, count.outbound}];
    const uint64_t news = count.packets >= leak.last_reading ? count.packets - leak.last_reading : count.packets;
    leak.last_reading = count.packets;
    leak.total += news;
    if (news == 0) continue;
    context_.events.add(Severity::alert, EventKind::guard_leak_stopped, count.network.str(),
                        fmt::format("{} packet{} {} {} outside the tunnel and {} stopped", news, news == 1 ? "" : "s",
                                    count.outbound ? "tried to leave for" : "came from", count.network.str(),
                                    news == 1 ? "was" : "were"));
  }
}

}  // namespace adit::engine
