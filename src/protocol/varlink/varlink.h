// varlink: JSON messages, each ended by a NUL byte, over a Unix stream socket. {"method", "parameters", "more",
// "oneway"} up,
// {"parameters", "continues"} or {"error", "parameters"} down. Every varlink client can call; `GetInfo` and
// `GetInterfaceDescription` of org.varlink.service describe what is here.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace adit::protocol {

constexpr size_t kMaxVarlinkMessage = 8 << 20;                   // bytes; a longer one ends the connection
inline constexpr const char* kVarlinkFailed = "io.adit.Failed";  // its parameters: code (errno), text

// Who calls, by the kernel's word (SO_PEERCRED).
struct Caller {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  [[nodiscard]] bool privileged() const;  // root, or the user aditd runs as
};

enum class Access : uint8_t { read, write };  // write: privileged callers only (EPERM, naming the caller's uid)

// Sends one more answer of a streaming call. False: the client is gone or does not read (more than kMaxVarlinkMessage
// wait); stop then. Engine thread.
using Emit = std::function<bool(const nlohmann::json& parameters)>;
// Called once when the stream's connection ends. May be empty.
using Unsubscribe = std::function<void()>;

using Handler = std::function<Result<nlohmann::json>(const nlohmann::json& parameters, const Caller& caller)>;
using StreamHandler =
    std::function<Result<Unsubscribe>(const nlohmann::json& parameters, const Caller& caller, Emit emit)>;

// The methods that are there. Filled before the server starts; the handlers run on the engine's thread.
class VarlinkMethods {
 public:
  struct Entry {
    Access access = Access::write;
    Handler handler;
    StreamHandler stream;
  };

  // `description`: the interface in varlink's definition language, one for each interface name.
  void describe(const std::string& interface, const std::string& description);
  void add(const std::string& method, Access access, Handler handler);
  // Runs around each method that writes: what it returns is the answer. Once, before the server starts.
  using Around = std::function<Result<nlohmann::json>(const Handler& write, const nlohmann::json&, const Caller&)>;
  void around_writes(Around around) { around_ = std::move(around); }
  [[nodiscard]] Result<nlohmann::json> call(const Entry& entry, const nlohmann::json& parameters,
                                            const Caller& caller) const;
  void add_stream(const std::string& method, Access access, StreamHandler handler);

  [[nodiscard]] const Entry* find(const std::string& method) const;
  [[nodiscard]] const std::map<std::string, std::string>& interfaces() const { return interfaces_; }

 private:
  std::map<std::string, Entry> entries_;
  Around around_;
  std::map<std::string, std::string> interfaces_;
};

// Reading parameters with honest errors: EINVAL names the parameter and what it should be.
Result<std::string> text_parameter(const nlohmann::json& parameters, const char* name);
std::optional<std::string> optional_text(const nlohmann::json& parameters, const char* name);
bool flag_parameter(const nlohmann::json& parameters, const char* name);  // absent: false
// nullopt: absent or null. EINVAL: anything but a whole number of 0 to `most`.
Result<std::optional<uint64_t>> number_parameter(const nlohmann::json& parameters, const char* name, uint64_t most);
// Absent or null: empty. EINVAL: an element of another type.
Result<std::vector<std::string>> texts_parameter(const nlohmann::json& parameters, const char* name);
Result<std::vector<uint64_t>> numbers_parameter(const nlohmann::json& parameters, const char* name, uint64_t most);
Result<std::map<std::string, std::string>> text_map_parameter(const nlohmann::json& parameters, const char* name);

}  // namespace adit::protocol
