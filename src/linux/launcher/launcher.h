// A second process of aditd, split off before aditd gives up its rights: does the three things that aditd then cannot.
// It hears nothing but a number of aditd's, reads no file, and ends when aditd does.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "linux/nft/nft_program.h"
#include "linux/process/descriptor.h"
#include "linux/process/privileges.h"

namespace adit::platform {

struct LauncherSettings {
  std::vector<std::string> guardian;  // the program's path and words
  std::optional<User> nft_user;       // runs nft, with CAP_NET_ADMIN; nullopt: the launcher's own
};

// The calls wait for its answer: for nft a few milliseconds. One thread. EPIPE: it is gone.
class Launcher {
 public:
  // Forks: call before threads are started, with every right that what it starts needs.
  static Result<std::shared_ptr<Launcher>> start(const LauncherSettings& settings);
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;
  ~Launcher() = default;

  [[nodiscard]] Result<> start_guardian() const;
  // /dev/net/tun, which may be root's alone.
  [[nodiscard]] Result<Descriptor> open_tun() const;
  // EINVAL: none of the three ways in which aditd runs it.
  [[nodiscard]] Result<NftEnd> run_nft(const std::vector<std::string>& arguments, const NftFiles& files) const;
  [[nodiscard]] bool lives() const;

 private:
  explicit Launcher(Descriptor socket) : socket_(std::move(socket)) {}
  Descriptor socket_;
};

}  // namespace adit::platform
