// The guard's memory: which networks are closed but for their tunnels, who wants it so, and why. A plain value with an
// index by tunnel, and the lines in which it is kept on disk (guard/book/book_file.h). It grows by itself; what leaves
// it, and by whose word, is the engine's one door (guard/guard.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace adit::guard {

// Why a network is closed.
enum class Source : uint8_t {
  address,    // the peer of an address on the tunnel
  route,      // a route into the tunnel, made through Adit
  policy,     // the remote prefix of a rule of the tunnel's policy
  rule_gone,  // a rule named it, and went with a policy that was taken away as a whole: still closed
  seen,       // a route into the tunnel that somebody else made: while it stands
  kept,       // delete-iptun -k, or found in the kernel when the book was lost: until the operator opens it
  closed,     // `adit guard close`
};
std::string_view name_of(Source source);

struct Hold {  // one reason to close one network
  net::Prefix network;
  std::string tunnel;
  Source source = Source::route;
  bool temporary = false;  // the tunnel is: forgotten at boot
  std::string owner = {};  // the policy namespace that wants it; empty: the operator
  friend bool operator==(const Hold&, const Hold&) = default;
};

struct Entry {  // of one network
  struct Key {
    std::string tunnel, owner;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Holder {
    std::set<Source> sources;
    bool temporary = false;
    friend bool operator==(const Holder&, const Holder&) = default;
  };
  std::map<Key, Holder> holders;    // never empty in a book
  std::vector<net::Prefix> except;  // the host's own networks inside, as they were when the network was closed
  [[nodiscard]] bool held_by(const std::string& tunnel) const;
  [[nodiscard]] bool held_by(const std::string& tunnel, Source source) const;  // whoever the owner is
  [[nodiscard]] std::optional<Entry> lasting() const;  // without the holds of temporary tunnels; nullopt: none is left
  [[nodiscard]] std::optional<Entry> temporary() const;  // those alone; nullopt: there are none
  friend bool operator==(const Entry&, const Entry&) = default;
};

class Book {
 public:
  // What a change touched, as it was before: put() of all of it is the way back.
  using Before = std::map<net::Prefix, std::optional<Entry>>;

  void add(const Hold& hold, Before* before = nullptr);  // the network is masked
  void remove(const Hold& hold, Before* before = nullptr);
  void put(const net::Prefix& network, std::optional<Entry> entry);  // nullopt: it goes
  void put_back(const Before& before);

  [[nodiscard]] const Entry* find(const net::Prefix& network) const;
  [[nodiscard]] bool holds(const net::Prefix& network) const { return find(network) != nullptr; }
  [[nodiscard]] const std::map<net::Prefix, Entry>& networks() const { return networks_; }
  [[nodiscard]] std::vector<net::Prefix> networks_of(const std::string& tunnel) const;
  [[nodiscard]] bool empty() const { return networks_.empty() && inside_.empty(); }
  // The most specific closed network that contains this one, itself apart; nullptr: none.
  [[nodiscard]] const std::pair<const net::Prefix, Entry>* enclosing(const net::Prefix& network) const;

  // Interfaces whose networks the operator counts as inside: reachable although a wider network is closed.
  [[nodiscard]] const std::set<std::string>& inside() const { return inside_; }
  void set_inside(const std::string& interface, bool inside);

  uint64_t generation = 0;  // of the last change

  friend bool operator==(const Book& a, const Book& b) { return a.networks_ == b.networks_ && a.inside_ == b.inside_; }

 private:
  void remember(const net::Prefix& network, Before* before) const;
  void index(const net::Prefix& network, const Entry* was, const Entry* is);

  std::map<net::Prefix, Entry> networks_;
  std::map<std::string, std::set<net::Prefix>> by_tunnel_;
  std::set<std::string> inside_;
};

// ---- the lines of a book's file. One line tells all of one network, or of one inside interface; a later line of the
// same network replaces an earlier one. Each ends with a checksum.
//   net 10.0.1.0/24 g=7 except=10.0.1.8/29 hold=v4_bob0;;lasting;address+route ~1a2b3c4d
//   net 10.0.1.0/24 g=8 gone=guard%20open ~…          the record of an opening: who said so
//   inside net1 g=9 ~…          inside net1 g=10 gone=root ~…
//   whole g=10 ~…               the lines above tell all that there was then: what they do not name was gone
struct Line {
  std::optional<net::Prefix> network;  // nullopt: of an interface
  std::string interface;               // empty: `whole`
  uint64_t generation = 0;
  std::optional<Entry> entry;  // of a network; nullopt: gone
  bool inside = false;         // of an interface
  std::string because;         // of what is gone
};
std::string text_of(const Line& line);  // with its newline
// EINVAL: what is wrong with it. `text` without its newline.
Result<Line> parse_line(std::string_view text);

}  // namespace adit::guard
