#include "keys/keys.h"

#include <algorithm>

namespace adit::engine {
namespace {

std::string describe(const sad::Sa& sa) {
  return fmt::format("{} SPI {:#x} to {}", sa.spec.type == sad::SaType::ah ? "AH" : "ESP",
                     static_cast<uint32_t>(sa.spec.spi), sa.spec.destination.str());
}

const char* describe(sad::Expiry expiry) {
  switch (expiry) {
    case sad::Expiry::soft:
      return "its soft lifetime";
    case sad::Expiry::hard:
      return "its hard lifetime";
    case sad::Expiry::idle:
      return "its idle time";
    case sad::Expiry::sequence:
      return "its sequence numbers";
    case sad::Expiry::none:
      break;
  }
  return "its life";
}

bool asks_for_ipsec(const spd::Rule& rule) {
  return !rule.waits() &&
         std::ranges::any_of(rule.actions, [](const auto& action) { return action.verb == spd::Verb::ipsec; });
}

}  // namespace

Keys::Keys(const Context& context, const Algorithms& algorithms, Dataplane& dataplane, const LinkView& links,
           const TunnelPolicy& policy, Namespaces& namespaces)
    : context_(context),
      algorithms_(algorithms),
      dataplane_(dataplane),
      links_(links),
      policy_(policy),
      namespaces_(namespaces),
      database_(context.clock, algorithms.table(),
                {.remembrance = &sequences_,
                 .is_local = [this](const net::Address& address) { return local_addresses_.contains(address); }}),
      sequences_(context) {}

void Keys::keys_changed() {
  const auto events = database_.take_events();
  for (const auto& event : events) {
    if (const auto* changed = std::get_if<sad::SaChanged>(&event)) sequences_.changed(changed->sa);
    if (const auto* deleted = std::get_if<sad::SaDeleted>(&event)) sequences_.end(*deleted->sa);
    if (const auto* expired = std::get_if<sad::SaExpired>(&event); expired != nullptr && expired->removed)
      sequences_.end(*expired->sa);
  }
  if (database_.generation() != published_) {
    published_ = database_.generation();
    dataplane_.set_sas(database_.table());
    dataplane_.publish();
  }
  for (const auto& event : events) {
    report(event);
    if (listener_) listener_(event);
  }
}

void Keys::tell(EventKind kind, const sad::Sa& sa, const char* what) {
  if (sa.spec.name_space.empty())
    context_.events.add(Severity::info, kind, sa.spec.destination.str(), fmt::format("{} {}", describe(sa), what));
  else
    context_.events.add(Severity::info, kind, sa.spec.destination.str(),
                        fmt::format("{} of {} {}", describe(sa), sa.spec.name_space, what));
}

// Names and numbers, never a key.
void Keys::report(const sad::Event& event) {
  if (const auto* added = std::get_if<sad::SaAdded>(&event)) {
    const bool larval = added->sa->transform == nullptr;
    tell(EventKind::key_added, *added->sa, larval ? "is reserved, without keys yet" : "is there");
  } else if (const auto* changed = std::get_if<sad::SaChanged>(&event)) {
    tell(EventKind::key_changed, *changed->sa, "was changed");
  } else if (const auto* deleted = std::get_if<sad::SaDeleted>(&event)) {
    tell(EventKind::key_deleted, *deleted->sa, "was deleted");
  } else if (const auto* expired = std::get_if<sad::SaExpired>(&event)) {
    context_.events.add(Severity::info, EventKind::key_expired, expired->sa->spec.destination.str(),
                        fmt::format("{}: {} came to an end", describe(*expired->sa), describe(expired->expiry)));
  } else if (const auto* raised = std::get_if<sad::AcquireRaised>(&event)) {
    context_.events.add(
        Severity::info, EventKind::key_wanted, raised->acquire.key.link,
        fmt::format("rule {} of {} wants an SA between {} and {}", raised->acquire.key.rule_index,
                    raised->acquire.key.link, raised->acquire.outer.local.str(), raised->acquire.outer.remote.str()));
  } else if (const auto* ended = std::get_if<sad::AcquireEnded>(&event); ended != nullptr && !ended->found) {
    context_.events.add(Severity::warning, EventKind::key_missing, ended->acquire.key.link,
                        fmt::format("no SA came for rule {} of {}; its packets are dropped",
                                    ended->acquire.key.rule_index, ended->acquire.key.link));
  }
}

Result<sad::Acquire> Keys::policy_for(const sad::Endpoints& outer, const std::optional<net::Flow>& inner) {
  for (const auto& tunnel : links_.tunnels()) {
    if (tunnel.local != outer.local || tunnel.remote != outer.remote) continue;
    const auto head = policy_.head_of(tunnel.name);
    if (!head || !head->active()) break;
    const spd::Rule* rule = nullptr;
    if (inner) rule = head->lookup(*inner, spd::Direction::out);
    for (const auto& candidate : head->rules()) {
      if (!inner && rule == nullptr && candidate.direction == spd::Direction::out && asks_for_ipsec(candidate))
        rule = &candidate;
    }
    if (rule == nullptr || !asks_for_ipsec(*rule)) break;
    sad::Acquire wanted;
    wanted.key = {tunnel.name, rule->index};
    wanted.outer = outer;
    wanted.rule = *rule;
    if (inner) wanted.flow = *inner;
    return wanted;
  }
  return fail(ENOENT, "no rule asks for IPsec between {} and {}", outer.local.str(), outer.remote.str());
}

void Keys::link_gone(const std::string& link) {
  database_.forget_acquires(link);
  keys_changed();
}

void Keys::handle(const datapath::AcquireNeeded& event) {
  for (const auto& tunnel : links_.tunnels()) {
    if (tunnel.id != event.link || !tunnel.local || !tunnel.remote) continue;
    const auto head = policy_.head_of(tunnel.name);
    if (!head) return;
    const auto rule = std::ranges::find(head->rules(), event.rule_index, &spd::Rule::index);
    if (rule == head->rules().end()) return;
    database_.acquire({tunnel.name, event.rule_index}, {*tunnel.local, *tunnel.remote}, *rule, event.flow);
    keys_changed();
    return;
  }
}

void Keys::handle(const datapath::SaReached& event) {
  database_.reached({event.type, event.spi, event.destination}, event.expiry);
  keys_changed();
}

void Keys::handle(const datapath::NumbersWanted& event) {
  if (const auto sa = database_.get({event.type, event.spi, event.destination}, {"", true})) wanting_.push_back(*sa);
}

void Keys::save_numbers() {
  if (wanting_.empty()) return;
  sequences_.raise(std::exchange(wanting_, {}));
  dataplane_.wake();
}

void Keys::addresses_changed() {
  const auto addresses = context_.platform.addresses();
  if (!addresses) return;
  local_addresses_.clear();
  for (const auto& address : *addresses) address_changed(address, false);
}

void Keys::address_changed(const platform::AddressInfo& address, bool gone) {
  auto& places = local_addresses_[address.local.address()];
  if (gone)
    places.erase({address.interface_index, address.peer});
  else
    places.emplace(address.interface_index, address.peer);
  if (places.empty()) local_addresses_.erase(address.local.address());
}

void Keys::tick() {
  database_.tick();
  keys_changed();
  if (sequences_.tick()) dataplane_.wake();
}

Result<Outcome> Keys::flush_global() {
  waiting_file_.reset();
  database_.flush(sad::SaType::unspec, {});
  keys_changed();
  return Outcome{};
}

ServiceMethods Keys::service() {
  return {[this] { return load_file(); }, [this] { return load_file(); }, [this] { return flush_global(); }};
}

}  // namespace adit::engine
