// What anybody changes in the kernel: links, addresses, routes, rules, and the nftables table `inet adit`.
#pragma once

#include <functional>
#include <initializer_list>
#include <vector>

#include "linux/netlink/netlink_socket.h"
#include "linux/platform/platform.h"

namespace adit::platform {

class Monitor {
 public:
  // Listens from now on. A kernel without nftables: without that part.
  Result<> start();
  [[nodiscard]] int fd() const { return epoll_.get(); }  // readable: call poll

  // Another descriptor that makes fd() readable; poll reports it as a change of the guard. REQUIRES: start.
  void watch_too(int fd);

  // Everything that has come; of several words about one thing the last. When notices were lost (a full socket buffer)
  // there is one Change of each kind besides. `told` says what a notice of a link, an address or a route tells;
  // nullopt: nothing that is to be reported.
  std::vector<Change> poll(const std::function<std::optional<Change>(const nlmsghdr&)>& told);

  // Looks at the nftables notices now: has another touched the table (or can that not be known)? The next poll reports
  // it all the same.
  bool table_touched();

  // nftables transactions of this process (a child of ours, by its netlink port) are not reported.
  void ignore_port(uint32_t port);

 private:
  bool drain(int fd, const std::function<void(const nlmsghdr&)>& each);  // false: some were lost
  void drain_table(bool& whole);
  Descriptor routes_, nftables_, bell_, epoll_;
  int other_ = -1;        // watched too; not ours
  bool touched_ = false;  // and not reported yet
  std::vector<uint32_t> own_ports_;
  std::vector<uint8_t> buffer_;
};

// A socket that hears the notices of these groups, without waiting.
Result<Descriptor> listen_to(int protocol, std::initializer_list<int> groups);

// An nftables notice that names table `inet adit`.
bool concerns_our_table(const nlmsghdr& notice);

}  // namespace adit::platform
