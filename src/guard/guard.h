// Invariant I7: for a secured tunnel, traffic to the networks behind it leaves the host only through it, and traffic
// from them enters only through it. What is closed stands in a book (guard/book/book.h); the layers that close it are
// the platform's (linux/platform/guard_plan.h), in this process and in the guardian's.
//
// **One door.** The book grows by itself. A network leaves it only by relax(), which writes down by whose word before
// anything acts; the commands that may say so are the public functions under "what opens". No failure, no start, no
// lost file and no name opens anything.
//
// Only secured (-S) tunnels are guarded: an unsecured tunnel makes no promise, its policy decides what passes through
// it, and nothing decides what leaves beside it.
#pragma once

#include <cerrno>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "control/seams.h"
#include "guard/book/book.h"
#include "guard/book/book_file.h"
#include "linux/platform/guard_plan.h"

namespace adit::engine {

struct GuardInfo {  // one guarded network, for status
  net::Prefix network;
  std::vector<std::string> tunnels;          // those that may carry it; empty: closed for good until the operator opens
  std::vector<std::string> reasons;          // "v4_bob0 route"
  uint64_t stopped_out = 0, stopped_in = 0;  // packets that the tables stopped (leak witness)
};
struct GuardVerdict {  // what the guard says of one address
  net::Prefix network;
  std::vector<std::string> tunnels;  // that may carry it
};

// A closing was refused because it would end the session of who asks for it.
inline constexpr int kEndsSession = ECONNABORTED;

class Guard final : public GuardDoor, public FirewallDoor {
 public:
  Guard(const Context& context, const LinkView& links);
  void add_part(const FirewallPart& part) { parts_.push_back(&part); }  // before restore

  // ---- start: the first thing. Reads the book and closes what it says. What stands in the kernel and is in no book,
  // because that was lost or is older, is kept closed. EINVAL, EIO …: a book is unreadable; then what should be closed
  // is not known, and the daemon does not start. EBUSY: the kernel's guard belongs to another root.
  Result<> restore();
  // Once policy and host models are loaded, before any tunnel: the host's table, whole.
  Result<> assert_table();
  // The last thing at start: tells which networks are closed for tunnels that are not there, and looks at others'
  // routes.
  void all_restored();

  // ---- what closes. GuardDoor, and for Links and Policy many at once, one transaction: files, layers; on failure
  // nothing changed.
  Result<bool> protect(const net::Prefix& network, const std::string& tunnel, GuardSource source) override;
  Result<guard::Book::Before> hold(const std::vector<GuardHold>& holds);
  Result<guard::Book::Before> keep(const std::string& tunnel);  // delete-iptun -k, before the record goes
  // rename-link: both names hold all networks until the old one is forgotten, whenever the daemon dies.
  Result<guard::Book::Before> hold_also(const std::string& from, const std::string& to);
  // What rules of `owner` held for the tunnel and went as a whole stays closed.
  Result<> rules_gone(const std::string& tunnel, const std::string& owner, const std::vector<net::Prefix>& networks);
  Result<> close(const net::Prefix& network, const std::string& tunnel);  // the operator names it

  // While a command runs, the address from which its caller's own session comes (SSH). What would cut it off is not
  // closed: kEndsSession, and nothing was changed.
  class Session {
   public:
    Session(Guard& guard, std::optional<net::Address> from)
        : guard_(guard), before_(std::exchange(guard.session_, std::move(from))) {
      guard_.session_refused_.clear();
    }
    ~Session() { guard_.session_ = std::move(before_); }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    [[nodiscard]] const std::string& refused() const { return guard_.session_refused_; }  // a sentence; empty: nothing

   private:
    Guard& guard_;
    std::optional<net::Address> before_;
  };
  // The sentence with which these closings would be refused to who comes from there; empty: they cut nobody off.
  [[nodiscard]] std::string would_cut(const net::Address& from, const std::vector<GuardHold>& holds);

  // ---- what opens: each is a command, or the end of one. Returned: the networks that are open now.
  Result<bool> release(const net::Prefix& network, const std::string& tunnel, GuardSource source) override;
  struct Word {  // by whose word something opens
    Opening why;
    std::string because;
    std::string who = "operator";  // as StepLog says
  };
  Result<std::vector<net::Prefix>> drop(const std::vector<GuardHold>& holds, const Word& word);
  // delete-iptun, after the device went; rename-link, of the old name.
  Result<std::vector<net::Prefix>> forget(const std::string& tunnel, Opening why = Opening::deletion);
  void take_back(const guard::Book::Before& before);                  // of a command that failed after hold()
  Result<std::vector<net::Prefix>> retire(const std::string& owner);  // namespace delete
  // The operator. ENOENT: not guarded. EBUSY: a route of Adit or an address still leads there.
  Result<> open(const net::Prefix& network);
  // The interface's networks, present and future, are reachable although a wider network is closed; or no longer.
  Result<> set_inside(const std::string& interface, bool inside);

  // ---- facts of the world, derived again whenever one may have changed
  // The device, the outer addresses or the state of these tunnels: before a carrier goes on.
  Result<> tunnels_changed(const std::vector<std::string>& names);
  void addresses_changed();
  void link_touched(int index);     // a device came, went, rose or fell
  void link_taken_away(int index);  // a tunnel's, by a command: others' routes went with it
  [[nodiscard]] bool wants(const platform::Route& route) const;  // put it there: a copy of others', or a carried one

  // ---- FirewallDoor: the host's own table
  Result<> reapply() override;
  Result<> own_addresses_changed();  // of tunnels: the host's table names them where the host model is strong

  // ---- answers
  [[nodiscard]] bool guards(const net::Prefix& network) const override { return book_.holds(network); }
  [[nodiscard]] bool covers(const net::Prefix& network) const override {
    return book_.holds(network) || book_.enclosing(network) != nullptr;
  }
  [[nodiscard]] const guard::Book& book() const { return book_; }
  [[nodiscard]] std::vector<net::Prefix> networks_of(const std::string& tunnel) const {
    return book_.networks_of(tunnel);
  }
  [[nodiscard]] std::vector<GuardInfo> list() const;
  [[nodiscard]] std::optional<GuardVerdict> verdict_on(const net::Address& address) const;
  // Networks of the host's interfaces that a closed network cuts off, with the interface: `adit guard inside` mends.
  [[nodiscard]] std::vector<std::pair<net::Prefix, std::string>> cut_off() const;
  [[nodiscard]] platform::GuardState state() const { return context_.platform.guard_state(); }
  // By the kernel's command line: nothing is closed, whatever the book says, and no secured tunnel opens.
  [[nodiscard]] bool switched_off() const { return context_.platform.guard_switched_off(); }

  // ---- the world
  void reassert(bool routes_changed, bool nftables_changed);  // somebody changed the kernel: put back, raise an event
  void poll_leaks();                                          // the leak witness: events for what was stopped since
  void tick();                                                // what failed is tried again; withdrawn routes

 private:
  // ---- the door
  Result<> enact(const guard::Book::Before& before, Opening of_what_goes = Opening::release);
  Result<std::vector<net::Prefix>> relax(const guard::Book::Before& before, const Word& word);
  Result<> put_down(const guard::Book::Before& before, const Word& word);
  Result<> write(const guard::Book::Before& before, const std::string& because);
  Result<> append(const std::vector<guard::Line>& lasting, const std::vector<guard::Line>& all,
                  const std::function<void(guard::Book&)>& undo);
  Result<> write_inside(const std::string& interface, bool inside);
  Result<> send(platform::GuardChange change);
  Result<> stand();
  [[nodiscard]] std::string cut_sentence(const net::Address& from, const guard::Book::Before& before) const;
  Result<> spare_session(const guard::Book::Before& before);
  Result<> stand_before(const guard::Book::Before& before);
  void tend();
  [[nodiscard]] guard::Book::Before now_of(const guard::Book::Before& before) const;
  [[nodiscard]] std::vector<guard::Line> lines_for(const guard::Book::Before& before, const std::string& because,
                                                   bool lasting) const;

  struct Ends {  // what one tunnel adds to the plan
    int device = 0;
    bool secured = false;
    std::optional<platform::OuterFlow> flow;
    std::optional<net::Address> peer;
    friend bool operator==(const Ends&, const Ends&) = default;
  };

  // ---- guard_steps.cpp
  void log_writes(const guard::Book::Before& before);
  void log_added(const guard::Book::Before& before);
  void log_records(const guard::Book::Before& before, const Word& word);
  void log_removed(const guard::Book::Before& before);
  void log_book(bool kernel_knows_more);
  void look_at_layers();
  void log_passes(const std::string& name, const Ends& before, const Ends& now);

  // ---- guard_restore.cpp
  Result<> load_books();
  void mend_files(const std::map<guard::BookFile*, guard::Book>& stand);
  [[nodiscard]] guard::Book lasting_book() const;
  Result<> adopt_what_stands();
  [[nodiscard]] platform::GuardPlan whole_plan() const;

  // ---- guard_facts.cpp
  [[nodiscard]] Ends ends_of(const std::string& name) const;
  void change_ends(const std::string& name, const Ends& ends, platform::GuardChange& change);
  [[nodiscard]] std::vector<int> devices_of(const guard::Entry& entry) const;
  [[nodiscard]] bool thrown(const net::Address& peer) const;
  [[nodiscard]] std::set<net::Prefix> inside_networks() const;
  void add_facts(const guard::Book::Before& before, platform::GuardChange& change);
  void difference_of_inside(platform::GuardChange& change) const;
  void freeze_exceptions(const guard::Book::Before& before);
  [[nodiscard]] std::set<int> underlay_interfaces() const;

  // ---- guard_watch.cpp
  struct Seen {
    platform::Route route;
    std::string tunnel;
    bool stands = true;                       // when it was looked at last
    std::optional<MonoTime> missing_since{};  // while its device stood
    bool told = false;                        // that it cannot be let go
  };
  void look_at_others_routes();
  void see(const platform::Route& route, const TunnelView& tunnel);
  [[nodiscard]] std::string why_not_closed(const net::Prefix& network) const;
  void copy(const platform::Route& route, const std::string& tunnel);
  enum class Carry : uint8_t { comes, all };  // comes: before the layers close what is carried, so that nothing is lost
  void carry(const net::Prefix& network, Carry what);
  void carry_rule_networks(const std::vector<net::Prefix>& changed, Carry what = Carry::all);
  void let_withdrawn_go();
  void uncopy(const Seen& seen);
  [[nodiscard]] bool others_route_stands(const net::Prefix& network) const;
  void forget_others_routes(const net::Prefix& network);
  Result<> apply_host_table();
  Result<> save_host_table();
  [[nodiscard]] platform::Firewall firewall() const;

  const Context& context_;
  const LinkView& links_;
  std::vector<const FirewallPart*> parts_;
  guard::Book book_;
  guard::BookFiles files_;
  platform::GuardPlan plan_;  // what the layers were last told
  bool whole_ = false;        // they took it; else all of it is sent again
  bool away_ = false;         // the guardian did not answer, or a layer did not stand, when last looked at
  bool any_book_ = false;     // a file of the book was there at the start
  bool starting_ = false;     // between restore and assert_table
  bool table_stands_ = true;  // the host's; or may, from an earlier daemon
  bool names_own_addresses_ = true;
  std::optional<std::string> saved_table_;  // what the file holds; nullopt: not read yet
  std::map<std::string, Ends> ends_;
  std::map<platform::OuterFlow, int> flows_;  // counted
  std::map<net::Address, int> peers_;
  std::map<std::pair<net::Prefix, int>, Seen> seen_;  // others' routes into secured tunnels, by network and device
  std::map<net::Prefix, int> carried_;                // networks of rules that go a wider route's way, by device
  std::set<net::Prefix> told_;                        // others' routes that are not closed, told once
  std::map<int, MonoTime> touched_;                   // when a device last came, went, rose or fell
  struct Leak {
    uint64_t total = 0, last_reading = 0;
  };
  std::map<std::pair<net::Prefix, bool>, Leak> leaks_;  // (network, outbound)
  std::optional<net::Address> session_;
  std::string session_refused_;
};

}  // namespace adit::engine
