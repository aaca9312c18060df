#include "cli/command_table.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include <fmt/ostream.h>

#include "cli/frame/own_session.h"

namespace adit::cli {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void print_help(std::ostream& out) {
  out << "usage: adit COMMAND [ARG ...]\n\nIP tunnels whose protection is part of the tunnel. Commands:\n";
  for (const CommandEntry& entry : kCommands) fmt::print(out, "  {:<10} {}\n", entry.name, entry.summary);
  out << "\n'adit COMMAND --help' tells a command's forms; its manual page tells the rest: man adit-COMMAND or man "
         "COMMAND.\n"
         "-y, of every command: closes a network even where your own SSH session comes from it; without it you are "
         "asked.\n"
         "Environment: ADIT_ROOT (put in front of /etc/...), ADIT_RUNDIR (the daemon's sockets; default "
         "ROOT/run/adit).\n";
}

Context make_context(std::string self) {
  const std::string root = environment("ADIT_ROOT");
  const std::string run_dir = environment("ADIT_RUNDIR");
  return {.root = root,
          .run_dir = run_dir.empty() ? root + "/run/adit" : run_dir,
          .self = std::move(self),
          .in = std::cin,
          .out = std::cout,
          .err = std::cerr,
          .session = own_session_address(),
          .terminal = ::isatty(STDIN_FILENO) == 1};
}

// -y, of every command: what ends the caller's own session is wanted.
bool take_yes(std::vector<std::string>& words) {
  const auto end = std::ranges::find(words, "--");
  const auto found = std::find(words.begin(), end, "-y");
  if (found == end) return false;
  words.erase(found);
  return true;
}

// What aditd answers has the form that io.adit.* describes, unless it is another version's.
int run_safely(const CommandEntry& entry, Context& context, std::span<const std::string> arguments) {
  try {
    return entry.run(context, arguments);
  } catch (const nlohmann::json::exception& error) {
    return context.failed(
        "", {EPROTO,
             fmt::format("aditd's answer is not what this adit expects ({}); are they of one version?", error.what())});
  } catch (const std::bad_alloc&) {
    return context.failed("", {ENOMEM, "there is not enough memory"});
  }
}

}  // namespace

const CommandEntry* find_command(std::string_view name) {
  const auto found = std::ranges::find(kCommands, name, &CommandEntry::name);
  return found == std::end(kCommands) ? nullptr : found;
}

int run(int argc, char** argv) {
  std::vector<std::string> words(argv, argv + argc);
  std::string name = words.empty() ? "adit" : std::filesystem::path(words[0]).filename().string();
  size_t first_argument = 1;
  if (find_command(name) == nullptr) {
    if (words.size() < 2 || words[1] == "--help" || words[1] == "-h" || words[1] == "help") {
      print_help(words.size() < 2 ? std::cerr : std::cout);
      return words.size() < 2 ? kUsage : kOk;
    }
    if (words[1] == "--version") {
      std::cout << "adit " << ADIT_VERSION << '\n';
      return kOk;
    }
    name = words[1];
    first_argument = 2;
  }
  const CommandEntry* entry = find_command(name);
  if (entry == nullptr) {
    std::cerr << "adit: unknown command '" << name << "'; 'adit --help' lists the commands\n";
    return kUsage;
  }
  Context context = make_context(name);
  std::vector<std::string> arguments(words.begin() + static_cast<long>(first_argument), words.end());
  if (take_yes(arguments)) context.session.clear();
  const int status = run_safely(*entry, context, arguments);
  std::cout.flush();
  return std::cout.good() ? status : kFailed;
}

}  // namespace adit::cli
