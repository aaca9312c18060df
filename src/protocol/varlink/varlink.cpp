#include "protocol/varlink/varlink.h"

#include <unistd.h>

#include "base/check.h"

namespace adit::protocol {
namespace {

Result<uint64_t> number_in(const nlohmann::json& value, const char* name, uint64_t most) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > most)
    return fail(EINVAL, "parameter '{}' must be a whole number of 0 to {}", name, most);
  return value.get<uint64_t>();
}

}  // namespace

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

Result<nlohmann::json> VarlinkMethods::call(const Entry& entry, const nlohmann::json& parameters,
                                            const Caller& caller) const {
  if (entry.access == Access::write && around_) return around_(entry.handler, parameters, caller);
  return entry.handler(parameters, caller);
}

const VarlinkMethods::Entry* VarlinkMethods::find(const std::string& method) const {
  const auto found = entries_.find(method);
  return found == entries_.end() ? nullptr : &found->second;
}

Result<std::string> text_parameter(const nlohmann::json& parameters, const char* name) {
  const auto found = parameters.find(name);
  if (found == parameters.end() || !found->is_string()) return fail(EINVAL, "parameter '{}' must be a string", name);
  return found->get_ref<const std::string&>();
}

std::optional<std::string> optional_text(const nlohmann::json& parameters, const char* name) {
  const auto found = parameters.find(name);
  if (found == parameters.end() || !found->is_string()) return std::nullopt;
  return found->get_ref<const std::string&>();
}

Result<std::optional<uint64_t>> number_parameter(const nlohmann::json& parameters, const char* name, uint64_t most) {
  const auto found = parameters.find(name);
  if (found == parameters.end() || found->is_null()) return std::nullopt;
  return number_in(*found, name, most);
}

Result<std::vector<std::string>> texts_parameter(const nlohmann::json& parameters, const char* name) {
  std::vector<std::string> texts;
  const auto found = parameters.find(name);
  if (found == parameters.end() || found->is_null()) return texts;
  if (!found->is_array()) return fail(EINVAL, "parameter '{}' must be an array of strings", name);
  for (const auto& element : *found) {
    if (!element.is_string()) return fail(EINVAL, "parameter '{}' must be an array of strings", name);
    texts.push_back(element.get_ref<const std::string&>());
  }
  return texts;
}

Result<std::vector<uint64_t>> numbers_parameter(const nlohmann::json& parameters, const char* name, uint64_t most) {
  std::vector<uint64_t> numbers;
  const auto found = parameters.find(name);
  if (found == parameters.end() || found->is_null()) return numbers;
  if (!found->is_array()) return fail(EINVAL, "parameter '{}' must be an array of numbers", name);
  for (const auto& element : *found) {
    TRY_ASSIGN(const uint64_t number, number_in(element, name, most));
    numbers.push_back(number);
  }
  return numbers;
}

Result<std::map<std::string, std::string>> text_map_parameter(const nlohmann::json& parameters, const char* name) {
  std::map<std::string, std::string> texts;
  const auto found = parameters.find(name);
  if (found == parameters.end() || found->is_null()) return texts;
  if (!found->is_object()) return fail(EINVAL, "parameter '{}' must be an object of strings", name);
  for (const auto& [key, value] : found->items()) {
    if (!value.is_string()) return fail(EINVAL, "parameter '{}': '{}' must be a string", name, key);
    texts.emplace(key, value.get_ref<const std::string&>());
  }
  return texts;
}

bool flag_parameter(const nlohmann::json& parameters, const char* name) {
  const auto found = parameters.find(name);
  return found != parameters.end() && *found == true;
}

}  // namespace adit::protocol
