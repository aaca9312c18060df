// ipadm set-prop and set-ifprop: hostmodel, forwarding, ttl; per interface forwarding and mtu. `strong` is enforced in
// the firewall's table, everything else is a kernel setting.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "control/seams.h"

namespace adit::engine {

struct InterfaceProperty {
  std::string interface, property, protocol, perm, current, persistent, fallback, possible;
};

class ProtocolProperties final : public FirewallPart {
 public:
  ProtocolProperties(const Context& context, FirewallDoor& firewall);

  // Start: applies the persistent values. Failures go to the event log. Interfaces that come later get theirs by
  // reassert().
  void restore();
  void reassert();
  void contribute(platform::Firewall& firewall) const override;

  // EINVAL: unknown protocol or property, value outside the possible ones. Nothing changed on an error.
  Result<> set(const std::string& protocol, const std::string& property, const std::string& value, bool temporary);
  Result<> reset(const std::string& protocol, const std::string& property, bool temporary);
  // Empty: all of them.
  Result<std::vector<ProtocolProperty>> list(const std::string& protocol, const std::string& property) const;

  Result<> set_interface(const std::string& interface, const std::string& protocol, const std::string& property,
                         const std::string& value, bool temporary);
  Result<> reset_interface(const std::string& interface, const std::string& protocol, const std::string& property,
                           bool temporary);
  Result<std::vector<InterfaceProperty>> list_interface(const std::string& interface,
                                                        const std::string& property) const;

 private:
  struct Key {
    std::string interface, protocol, property;  // interface empty: of the whole protocol
    auto operator<=>(const Key&) const = default;
  };
  Result<> change(const Key& key, const std::string& value, bool temporary, bool to_default);
  Result<> apply(const Key& key, const std::string& value);
  Result<std::string> current(const Key& key) const;
  Result<> save(const std::map<Key, std::string>& persistent) const;
  [[nodiscard]] bool exists(const std::string& interface) const;

  const Context& context_;
  FirewallDoor& firewall_;
  platform::HostModel model_v4_ = platform::HostModel::weak, model_v6_ = platform::HostModel::weak;
  std::map<Key, std::string> persistent_;
};

}  // namespace adit::engine
