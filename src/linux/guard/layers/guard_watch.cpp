#include "linux/guard/layers/guard_watch.h"

#include <netinet/in.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>

#include "linux/netlink/monitor.h"

namespace adit::platform {
namespace {

constexpr size_t kBufferBytes = 65536;
constexpr int kTableAttribute = 1;  // of every nf_tables object: its table's name
constexpr auto kBetweenLooks = std::chrono::seconds(1);
constexpr int kMostRounds = 4096;  // of reading, before others get their turn

// A port that leaves its bridge is told of with the same message, of another family.
std::optional<int> device_gone(const nlmsghdr& notice) {
  if (notice.nlmsg_type != RTM_DELLINK || nlmsg_datalen(&notice) < static_cast<int>(sizeof(ifinfomsg)))
    return std::nullopt;
  const auto* link = static_cast<const ifinfomsg*>(nlmsg_data(&notice));
  return link->ifi_family == AF_UNSPEC ? std::optional(link->ifi_index) : std::nullopt;
}

bool concerns_addresses(uint16_t type) {
  return type == RTM_NEWADDR || type == RTM_DELADDR || type == RTM_NEWLINK || type == RTM_DELLINK;
}

}  // namespace

bool concerns_guard_tables(const nlmsghdr& notice) {
  if (nlmsg_datalen(&notice) < static_cast<int>(sizeof(nfgenmsg))) return false;
  if (NFNL_SUBSYS_ID(notice.nlmsg_type) != NFNL_SUBSYS_NFTABLES) return false;
  if (NFNL_MSG_TYPE(notice.nlmsg_type) == NFT_MSG_NEWGEN) return false;
  if (static_cast<const nfgenmsg*>(nlmsg_data(&notice))->nfgen_family != NFPROTO_INET) return false;
  const nlattr* table = find_attribute(notice, sizeof(nfgenmsg), kTableAttribute, 1);
  if (!table) return false;
  const auto* text = static_cast<const char*>(nla_data(table));
  const std::string name(text, strnlen(text, static_cast<size_t>(nla_len(table))));
  return name == kLastingTable || name == kOwnedTable;
}

Result<GuardWatch> GuardWatch::start() {
  GuardWatch watch;
  TRY_ASSIGN(watch.routes_,
             listen_to(NETLINK_ROUTE, {RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,
                                       RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR}));
  TRY_ASSIGN(watch.tables_, listen_to(NETLINK_NETFILTER, {NFNLGRP_NFTABLES}));
  watch.buffer_.resize(kBufferBytes);
  return watch;
}

void GuardWatch::drain(GuardLayers& layers) {
  drain_one(routes_.get(), NETLINK_ROUTE, layers);
  drain_one(tables_.get(), NETLINK_NETFILTER, layers);
  const auto now = std::chrono::steady_clock::now();
  if (!lost_ || now - looked_ < kBetweenLooks) return;
  lost_ = false;
  looked_ = now;
  layers.suspect();
  layers.drop_missing_devices();
}

void GuardWatch::drain_one(int fd, int protocol, GuardLayers& layers) {
  for (int round = 0; round < kMostRounds; ++round) {
    const ssize_t got = recv(fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {
      lost_ = addresses_touched_ = true;
      continue;
    }
    if (got <= 0) break;
    int left = static_cast<int>(got);
    for (auto* notice = reinterpret_cast<nlmsghdr*>(buffer_.data()); nlmsg_ok(notice, left);
         notice = nlmsg_next(notice, &left)) {
      if (protocol == NETLINK_ROUTE && concerns_addresses(notice->nlmsg_type)) addresses_touched_ = true;
      layers.follow(*notice, protocol);
      if (const auto device = device_gone(*notice); device && protocol == NETLINK_ROUTE) layers.drop_device(*device);
    }
  }
}

}  // namespace adit::platform
