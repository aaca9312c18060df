// The commands' side of varlink: one connection, calls one after another, blocking.
#pragma once

#include <functional>
#include <string>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace adit::protocol {

class VarlinkClient {
 public:
  // ENOENT/ECONNREFUSED: no daemon there; EACCES. The text says what to start or whom to ask.
  static Result<VarlinkClient> connect(const std::string& socket_path);
  VarlinkClient(VarlinkClient&& other) noexcept;
  VarlinkClient& operator=(VarlinkClient&& other) noexcept;
  ~VarlinkClient();

  // The answer's parameters; or the error the daemon sent (its errno and text), or EPIPE when the daemon went away.
  Result<nlohmann::json> call(const std::string& method, const nlohmann::json& parameters);
  // As long as answers continue and `each` says true.
  Result<> follow(const std::string& method, const nlohmann::json& parameters,
                  const std::function<bool(const nlohmann::json&)>& each);

 private:
  explicit VarlinkClient(int fd) : fd_(fd) {}
  Result<> send(const nlohmann::json& message);
  Result<nlohmann::json> receive();
  int fd_ = -1;
  std::string buffer_;
};

}  // namespace adit::protocol
