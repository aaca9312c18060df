#include "path/ike_sockets.h"

#include <utility>

namespace adit::engine {

Result<> IkeSockets::admit(KeyManager manager) {
  if (manager_) return fail(EBUSY, "{} has the sockets of IKE", name());
  manager_ = std::move(manager);
  if (auto handed = hand_pair(); !handed) {
    let_go();
    return handed;
  }
  context_.platform.listen_on_500(true);
  hand_500();
  context_.events.add(Severity::info, EventKind::ike_sockets, "", fmt::format("{} has the sockets of IKE", name()));
  return {};
}

// The workers have it before its other end does.
Result<> IkeSockets::hand_pair() {
  TRY_ASSIGN(port_,
             context_.platform.make_ike_pair([this](const std::shared_ptr<ike::Port>& port, int far) -> Result<> {
               TRY(dataplane_.attach_ike(port));
               return manager_->hand(ike::Handed::pair, far);
             }));
  return {};
}

void IkeSockets::hand_500() {
  for (const auto& [family, what] :
       {std::pair(net::Family::v4, ike::Handed::udp500_v4), std::pair(net::Family::v6, ike::Handed::udp500_v6)}) {
    const int fd = context_.platform.socket_of_500(family);
    if (fd < 0 || handed_.contains(family)) continue;
    if (manager_->hand(what, fd)) handed_.insert(family);
  }
}

void IkeSockets::take_back() {
  if (!manager_) return;
  context_.events.add(
      Severity::warning, EventKind::ike_sockets, "",
      fmt::format("{} has let the sockets of IKE go: IKE messages are dropped until another asks for them", name()));
  let_go();
}

void IkeSockets::let_go() {
  (void)dataplane_.attach_ike(nullptr);
  context_.platform.listen_on_500(false);
  port_ = nullptr;
  handed_.clear();
  manager_ = std::nullopt;
}

void IkeSockets::tick() {
  if (!manager_) return;
  hand_500();
  if (port_ == nullptr || !port_->closed()) return;
  const auto dismiss = manager_->dismiss;
  take_back();
  dismiss();
}

std::string IkeSockets::name() const {
  return fmt::format("process {}", manager_->pid);
}

}  // namespace adit::engine
