#include "sad/acquire.h"

namespace adit::sad {

InnerSelector inner_selector(const spd::Rule& rule) {
  const spd::Selector& selector = rule.selector;
  const net::Prefix any = net::Prefix::any(rule.family);
  return {selector.local.value_or(any).masked(), selector.remote.value_or(any).masked(), selector.protocol.value_or(0),
          selector.local_port.value_or(0), selector.remote_port.value_or(0)};
}

}  // namespace adit::sad
