// /etc/inet/static_routes: a comment, then one line a route, the words after `add` as typed (`-inet6 ` in front when
// the family was implied).
#pragma once

#include <string>
#include <vector>

#include "host/route_command.h"

namespace adit::engine {

class StaticRoutes {
 public:
  explicit StaticRoutes(std::string path) : path_(std::move(path)) {}

  // The lines that can be read, in the file's order, IPv4 before IPv6 is the caller's business. `bad` gets one sentence
  // for each line that cannot (file:line: why); such a line is kept.
  Result<std::vector<RouteCommand>> load(std::vector<std::string>* bad = nullptr) const;
  // EEXIST: a line with the same destination, mask and gateway is there.
  Result<> add(const RouteCommand& command) const;
  // ENOENT: not in file. A command without gateway matches any.
  Result<> remove(const RouteCommand& command) const;
  // All of these at once, as remove; those that are not there are passed over. Returns the text from before.
  Result<std::string> take_out(const std::vector<RouteCommand>& commands) const;
  Result<> put_back(const std::string& text) const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline constexpr const char* kStaticRoutesPath = "/etc/inet/static_routes";

}  // namespace adit::engine
