#include "linux/guard/content/guard_chains.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ranges>

namespace adit::platform {
namespace {

using Bytes = std::vector<uint8_t>;
using net::Family;

constexpr int kFirst = -300, kLast = 300;   // before and behind other tables' chains and their NAT
constexpr int kBehindDestinationNat = -90;  // prerouting: the destination is the final one
constexpr uint32_t kLoopback = 1;           // the kernel's own number for lo, in every namespace
constexpr size_t kElementsRoom = 60000;     // an attribute is at most 64 KiB
constexpr size_t kElementsAMessage = 150;   // of at most 380 bytes
constexpr uint32_t kMarkType = 19, kDeviceType = 20, kAddress4Type = 7, kAddress6Type = 8, kPortType = 13,
                   kIcmpType = 14;  // as nft numbers them

// Where a rule keeps what it loads, in words of 4 bytes: an address, with the interface behind it, or a pair of
// addresses from 0 on; behind, the number of the network.
constexpr unsigned kAddressWord = 0, kNumberWord = 8, kScratchWord = 10;

constexpr uint8_t kIcmp = 1, kIgmp = 2, kUdp = 17, kIcmp6 = 58, kFragment6 = 44;

constexpr const char *kPorts = kGuardFixedSets[0], *kErrors4 = kGuardFixedSets[1];
constexpr const char* kComment = "Adit's: leave it out when saving rules";

Bytes word(uint32_t value) {  // in the host's order, as meta loads it
  Bytes bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

struct Layout {  // of an IP header
  Family family;
  uint32_t source, destination, address;  // bytes
  const char* flow;
  char digit;
};
constexpr Layout kHeader4{Family::v4, 12, 16, 4, kFlow4Set, '4'};
constexpr Layout kHeader6{Family::v6, 8, 24, 16, kFlow6Set, '6'};

// One way by which packets come to a hook: which address is asked for, and what the device is.
struct Way {
  const char* name;
  bool to;  // the destination is asked for; else the source
  void (*device)(NftRule&, unsigned word);
  const char* next;            // chain that what passes goes on to; null: it is accepted
  bool outer = false;          // outer packets and what links need may pass
  bool carried_first = false;  // most packets are expected to go into a tunnel
};

Bytes mask_of(const net::Prefix& network) {
  Bytes bits(net::address_bytes(network.family()), 0);
  for (unsigned i = 0; i < network.length(); ++i) bits[i / 8] |= static_cast<uint8_t>(0x80 >> i % 8);
  return bits;
}

void leaving_by(NftRule& rule, unsigned word) {
  rule.meta(NFT_META_OIF, word);
}
void coming_by(NftRule& rule, unsigned word) {
  rule.meta(NFT_META_IIF, word);
}
// The device that the route would use; only of what is not for this host.
void routed_to(NftRule& rule, unsigned word) {
  rule.fib(NFT_FIB_RESULT_OIF, NFTA_FIB_F_DADDR, word);
}

constexpr Way kOut{"out", true, leaving_by, nullptr, true};
constexpr Way kIn{"in", false, coming_by, nullptr, true};
constexpr Way kFrom{"from", false, coming_by, "to"};
constexpr Way kTo{"to", true, leaving_by, nullptr, false, true};
constexpr Way kRoute{"route", true, routed_to, nullptr};

class Builder {
 public:
  explicit Builder(const GuardChains& chains)
      : chains_(chains), parts_{nft_new_table(chains.table, chains.flags, kComment), {}, {}, {}, {}} {}
  GuardParts build() &&;

 private:
  // --- parts of rules
  NftRule in(const std::string& chain) const { return {chains_.table, chain}; }
  // The address's key of that length in kAddressWord.
  static void key(NftRule& rule, const Layout& header, uint32_t address, uint8_t length) {
    rule.payload(NFT_PAYLOAD_NETWORK_HEADER, address, header.address, kAddressWord);
    if (length < header.address * 8) rule.mask(kAddressWord, mask_of({net::Address::any(header.family), length}));
  }
  static NetlinkMessage passes(NftRule rule, const Way& way, const Layout& header) {
    return way.next ? rule.verdict(NFT_GOTO, std::string(way.next) + header.digit) : rule.verdict(NF_ACCEPT);
  }
  // What has a key of this length, if its device may carry it as `set` says.
  static NetlinkMessage carried(NftRule rule, const Way& way, const Layout& header, uint8_t length,
                                const std::string& set) {
    key(rule, header, way.to ? header.destination : header.source, length);
    way.device(rule, kAddressWord + header.address / 4);
    return passes(std::move(rule.in_set(set, kAddressWord)), way, header);
  }
  // What has a key of this length in `set`.
  NftRule keyed(const std::string& chain, const Way& way, const Layout& header, uint8_t length,
                const std::string& set) const {
    NftRule rule = in(chain);
    key(rule, header, way.to ? header.destination : header.source, length);
    return std::move(rule.in_set(set, kAddressWord));
  }
  // With the number of the network that a key of this length belongs to.
  NftRule closed(const std::string& chain, const Layout& header, uint32_t address, uint8_t length) const {
    NftRule rule = of_family(chain, header);
    key(rule, header, address, length);
    // The nft program (1.0.6) ends with an assertion when it lists a key of which a part comes from a map, for which it
    // knows no length. So the map's value begins a word earlier and reaches into the number's word, which nft takes for
    // what of_family loaded there: it lists that where the number stands, and does not end.
    rule.map(net_map_name(header.family, length), kAddressWord, kNumberWord - 1);
    return rule;
  }
  NftRule of_family(const std::string& chain, const Layout& header) const {
    NftRule rule = in(chain);
    // By the header's first word, which the kernel loads, masks and compares without a call for each; `meta nfproto`
    // takes one. Every packet pays for this, once a hook.
    rule.payload(NFT_PAYLOAD_NETWORK_HEADER, 0, 4, kNumberWord).mask(kNumberWord, Bytes{0xf0, 0, 0, 0});
    rule.equal(kNumberWord, Bytes{header.family == Family::v4 ? uint8_t{0x40} : uint8_t{0x60}, 0, 0, 0});
    return rule;
  }
  NftRule of_protocol(const std::string& chain, uint8_t protocol) const {
    NftRule rule = in(chain);
    rule.meta(NFT_META_L4PROTO, kScratchWord).equal(kScratchWord, Bytes{protocol});
    return rule;
  }
  NftRule of_esp_or_ah(const std::string& chain) const {
    NftRule rule = in(chain);
    rule.meta(NFT_META_L4PROTO, kScratchWord).mask(kScratchWord, Bytes{0xfe}).equal(kScratchWord, Bytes{50});
    return rule;
  }
  void from_us(NftRule& rule) const {
    rule.meta(NFT_META_MARK, kScratchWord).equal(kScratchWord, word(chains_.mark));
    rule.meta(NFT_META_SKUID, kScratchWord).equal(kScratchWord, word(chains_.uid));
  }
  static void with_port(NftRule& rule, uint32_t offset) {
    rule.payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2, kScratchWord).in_set(kPorts, kScratchWord);
  }
  static void later_fragment(NftRule& rule, const Layout& header) {
    if (header.family == Family::v4)
      rule.payload(NFT_PAYLOAD_NETWORK_HEADER, 6, 2, kScratchWord).mask(kScratchWord, Bytes{0x1f, 0xff});
    else
      rule.ipv6_fragment_offset(kScratchWord).mask(kScratchWord, Bytes{0xff, 0xf8});
    rule.unequal(kScratchWord, Bytes{0, 0});
  }
  static void outgoing_flow(NftRule& rule, const Layout& header) {
    rule.payload(NFT_PAYLOAD_NETWORK_HEADER, header.source, 2 * header.address, kAddressWord);
    rule.in_set(header.flow, kAddressWord);
  }
  static void incoming_flow(NftRule& rule, const Layout& header) {
    rule.payload(NFT_PAYLOAD_NETWORK_HEADER, header.destination, header.address, kAddressWord);
    rule.payload(NFT_PAYLOAD_NETWORK_HEADER, header.source, header.address, kAddressWord + header.address / 4);
    rule.in_set(header.flow, kAddressWord);
  }
  void put(const std::string& chain, NetlinkMessage rule) { parts_.rules.emplace_back(chain, std::move(rule)); }
  void chain(const std::string& name) { parts_.chains.emplace_back(name, nft_new_chain(chains_.table, name)); }
  void base_chain(const std::string& name, uint32_t hook, int priority) {
    parts_.chains.emplace_back(name, nft_new_base_chain(chains_.table, name, hook, priority));
  }
  void set(const NftSetForm& form) {
    parts_.sets.emplace_back(form.name, nft_new_set(chains_.table, form, ++set_ids_));
  }
  void fixed_set(const std::string& name, uint32_t type, uint32_t bytes, const std::vector<Bytes>& members);

  // --- what the table is made of
  void sets();
  void ask(const Way& way, const Layout& header);
  void stop(const Way& way, const Layout& header, uint8_t length);
  void local(const Layout& header, bool to);
  void link(const std::string& chain, const Layout& header, bool out);
  void ike(const std::string& chain, bool out);
  void outgoing(const std::string& chain, const Layout& header);
  void incoming(const std::string& chain, const Layout& header);
  void errors(const std::string& chain, const Layout& header);
  void hooks();
  void forwarded_first(const std::string& chain, const Layout& header);
  void before_encapsulation();

  [[nodiscard]] const std::set<uint8_t>& lengths(const Layout& header) const {
    return chains_.lengths[header.family == Family::v4 ? 0 : 1];
  }

  const GuardChains& chains_;
  GuardParts parts_;
  uint32_t set_ids_ = 0;
};

NftSetForm form_of(const char* set) {
  const std::string name = set;
  if (name == kStoppedOutSet || name == kStoppedInSet) return {name, 0, kMarkType, 4, 0, 0, true};
  if (name == kFlow4Set) return {name, 0, kAddress4Type << 6 | kAddress4Type, 8, 0, 0, false};
  if (name == kFlow6Set) return {name, 0, kAddress6Type << 6 | kAddress6Type, 32, 0, 0, false};
  return {name, 0, kMarkType << 6 | kMarkType, 8, 0, 0, false};  // the book
}

void Builder::fixed_set(const std::string& name, uint32_t type, uint32_t bytes, const std::vector<Bytes>& members) {
  set({name, 0, type, bytes, 0, 0, false});
  NetlinkMessage message = nft_message(NFT_MSG_NEWSETELEM, NLM_F_CREATE);
  message.put_string(NFTA_SET_ELEM_LIST_TABLE, chains_.table);
  message.put_string(NFTA_SET_ELEM_LIST_SET, name);
  nlattr* list = message.begin_nest(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED);
  for (const auto& member : members) {
    nlattr* element = message.begin_nest(NFTA_LIST_ELEM | NLA_F_NESTED);
    nlattr* key = message.begin_nest(NFTA_SET_ELEM_KEY | NLA_F_NESTED);
    message.put(NFTA_DATA_VALUE, member.data(), member.size());
    message.end_nest(key);
    message.end_nest(element);
  }
  message.end_nest(list);
  parts_.members.emplace_back(name, std::move(message));
}

void Builder::sets() {
  for (const char* one : {kStoppedOutSet, kStoppedInSet, kFlow4Set, kFlow6Set, kBookSet}) set(form_of(one));
  for (const Layout& header : {kHeader4, kHeader6}) {
    if (lengths(header).empty()) continue;
    const uint32_t type = header.family == Family::v4 ? kAddress4Type : kAddress6Type;
    const auto keys = [&](const std::string& name) { set({name, 0, type, header.address, 0, 0, false}); };
    const auto carriers = [&](const std::string& name) {
      set({name, 0, type << 6 | kDeviceType, header.address + 4, 0, 0, false});
    };
    const uint8_t near = near_length(header.family, lengths(header));
    keys(near_set_name(header.family, near));
    carriers(sole_set_name(header.family, near));
    for (const uint8_t length : lengths(header)) {
      keys(hit_set_name(header.family, length));
      carriers(pass_set_name(header.family, length));
      set({net_map_name(header.family, length), NFT_SET_MAP, type, header.address, kMarkType << 6 | kMarkType, 8,
           false});
    }
  }
  fixed_set(kPorts, kPortType, 2, {{0x01, 0xf4}, {0x11, 0x94}});  // 500, 4500
  fixed_set(kErrors4, kIcmpType, 1, {{3}, {11}, {12}});
}

// The most specific key that an address has decides. Most packets have none near, and most others are carried by the
// device of a sole key: one look-up or two are all that they pay.
void Builder::ask(const Way& way, const Layout& header) {
  const std::string name = std::string(way.name) + header.digit, near = name + "_near";
  const auto goes_on = [&](const std::string& chain) {
    if (way.next) put(chain, passes(in(chain), way, header));
  };
  chain(name);
  if (lengths(header).empty()) return goes_on(name);
  chain(near);
  const uint8_t length = near_length(header.family, lengths(header));
  const std::string sole = sole_set_name(header.family, length);
  if (way.carried_first) put(name, carried(in(name), way, header, length, sole));
  put(name, keyed(name, way, header, length, near_set_name(header.family, length)).verdict(NFT_GOTO, near));
  if (!way.carried_first) put(near, carried(in(near), way, header, length, sole));
  for (const uint8_t one : std::views::reverse(lengths(header))) {
    const std::string own = fmt::format("{}_{}", name, one);
    stop(way, header, one);
    for (const auto& from : {name, near})
      if (from == near || one < length)
        put(from, keyed(from, way, header, one, hit_set_name(header.family, one)).verdict(NFT_GOTO, own));
  }
  goes_on(name);
  goes_on(near);
}

// For packets of which an address has a key of that length.
void Builder::stop(const Way& way, const Layout& header, uint8_t length) {
  const std::string name = fmt::format("{}{}_{}", way.name, header.digit, length);
  const uint32_t address = way.to ? header.destination : header.source;
  chain(name);
  put(name, carried(in(name), way, header, length, pass_set_name(header.family, length)));
  if (way.device == routed_to) {
    NftRule own = in(name);
    own.fib(NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR, kScratchWord).unequal(kScratchWord, word(RTN_UNICAST));
    put(name, own.verdict(NF_ACCEPT));
  }
  if (way.outer) put(name, in(name).verdict(NFT_JUMP, fmt::format("outer_{}{}", way.name, header.digit)));
  NftRule inside = closed(name, header, address, length);
  inside.equal(kNumberWord, word(0));
  put(name, passes(std::move(inside), way, header));
  const auto marked = [&](uint32_t mark, const std::string& then) {
    NftRule rule = closed(name, header, address, length);
    rule.mask(kNumberWord, word(mark)).equal(kNumberWord, word(mark));
    put(name, rule.verdict(NFT_JUMP, then));
  };
  if (way.outer) marked(kWideNetwork, fmt::format("link_{}{}", way.name, header.digit));
  marked(kAroundLink, fmt::format("local_{}{}", way.to ? "to" : "from", header.digit));
  put(name,
      closed(name, header, address, length).in_set(way.to ? kStoppedOutSet : kStoppedInSet, kNumberWord).no_verdict());
  put(name, in(name).verdict(NF_DROP));
}

// What never leaves the host or its link.
void Builder::local(const Layout& header, bool to) {
  const std::string name = std::string(to ? "local_to" : "local_from") + header.digit;
  chain(name);
  for (const auto& network : link_networks(header.family)) {
    NftRule rule = in(name);
    key(rule, header, to ? header.destination : header.source, network.length());
    const auto bytes = network.address().bytes();
    put(name, rule.equal(kAddressWord, Bytes(bytes.begin(), bytes.end())).verdict(NF_ACCEPT));
  }
}

// IKE with peers that are not known yet.
void Builder::ike(const std::string& name, bool out) {
  for (const bool encapsulated : {false, true}) {
    NftRule rule = of_protocol(name, kUdp);
    if (out) from_us(rule);
    rule.payload(NFT_PAYLOAD_TRANSPORT_HEADER, out ? 0 : 2, 2, kScratchWord);
    rule.equal(kScratchWord, encapsulated ? Bytes{0x11, 0x94} : Bytes{0x01, 0xf4});
    if (encapsulated) rule.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 8, 4, kScratchWord).equal(kScratchWord, word(0));
    put(name, rule.verdict(NF_ACCEPT));
  }
}

// What a link needs to live, where a wide network is closed.
void Builder::link(const std::string& name, const Layout& header, bool out) {
  const bool v4 = header.family == Family::v4;
  chain(name);
  ike(name, out);
  NftRule lease = of_protocol(name, kUdp);
  const Bytes client = v4 ? Bytes{0, 68} : Bytes{0x02, 0x22}, server = v4 ? Bytes{0, 67} : Bytes{0x02, 0x23};
  Bytes ports = out ? client : server;
  ports.insert(ports.end(), (out ? server : client).begin(), (out ? server : client).end());
  lease.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 4, kScratchWord).equal(kScratchWord, ports);
  put(name, lease.verdict(NF_ACCEPT));
  if (v4) {
    NftRule groups = of_protocol(name, kIgmp);
    groups.payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 1, kScratchWord).equal(kScratchWord, Bytes{1});
    put(name, groups.verdict(NF_ACCEPT));
    return;
  }
  struct Kind {
    uint8_t first, last, hop_limit;
  };
  for (const Kind kind : {Kind{133, 137, 255}, Kind{130, 132, 1}, Kind{143, 143, 1}}) {
    NftRule rule = of_protocol(name, kIcmp6);
    rule.payload(NFT_PAYLOAD_NETWORK_HEADER, 7, 1, kScratchWord).equal(kScratchWord, Bytes{kind.hop_limit});
    rule.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, kScratchWord);
    rule.at_least(kScratchWord, Bytes{kind.first}).at_most(kScratchWord, Bytes{kind.last});
    put(name, rule.verdict(NF_ACCEPT));
  }
}

// For packets to a closed network that do not leave by a device of it.
void Builder::outgoing(const std::string& name, const Layout& header) {
  chain(name);
  put(name, in(name).meta(NFT_META_OIF, kScratchWord).equal(kScratchWord, word(kLoopback)).verdict(NF_ACCEPT));

  NftRule esp = of_esp_or_ah(name);
  from_us(esp);
  outgoing_flow(esp, header);
  put(name, esp.verdict(NF_ACCEPT));
  NftRule udp = of_protocol(name, kUdp);
  from_us(udp);
  with_port(udp, 0);
  outgoing_flow(udp, header);
  put(name, udp.verdict(NF_ACCEPT));
  NftRule fragment = of_protocol(name, kUdp);
  from_us(fragment);
  later_fragment(fragment, header);
  outgoing_flow(fragment, header);
  put(name, fragment.verdict(NF_ACCEPT));
}

// Errors about outer packets: the packet that they quote must be of a flow.
void Builder::errors(const std::string& name, const Layout& header) {
  const bool v4 = header.family == Family::v4;
  const uint32_t quoted = 8, protocol = quoted + (v4 ? 9 : 6), payload = quoted + (v4 ? 20 : 40);
  enum class Of : uint8_t { ipsec, udp, fragment };
  for (const Of of : {Of::ipsec, Of::udp, Of::fragment}) {
    if (of == Of::fragment && v4) continue;  // IPv4 errors are sent about first fragments only
    NftRule rule = of_protocol(name, v4 ? kIcmp : kIcmp6);
    rule.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, kScratchWord);
    if (v4)
      rule.in_set(kErrors4, kScratchWord);
    else
      rule.at_least(kScratchWord, Bytes{1}).at_most(kScratchWord, Bytes{4});
    rule.payload(NFT_PAYLOAD_TRANSPORT_HEADER, protocol, 1, kScratchWord);
    if (of == Of::ipsec) rule.mask(kScratchWord, Bytes{0xfe}).equal(kScratchWord, Bytes{50});
    if (of == Of::fragment) rule.equal(kScratchWord, Bytes{kFragment6});
    if (of == Of::udp) {
      rule.equal(kScratchWord, Bytes{kUdp});
      with_port(rule, payload);
    }
    rule.payload(NFT_PAYLOAD_TRANSPORT_HEADER, quoted + header.source, 2 * header.address, kAddressWord);
    rule.in_set(header.flow, kAddressWord);
    put(name, rule.verdict(NF_ACCEPT));
  }
}

// For packets from a closed network that did not come by a device of it.
void Builder::incoming(const std::string& name, const Layout& header) {
  chain(name);
  put(name, in(name).meta(NFT_META_IIF, kScratchWord).equal(kScratchWord, word(kLoopback)).verdict(NF_ACCEPT));

  NftRule esp = of_esp_or_ah(name);
  incoming_flow(esp, header);
  put(name, esp.verdict(NF_ACCEPT));
  NftRule udp = of_protocol(name, kUdp);
  with_port(udp, 2);
  incoming_flow(udp, header);
  put(name, udp.verdict(NF_ACCEPT));
  NftRule fragment = of_protocol(name, kUdp);
  later_fragment(fragment, header);
  incoming_flow(fragment, header);
  put(name, fragment.verdict(NF_ACCEPT));
  errors(name, header);
}

// Of what was forwarded most goes into a tunnel, or none: one look-up is all that the first pays here, and one more
// than usual the other.
void Builder::forwarded_first(const std::string& name, const Layout& header) {
  if (lengths(header).empty()) return;
  const uint8_t length = near_length(header.family, lengths(header));
  NftRule rule = of_family(name, header);
  rule.meta(NFT_META_IIF, kScratchWord).unequal(kScratchWord, word(0));
  put(name, carried(std::move(rule), kOut, header, length, sole_set_name(header.family, length)));
}

// Where a forwarded packet goes is asked for at forward, too: behind it a flowtable of others may take the flow past
// postrouting, and an IPv6 route may encapsulate (ioam6, ila).
void Builder::hooks() {
  const auto of4 = [&](const char* chain, const char* then) {
    put(chain, of_family(chain, kHeader4).verdict(NFT_GOTO, then));
  };
  base_chain("forward", NF_INET_FORWARD, kFirst);
  of4("forward", "from4");
  put("forward", in("forward").verdict(NFT_GOTO, "from6"));
  base_chain("postrouting", NF_INET_POST_ROUTING, kLast);
  forwarded_first("postrouting", kHeader4);
  of4("postrouting", "out4");
  forwarded_first("postrouting", kHeader6);
  put("postrouting", in("postrouting").verdict(NFT_GOTO, "out6"));
  base_chain("input", NF_INET_LOCAL_IN, kFirst);
  of4("input", "in4");
  put("input", in("input").verdict(NFT_GOTO, "in6"));
}

// A route that encapsulates (SRv6) takes a packet before forward and postrouting could see it. Of a forwarded one it is
// asked here which device the route would use; nothing but unicast: what is for this host has no way out. One of this
// host has its route already, before a NAT of its own: behind that the kernel tells the device of before.
void Builder::before_encapsulation() {
  base_chain("prerouting", NF_INET_PRE_ROUTING, kBehindDestinationNat);
  base_chain("output", NF_INET_LOCAL_OUT, kFirst);
  for (const Layout& header : {kHeader4, kHeader6}) {
    put("prerouting", of_family("prerouting", header).verdict(NFT_GOTO, std::string("route") + header.digit));
    put("output", of_family("output", header).verdict(NFT_GOTO, std::string("out") + header.digit));
  }
}

GuardParts Builder::build() && {
  sets();
  for (const Layout& header : {kHeader4, kHeader6}) {
    for (const bool to : {false, true}) local(header, to);
    link(std::string("link_out") + header.digit, header, true);
    link(std::string("link_in") + header.digit, header, false);
    outgoing(std::string("outer_out") + header.digit, header);
    incoming(std::string("outer_in") + header.digit, header);
    for (const Way& way : {kOut, kIn, kFrom, kTo}) ask(way, header);
    if (chains_.ask_before_routing) ask(kRoute, header);
  }
  hooks();
  if (chains_.ask_before_routing) before_encapsulation();
  return std::move(parts_);
}

void put_value(NetlinkMessage& message, int type, const Bytes& value) {
  nlattr* nest = message.begin_nest(type | NLA_F_NESTED);
  message.put(NFTA_DATA_VALUE, value.data(), value.size());
  message.end_nest(nest);
}

void put_counter(NetlinkMessage& message, const Counted& counted) {
  nlattr* expression = message.begin_nest(NFTA_SET_ELEM_EXPR | NLA_F_NESTED);
  message.put_string(NFTA_EXPR_NAME, "counter");
  nlattr* data = message.begin_nest(NFTA_EXPR_DATA | NLA_F_NESTED);
  const uint64_t bytes = host_to_be(counted.bytes), packets = host_to_be(counted.packets);
  message.put(NFTA_COUNTER_BYTES, &bytes, sizeof bytes);
  message.put(NFTA_COUNTER_PACKETS, &packets, sizeof packets);
  message.end_nest(data);
  message.end_nest(expression);
}

void put_element(NetlinkMessage& message, const GuardElement& element, bool come,
                 const std::map<std::string, Counted>& counted) {
  nlattr* nest = message.begin_nest(NFTA_LIST_ELEM | NLA_F_NESTED);
  put_value(message, NFTA_SET_ELEM_KEY, element.key);
  if (come && !element.data.empty()) put_value(message, NFTA_SET_ELEM_DATA, element.data);
  if (come && !element.comment.empty()) {
    const auto comment = nft_comment(element.comment);
    message.put(NFTA_SET_ELEM_USERDATA, comment.data(), comment.size());
  }
  if (const auto before = counted.find(element.comment); come && before != counted.end())
    put_counter(message, before->second);
  message.end_nest(nest);
}

}  // namespace

GuardParts guard_parts(const GuardChains& chains) {
  return Builder(chains).build();
}

void put_guard_elements(std::vector<NetlinkMessage>& messages, const std::string& table, const std::string& set,
                        bool come, const std::vector<GuardElement>& elements,
                        const std::map<std::string, Counted>& counted) {
  for (size_t start = 0; start < elements.size(); start += kElementsAMessage) {
    const size_t end = std::min(start + kElementsAMessage, elements.size());
    const size_t room = end - start > 4 ? kElementsRoom : NetlinkMessage::kUsualRoom;
    NetlinkMessage& message = messages.emplace_back(
        nft_message(come ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, come ? NLM_F_CREATE : 0, room));
    message.put_string(NFTA_SET_ELEM_LIST_TABLE, table);
    message.put_string(NFTA_SET_ELEM_LIST_SET, set);
    nlattr* list = message.begin_nest(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED);
    for (size_t i = start; i < end; ++i) put_element(message, elements[i], come, counted);
    message.end_nest(list);
  }
}

}  // namespace adit::platform
