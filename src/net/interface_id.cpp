#include "net/interface_id.h"

#include <algorithm>

#include "base/check.h"

namespace adit::net {

InterfaceId interface_id(const Address& outer) {
  InterfaceId id{};
  const ByteSpan bytes = outer.bytes();
  const ByteSpan tail = bytes.last(outer.is_v4() ? 4 : 8);
  std::copy(tail.begin(), tail.end(), id.end() - static_cast<ptrdiff_t>(tail.size()));
  return id;
}

Address link_local(const InterfaceId& id) {
  std::array<uint8_t, 16> bytes{0xfe, 0x80};
  std::copy(id.begin(), id.end(), bytes.begin() + 8);
  return Address::from_v6(bytes.data());
}

}  // namespace adit::net
