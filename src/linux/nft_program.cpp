#include "linux/nft_program.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <array>
#include <cstring>

#include "linux/descriptor.h"

namespace adit::platform {
namespace {

constexpr std::array kPlaces = {"/usr/sbin/nft", "/sbin/nft", "/usr/local/sbin/nft", "/usr/bin/nft"};

const char* find_nft() {
  for (const char* place : kPlaces)
    if (access(place, X_OK) == 0) return place;
  return nullptr;
}

// Memory files instead of pipes: neither side ever waits for the other.
Result<Descriptor> memory_file(const std::string& content) {
  Descriptor file(memfd_create("adit-nft", MFD_CLOEXEC));
  if (!file.valid()) return fail(errno, "cannot run nft: {}", std::strerror(errno));
  for (size_t done = 0; done < content.size();) {
    const ssize_t wrote = write(file.get(), content.data() + done, content.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return fail(errno, "cannot run nft: {}", std::strerror(errno));
    done += static_cast<size_t>(wrote);
  }
  lseek(file.get(), 0, SEEK_SET);
  return file;
}

std::string content_of(const Descriptor& file) {
  std::string text;
  std::array<char, 16384> piece;
  lseek(file.get(), 0, SEEK_SET);
  for (ssize_t got; (got = read(file.get(), piece.data(), piece.size())) > 0;)
    text.append(piece.data(), static_cast<size_t>(got));
  return text;
}

Result<pid_t> start(const char* program, const std::vector<std::string>& arguments, const Descriptor& in,
                    const Descriptor& out, const Descriptor& errors) {
  std::vector<char*> argv{const_cast<char*>("nft")};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::array<char*, 3> environment = {const_cast<char*>("PATH=/usr/sbin:/usr/bin:/sbin:/bin"),
                                      const_cast<char*>("LC_ALL=C"), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.get(), STDERR_FILENO);
  pid_t process = 0;
  const int code = posix_spawn(&process, program, &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (code != 0) return fail(code, "cannot run {}: {}", program, std::strerror(code));
  return process;
}

int code_of(const std::string& words) {
  if (words.find("Operation not permitted") != std::string::npos) return EPERM;
  if (words.find("No such file or directory") != std::string::npos) return ENOENT;
  return EINVAL;
}

std::string first_line(const std::string& words) {
  const auto end = words.find('\n');
  return words.empty() ? "it says nothing" : words.substr(0, end);
}

}  // namespace

Result<NftAnswer> run_nft(const std::vector<std::string>& arguments, const std::string& input) {
  const char* program = find_nft();
  if (program == nullptr) return fail(ENOENT, "the nft program is not installed; install the package nftables");
  TRY_ASSIGN(const Descriptor in, memory_file(input));
  TRY_ASSIGN(const Descriptor out, memory_file({}));
  TRY_ASSIGN(const Descriptor errors, memory_file({}));
  TRY_ASSIGN(const pid_t process, start(program, arguments, in, out, errors));
  int status = 0;
  pid_t ended;
  do ended = waitpid(process, &status, 0);
  while (ended < 0 && errno == EINTR);
  if (ended < 0) return fail(errno, "nft's end was not seen: {}", std::strerror(errno));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return NftAnswer{content_of(out), process};
  const std::string words = content_of(errors);
  return fail(code_of(words), "nft refuses: {}", first_line(words));
}

}  // namespace adit::platform
