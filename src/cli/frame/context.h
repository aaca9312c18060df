// What every command is given: where things are and where to print. One process runs one command.
#pragma once

#include <functional>
#include <iosfwd>
#include <span>
#include <string>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace adit::cli {

// Exit statuses of all commands unless their manual says otherwise.
constexpr int kOk = 0, kFailed = 1, kUsage = 2;

struct Context {
  std::string root;     // -R DIR or ADIT_ROOT: put in front of /etc/…; empty: /
  std::string run_dir;  // ADIT_RUNDIR, else ROOT/run/adit: the daemon's sockets
  std::string self;     // the command's name, for messages: "dladm"
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  // The address from which the caller's own session comes (own_session.h); empty: it does not come over the network, or
  // -y said that whatever ends it is wanted.
  std::string session = {};
  bool terminal = false;  // `in` is one: there is somebody to ask

  [[nodiscard]] std::string path(const std::string& absolute) const { return root + absolute; }
  [[nodiscard]] std::string socket(const std::string& name) const { return run_dir + "/" + name; }

  // "self: sentence; all the same? [y/N]" on err, and the answer. Without a terminal: no, and what says yes.
  bool all_the_same(const std::string& sentence);
  // One varlink call to aditd. What would end the caller's own session is done only after all_the_same(). The notes in
  // the answer ("notes": consequences the operator should know) are printed to err.
  Result<nlohmann::json> call(const std::string& method, const nlohmann::json& parameters);
  // A call that goes on answering until `each` says false or the daemon ends it.
  Result<> follow(const std::string& method, const nlohmann::json& parameters,
                  const std::function<bool(const nlohmann::json&)>& each);

  // Prints "self: context: text" to err and returns kFailed. Without context: "self: text".
  int failed(const std::string& context, const Error& error);
  int usage(const std::string& problem, const std::string& usage_text);  // returns kUsage
};

using Command = int (*)(Context&, std::span<const std::string>);

}  // namespace adit::cli
