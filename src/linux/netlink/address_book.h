// The host's addresses as the kernel told of them, so that a question costs what changed since the last one, whatever
// the number of addresses. The kernel tells of a new IPv6 address a moment after it is there, of all else at once. One
// thread.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "linux/netlink/netlink_socket.h"
#include "linux/platform/platform.h"

namespace adit::platform {

class AddressBook {
 public:
  // Listens from the first call on; takes in what was told since. Where notices were lost, `asking` is asked for all.
  Result<> catch_up(Netlink& asking);
  Result<> ask_again(Netlink& asking);
  void expect(const AddressInfo& made) { put(made); }  // the kernel will tell of it

  [[nodiscard]] std::vector<AddressInfo> of(const net::Address& address) const;
  [[nodiscard]] std::vector<AddressInfo> with_peer(const net::Address& peer) const;
  // Those that are in_a_network().
  [[nodiscard]] std::vector<AddressInfo> in_networks() const;

 private:
  struct Key {
    net::Address address;
    int interface_index;
    uint8_t length;
    std::optional<net::Address> peer;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  static Key key_of(const AddressInfo& info);
  void put(const AddressInfo& info);
  void erase(const AddressInfo& info);
  int drain();  // what the socket says at last: EAGAIN when nothing is left

  Descriptor notices_;
  bool whole_ = false;
  std::vector<uint8_t> buffer_;
  std::map<Key, AddressInfo> all_;
  std::set<std::pair<net::Address, Key>> by_peer_;
  std::set<Key> in_networks_;
};

}  // namespace adit::platform
