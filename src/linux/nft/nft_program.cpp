#include "linux/nft/nft_program.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <array>
#include <cstring>

#include "linux/process/descriptor.h"

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

struct Invocation {
  explicit Invocation(const std::vector<std::string>& arguments) {
    for (const auto& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
  }
  std::vector<char*> words{const_cast<char*>("nft")};
  std::array<char*, 3> environment = {const_cast<char*>("PATH=/usr/sbin:/usr/bin:/sbin:/bin"),
                                      const_cast<char*>("LC_ALL=C"), nullptr};
};

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

bool has_nft() {
  return find_nft() != nullptr;
}

std::unexpected<Error> no_nft() {
  return fail(ENOENT, "the nft program is not installed; install the package nftables");
}

void exec_nft(const std::vector<std::string>& arguments, const NftFiles& files) {
  const char* program = find_nft();
  Invocation invocation(arguments);
  // Above the three first: none is overwritten before it has its place.
  const int in = fcntl(files.in, F_DUPFD, 3), out = fcntl(files.out, F_DUPFD, 3),
            errors = fcntl(files.errors, F_DUPFD, 3);
  if (program == nullptr || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
      dup2(errors, STDERR_FILENO) < 0)
    return;
  for (const int one : {in, out, errors}) close(one);
  execve(program, invocation.words.data(), invocation.environment.data());
}

Result<NftEnd> spawn_nft(const std::vector<std::string>& arguments, const NftFiles& files) {
  const char* program = find_nft();
  if (program == nullptr) return no_nft();
  Invocation invocation(arguments);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, files.in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, files.out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, files.errors, STDERR_FILENO);
  NftEnd end;
  const int code =
      posix_spawn(&end.process, program, &actions, nullptr, invocation.words.data(), invocation.environment.data());
  posix_spawn_file_actions_destroy(&actions);
  if (code != 0) return fail(code, "cannot run {}: {}", program, std::strerror(code));
  pid_t ended;
  do ended = waitpid(end.process, &end.status, 0);
  while (ended < 0 && errno == EINTR);
  if (ended < 0) return fail(errno, "nft's end was not seen: {}", std::strerror(errno));
  return end;
}

Result<NftAnswer> run_nft(const std::vector<std::string>& arguments, const std::string& input, const NftRunner& run) {
  TRY_ASSIGN(const Descriptor in, memory_file(input));
  TRY_ASSIGN(const Descriptor out, memory_file({}));
  TRY_ASSIGN(const Descriptor errors, memory_file({}));
  TRY_ASSIGN(const NftEnd end, run(arguments, {in.get(), out.get(), errors.get()}));
  if (WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0) return NftAnswer{content_of(out), end.process};
  const std::string words = content_of(errors);
  return fail(code_of(words), "nft refuses: {}", first_line(words));
}

}  // namespace adit::platform
