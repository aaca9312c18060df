#include "linux/netlink/monitor.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>

namespace adit::platform {
namespace {

constexpr size_t kBufferBytes = 65536;
constexpr int kSocketBytes = 8 << 20;  // a thousand tunnels' routes at once
constexpr size_t kPortsRemembered = 256;

bool of_nexthop(uint16_t type) {  // what routes that name it go by
  return type == RTM_NEWNEXTHOP || type == RTM_DELNEXTHOP;
}

Change::What kind_of(uint16_t type) {
  switch (type) {
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return Change::What::address;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
      return Change::What::route;
    case RTM_NEWRULE:
    case RTM_DELRULE:
      return Change::What::rule;
    default:
      return Change::What::link;
  }
}

using Thing =
    std::tuple<Change::What, int, std::optional<net::Prefix>, std::optional<net::Address>, uint32_t, uint32_t, uint8_t>;

Thing thing_of(const Change& change) {
  Thing thing{change.what, change.interface_index, {}, {}, 0, 0, 0};
  if (change.address)
    thing = {change.what, change.interface_index, change.address->local, change.address->peer, 0, 0, 0};
  if (const auto& route = change.route)
    thing = {change.what,  change.interface_index, route->destination, route->gateway,
             route->table, route->metric,          route->protocol};
  return thing;
}

// Attribute 1 of every nf_tables object is its table's name (NFTA_TABLE_NAME, NFTA_CHAIN_TABLE …).
constexpr int kTableAttribute = 1;
static_assert(NFTA_TABLE_NAME == kTableAttribute && NFTA_CHAIN_TABLE == kTableAttribute &&
              NFTA_RULE_TABLE == kTableAttribute && NFTA_SET_TABLE == kTableAttribute &&
              NFTA_SET_ELEM_LIST_TABLE == kTableAttribute && NFTA_OBJ_TABLE == kTableAttribute);

}  // namespace

Result<Descriptor> listen_to(int protocol, std::initializer_list<int> groups) {
  Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (!socket.valid()) return fail(errno, "cannot open a netlink socket: {}", std::strerror(errno));
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&self), sizeof self) != 0)
    return fail(errno, "cannot bind a netlink socket: {}", std::strerror(errno));
  for (const int group : groups)
    if (setsockopt(socket.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
      return fail(errno, "cannot listen to the kernel's changes: {}", std::strerror(errno));
  if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBytes, sizeof kSocketBytes) != 0)
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &kSocketBytes, sizeof kSocketBytes);
  return socket;
}

bool concerns_our_table(const nlmsghdr& notice) {
  if (nlmsg_datalen(&notice) < static_cast<int>(sizeof(nfgenmsg))) return false;
  if (NFNL_SUBSYS_ID(notice.nlmsg_type) != NFNL_SUBSYS_NFTABLES) return false;
  if (NFNL_MSG_TYPE(notice.nlmsg_type) == NFT_MSG_NEWGEN) return false;
  if (static_cast<const nfgenmsg*>(nlmsg_data(&notice))->nfgen_family != NFPROTO_INET) return false;
  const nlattr* table = find_attribute(notice, sizeof(nfgenmsg), kTableAttribute, sizeof "adit");
  return table && std::memcmp(nla_data(table), "adit", sizeof "adit") == 0;
}

Result<> Monitor::start() {
  if (epoll_.valid()) return {};
  TRY_ASSIGN(routes_,
             listen_to(NETLINK_ROUTE, {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                                       RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP}));
  if (auto nftables = listen_to(NETLINK_NETFILTER, {NFNLGRP_NFTABLES})) nftables_ = std::move(*nftables);
  Descriptor epoll(epoll_create1(EPOLL_CLOEXEC));
  bell_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  for (const Descriptor* socket : {&routes_, &nftables_, &bell_}) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (socket->valid() && epoll_ctl(epoll.get(), EPOLL_CTL_ADD, socket->get(), &event) != 0)
      return fail(errno, "cannot watch the kernel's changes: {}", std::strerror(errno));
  }
  buffer_.resize(kBufferBytes);
  epoll_ = std::move(epoll);
  return {};
}

void Monitor::watch_too(int fd) {
  if (fd < 0 || fd == other_) return;
  epoll_event event{};
  event.events = EPOLLIN;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) other_ = fd;
}

bool Monitor::drain(int fd, const std::function<void(const nlmsghdr&)>& each) {
  bool whole = true;
  for (;;) {
    const ssize_t got = recv(fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {
      whole = false;
      continue;
    }
    if (got <= 0) return whole;
    int left = static_cast<int>(got);
    for (auto* notice = reinterpret_cast<nlmsghdr*>(buffer_.data()); nlmsg_ok(notice, left);
         notice = nlmsg_next(notice, &left))
      each(*notice);
  }
}

std::vector<Change> Monitor::poll(const std::function<std::optional<Change>(const nlmsghdr&)>& told) {
  std::vector<Change> changes;
  std::map<Thing, size_t> places;
  const auto add = [&](Change change) {
    const auto [place, fresh] = places.try_emplace(thing_of(change), changes.size());
    if (fresh) return changes.push_back(std::move(change));
    Change& known = changes[place->second];
    change.fell |= known.fell;
    known = std::move(change);
  };
  bool whole = drain(routes_.get(), [&](const nlmsghdr& notice) {
    const Change::What what = kind_of(notice.nlmsg_type);
    if (what == Change::What::rule || of_nexthop(notice.nlmsg_type)) return add({what});
    if (auto change = told(notice)) add(std::move(*change));
  });
  drain_table(whole);
  if (std::exchange(touched_, false)) add({Change::What::nftables, 0});
  if (pollfd one{other_, POLLIN, 0}; other_ >= 0 && ::poll(&one, 1, 0) > 0) add({Change::What::guard, 0});
  eventfd_t rung;
  eventfd_read(bell_.get(), &rung);
  if (whole) return changes;
  for (const auto what :
       {Change::What::link, Change::What::address, Change::What::route, Change::What::rule, Change::What::nftables})
    add({what, 0});
  return changes;
}

void Monitor::drain_table(bool& whole) {
  if (!nftables_.valid()) return;
  whole &= drain(nftables_.get(), [&](const nlmsghdr& notice) {
    const bool own = std::ranges::find(own_ports_, notice.nlmsg_pid) != own_ports_.end();
    touched_ |= concerns_our_table(notice) && !own;
  });
}

bool Monitor::table_touched() {
  if (!nftables_.valid()) return true;
  bool whole = true;
  drain_table(whole);
  touched_ |= !whole;
  if (touched_) eventfd_write(bell_.get(), 1);  // poll still has something to say
  return touched_;
}

void Monitor::ignore_port(uint32_t port) {
  if (own_ports_.size() >= kPortsRemembered) own_ports_.erase(own_ports_.begin());
  own_ports_.push_back(port);
}

}  // namespace adit::platform
