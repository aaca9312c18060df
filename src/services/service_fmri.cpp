// Which services an operand of svcadm or svcs means (services.md §8, §9).
#include <fnmatch.h>

#include "services/services.h"

namespace adit::engine {

bool is_glob(std::string_view operand) {
  return operand.find_first_of("*?[") != operand.npos;
}

bool matches_fmri(std::string_view operand, std::string_view fmri) {
  if (is_glob(operand)) {
    const std::string pattern = operand.starts_with("svc:") ? std::string(operand) : "svc:/" + std::string(operand);
    return fnmatch(pattern.c_str(), std::string(fmri).c_str(), 0) == 0;
  }
  const std::string_view name = fmri.substr(sizeof "svc:/" - 1);  // network/ipsec/policy:default
  const size_t colon = name.find(':');
  const std::string_view service = name.substr(0, colon), instance = name.substr(colon + 1);
  if (operand.starts_with("svc:/")) {
    const std::string_view rest = operand.substr(sizeof "svc:/" - 1);
    return rest == name || rest == service;
  }
  const size_t operand_colon = operand.find(':');
  if (operand_colon != operand.npos && operand.substr(operand_colon + 1) != instance) return false;
  const std::string_view tail = operand.substr(0, operand_colon);
  if (tail.empty()) return operand_colon != operand.npos;  // :default
  if (!service.ends_with(tail)) return false;
  return service.size() == tail.size() || service[service.size() - tail.size() - 1] == '/';
}

}  // namespace adit::engine
