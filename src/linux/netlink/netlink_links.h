// Interfaces by rtnetlink: what there is, and changes to one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "linux/netlink/netlink_socket.h"
#include "linux/platform/platform.h"

namespace adit::platform {

struct LinkDetail {
  InterfaceInfo info;
  uint32_t queues_in_use = 0;  // of a TUN: attached by some process
  bool persistent = false;     // of a TUN: outlives who made it
  bool for_users = false;      // of a TUN: an unprivileged user or group may attach to it
};
Result<std::vector<LinkDetail>> list_links(Netlink& netlink);
Result<LinkDetail> get_link(Netlink& netlink, const std::string& name);  // ENODEV
Result<LinkDetail> get_link(Netlink& netlink, int index);                // ENODEV

struct LinkChange {  // what is not said stays
  std::optional<bool> up, carrier;
  std::optional<uint32_t> mtu, group, queue_packets, gso_bytes, gso_segments;
  std::optional<std::string> name;
  bool no_automatic_addresses = false;  // IPv6 link-local ones are made by nobody but us
};
Result<> change_link(Netlink& netlink, const std::string& name, const LinkChange& change);
Result<> delete_link(Netlink& netlink, const std::string& name);  // ENODEV

// No queueing discipline in front of a device that has a ring of its own. The default one would take rings for each of
// the 256 queues that a multi-queue TUN may have, some megabytes of kernel memory and milliseconds for every tunnel.
Result<> use_no_queue(Netlink& netlink, int index);

// One RTM_NEWLINK or RTM_DELLINK, of an answer or of a notice. nullopt: too short.
std::optional<LinkDetail> parse_link(const nlmsghdr& message);

}  // namespace adit::platform
