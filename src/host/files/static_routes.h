// /etc/inet/static_routes: a comment, then one line a route, the words after `add` as typed (`-inet6 ` in front when
// the family was implied). What others write into it is taken up before the next change.
#pragma once

#include <map>
#include <string>

#include "base/line_file.h"
#include "host/files/route_command.h"

namespace adit::engine {

class StaticRoutes {
 public:
  explicit StaticRoutes(std::string path) : file_(std::move(path), Lasting::disk, "static_routes") {}

  // The lines that can be read, in the file's order, IPv4 before IPv6 is the caller's business. `bad` gets one sentence
  // for each line that cannot (file:line: why); such a line is kept.
  Result<std::vector<RouteCommand>> load(std::vector<std::string>* bad = nullptr);
  // EEXIST: a line with the same destination, mask and gateway is there.
  Result<> add(const RouteCommand& command);
  // ENOENT: not in file. A command without gateway matches any.
  Result<> remove(const RouteCommand& command);
  // All of these at once; those that are not there are passed over. Returned: the lines that went.
  Result<LineFile::Lines> take_out(const std::vector<RouteCommand>& commands);
  Result<> put_back(const LineFile::Lines& lines);

  [[nodiscard]] bool owes() const { return file_.owes(); }
  Result<> write();  // takes up the journal
  [[nodiscard]] const std::string& path() const { return file_.path(); }

 private:
  struct Entry {
    size_t number;
    RouteCommand command;
  };
  Result<> look();  // reads what others have written
  void take_in(const std::string& line, std::vector<std::string>* bad = nullptr);
  [[nodiscard]] std::vector<size_t> matching(const RouteCommand& command, bool any_gateway) const;
  Result<LineFile::Lines> erase(const std::vector<size_t>& numbers);
  Result<> change(const LineFile::Change& change);
  [[nodiscard]] LineFile::Lines all() const;

  LineFile file_;
  bool loaded_ = false;
  size_t last_ = 0;
  std::map<size_t, std::string> lines_;           // by number, which only grows
  std::multimap<net::Prefix, Entry> by_network_;  // of equals the earlier line first
};

inline constexpr const char* kStaticRoutesPath = "/etc/inet/static_routes";

}  // namespace adit::engine
