// What the names of policy, keys and tunnels stand for, as far as it is known: asked beside the engine's thread
// (control/look_ups.h), tried again with growing patience. Engine thread only; nothing here waits longer than its
// grace.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/clock.h"
#include "control/event_log.h"
#include "control/look_ups.h"

namespace adit::engine {

class Names {
 public:
  Names(const Clock& clock, EventLog& events, std::shared_ptr<const config::Resolver> resolver);

  // Answers at once from what is known; what it does not know it notes, and it lets entries wait.
  class Known final : public config::Resolver {
   public:
    explicit Known(Names& names) : names_(names) {}
    std::vector<net::Address> host(std::string_view name) const override;
    std::optional<net::Prefix> network(std::string_view name) const override;
    [[nodiscard]] bool entries_may_wait() const override { return true; }
    // Services and protocols are in files of this host.
    std::optional<uint16_t> service(std::string_view name) const override;
    std::optional<uint8_t> protocol(std::string_view name) const override;
    std::optional<std::string> host_name(const net::Address&) const override { return std::nullopt; }
    std::optional<std::string> service_name(uint16_t) const override { return std::nullopt; }
    std::optional<std::string> protocol_name(uint8_t) const override { return std::nullopt; }

   private:
    Names& names_;
  };

  // `read` reads a text with a resolver, and again when names that were not known get their answers within the grace:
  // all of them are asked at once.
  template <typename Read>
  auto with_names(Read&& read) {
    const Known known(*this);
    auto result = read(known);
    if (ask_what_was_missed()) result = read(known);
    return result;
  }
  // The same for one name; not resolving within the grace is no refusal: it is asked again by itself.
  const config::NameAnswer& look_up(const std::string& name);
  // Names that are known are asked again, so that what moved is followed: a refresh.
  void ask_again();

  // Takes what the threads have found. True: some name stands for something else than before.
  bool take_answers();
  void tick();           // asks again what is due
  void start_is_over();  // from now on the grace is short: others wait for this thread
  void set_bell(std::function<void()> bell) { look_ups_.set_bell(std::move(bell)); }

 private:
  struct Entry {
    config::NameAnswer answer;
    bool asked = false;  // and not answered yet
    bool told = false;
    MonoTime asked_at{}, try_again{};
    Seconds patience{0};
  };
  Entry& need(std::string_view name);
  bool ask(const std::string& name, Entry& entry);  // false: it is being asked already
  bool ask_what_was_missed();
  bool wait_for(const std::vector<std::string>& names);
  void tell(const std::string& name, Entry& entry, const std::string& why);

  const Clock& clock_;
  EventLog& events_;
  std::shared_ptr<const config::Resolver> resolver_;
  LookUps look_ups_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::set<std::string> missed_;
  Entry too_many_;  // what a name beyond the bound stands for: nothing
  std::chrono::milliseconds start_grace_;
  bool starting_ = true;
};

}  // namespace adit::engine
