#include "protocol/varlink.h"

#include <unistd.h>

#include "base/check.h"

namespace adit::protocol {

bool Caller::privileged() const {
  return uid == 0 || uid == ::geteuid();
}

void VarlinkMethods::describe(const std::string& interface, const std::string& description) {
  interfaces_[interface] = description;
}

void VarlinkMethods::add(const std::string& method, Access access, Handler handler) {
  CHECK(!entries_.contains(method));
  entries_[method] = {access, std::move(handler), nullptr};
}

void VarlinkMethods::add_stream(const std::string& method, Access access, StreamHandler handler) {
  CHECK(!entries_.contains(method));
  entries_[method] = {access, nullptr, std::move(handler)};
}

const VarlinkMethods::Entry* VarlinkMethods::find(const std::string& method) const {
  const auto found = entries_.find(method);
  return found == entries_.end() ? nullptr : &found->second;
}

Result<std::string> text_parameter(const nlohmann::json& parameters, const char* name) {
  const auto found = parameters.find(name);
  if (found == parameters.end() || !found->is_string()) return fail(EINVAL, "parameter '{}' must be a string", name);
  return found->get<std::string>();
}

std::optional<std::string> optional_text(const nlohmann::json& parameters, const char* name) {
  const auto found = parameters.find(name);
  if (found == parameters.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

bool flag_parameter(const nlohmann::json& parameters, const char* name) {
  const auto found = parameters.find(name);
  return found != parameters.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace adit::protocol
