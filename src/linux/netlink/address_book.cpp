#include "linux/netlink/address_book.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>

#include "linux/netlink/monitor.h"
#include "linux/netlink/netlink_addresses.h"

namespace adit::platform {
namespace {

constexpr size_t kBufferBytes = 65536;

}  // namespace

AddressBook::Key AddressBook::key_of(const AddressInfo& info) {
  return {info.local.address(), info.interface_index, info.local.length(), info.peer};
}

void AddressBook::put(const AddressInfo& info) {
  const Key key = key_of(info);
  all_.insert_or_assign(key, info);
  if (info.peer) by_peer_.emplace(*info.peer, key);
  if (info.in_a_network()) in_networks_.insert(key);
}

void AddressBook::erase(const AddressInfo& info) {
  const Key key = key_of(info);
  all_.erase(key);
  if (info.peer) by_peer_.erase({*info.peer, key});
  in_networks_.erase(key);
}

int AddressBook::drain() {
  for (;;) {
    const ssize_t got = recv(notices_.get(), buffer_.data(), buffer_.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    int left = static_cast<int>(got);
    for (auto* notice = reinterpret_cast<nlmsghdr*>(buffer_.data()); nlmsg_ok(notice, left);
         notice = nlmsg_next(notice, &left)) {
      const auto info = parse_address(*notice);
      if (!info) continue;
      if (notice->nlmsg_type == RTM_NEWADDR) put(*info);
      if (notice->nlmsg_type == RTM_DELADDR) erase(*info);
    }
  }
}

// What is told between the question and its answer stands in both, and is taken twice without harm.
Result<> AddressBook::catch_up(Netlink& asking) {
  if (!notices_.valid()) {
    buffer_.resize(kBufferBytes);
    TRY_ASSIGN(notices_, listen_to(NETLINK_ROUTE, {RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR}));
  }
  int said = drain();
  for (; said == ENOBUFS; said = drain()) whole_ = false;
  if (said != EAGAIN) return fail(said, "cannot hear of the host's addresses: {}", std::strerror(said));
  return whole_ ? Result<>{} : ask_again(asking);
}

Result<> AddressBook::ask_again(Netlink& asking) {
  TRY_ASSIGN(const auto listed, list_addresses(asking));
  all_.clear();
  by_peer_.clear();
  in_networks_.clear();
  for (const AddressInfo& info : listed) put(info);
  whole_ = true;
  return {};
}

std::vector<AddressInfo> AddressBook::of(const net::Address& address) const {
  std::vector<AddressInfo> found;
  for (auto at = all_.lower_bound({address, 0, 0, std::nullopt}); at != all_.end() && at->first.address == address;
       ++at)
    found.push_back(at->second);
  return found;
}

std::vector<AddressInfo> AddressBook::with_peer(const net::Address& peer) const {
  std::vector<AddressInfo> found;
  for (auto at = by_peer_.lower_bound({peer, {}}); at != by_peer_.end() && at->first == peer; ++at)
    found.push_back(all_.at(at->second));
  return found;
}

std::vector<AddressInfo> AddressBook::in_networks() const {
  std::vector<AddressInfo> found;
  found.reserve(in_networks_.size());
  for (const Key& key : in_networks_) found.push_back(all_.at(key));
  return found;
}

}  // namespace adit::platform
