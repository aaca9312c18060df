#include "cli/frame/own_session.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "net/address.h"

namespace adit::cli {
namespace {

constexpr int kMostAncestors = 32;
constexpr const char* kVariable = "SSH_CONNECTION=";

std::string value_in(const std::string& environment_file) {
  std::ifstream file(environment_file);
  for (std::string variable; std::getline(file, variable, '\0');)
    if (variable.starts_with(kVariable)) return variable.substr(std::string_view(kVariable).size());
  return {};
}

// Behind the last parenthesis of /proc/PID/stat, since a program may be called anything: state, then the parent. 0:
// none.
int parent_of(int pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::ostringstream text;
  text << file.rdbuf();
  const std::string whole = text.str();
  const size_t end = whole.rfind(')');
  if (end == whole.npos) return 0;
  std::istringstream fields(whole.substr(end + 1));
  std::string state;
  int parent = 0;
  fields >> state >> parent;
  return parent;
}

}  // namespace

std::string client_of(const std::string& ssh_connection) {
  const std::string first = ssh_connection.substr(0, ssh_connection.find(' '));
  const auto address = net::Address::parse(first.substr(0, first.find('%')));
  return address ? address->str() : std::string();
}

std::string own_session_address() {
  if (const char* value = std::getenv("SSH_CONNECTION")) return client_of(value);
  int pid = ::getppid();
  for (int i = 0; i < kMostAncestors && pid > 1; ++i, pid = parent_of(pid))
    if (const std::string value = value_in(fmt::format("/proc/{}/environ", pid)); !value.empty())
      return client_of(value);
  return {};
}

}  // namespace adit::cli
