// The sockets of IKE while somebody has them: port 500, and the pair that the workers fill from port 4500 and send
// from.
#pragma once

#include <optional>
#include <set>

#include "control/key_manager_access.h"
#include "control/seams.h"
#include "ike/door/port.h"
#include "net/address.h"
#include "path/dataplane.h"

namespace adit::engine {

class IkeSockets final : public KeyManagerAccess {
 public:
  IkeSockets(const Context& context, Dataplane& dataplane) : context_(context), dataplane_(dataplane) {}

  Result<> admit(KeyManager manager) override;
  void take_back() override;
  // Once a second, after the platform has tried again: hands over what came late; looks whether the pair still has two
  // ends.
  void tick();

 private:
  Result<> hand_pair();
  void hand_500();
  void let_go();
  [[nodiscard]] std::string name() const;

  const Context& context_;
  Dataplane& dataplane_;
  std::optional<KeyManager> manager_;
  std::shared_ptr<ike::Port> port_;
  std::set<net::Family> handed_;  // of port 500
};

}  // namespace adit::engine
