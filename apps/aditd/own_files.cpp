#include "aditd/own_files.h"

#include <algorithm>
#include <filesystem>

namespace adit {
namespace {

constexpr const char* kFolders[] = {"/etc/adit", "/etc/dladm",    "/etc/ipadm",
                                    "/etc/svc",  "/var/lib/adit", "/var/svc/log"};
// Policy and keys are here too, and the operator's.
constexpr const char* kShared = "/etc/inet";
constexpr const char* kOursInShared = "/etc/inet/static_routes";

// Where people keep theirs.
constexpr std::string_view kUnread[] = {"/home", "/root", "/boot", "/lost+found"};

}  // namespace

platform::OwnFolders own_folders(const engine::Settings& settings) {
  platform::OwnFolders own;
  for (const char* folder : kFolders) own.folders.push_back(settings.root + folder);
  own.folders.push_back(settings.run_dir);
  own.shared = {settings.root + kShared};
  own.files = {settings.root + kOursInShared};
  own.foreign = {"aditd.conf", "adit-guard.pid"};
  return own;
}

platform::CageRules cage_rules(const engine::Settings& settings) {
  platform::CageRules rules{.calls = platform::CageRules::Calls::daemon};
  rules.own = own_folders(settings).all();
  rules.set = {"/proc/sys/net", "/dev/net/tun", "/dev/null"};
  // Policy and keys are wherever the links in /etc lead; resolvers and clocks read where their libraries please.
  if (!settings.root.empty()) rules.read.push_back(settings.root);
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/", ignored))
    if (std::ranges::find(kUnread, entry.path().native()) == std::end(kUnread)) rules.read.push_back(entry.path());
  return rules;
}

}  // namespace adit
