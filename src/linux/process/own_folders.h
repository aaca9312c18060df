// The folders that a daemon writes, made its user's before it gives up the right to: also those of an installation in
// which the daemons were root.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "linux/process/privileges.h"

namespace adit::platform {

struct OwnFolders {
  // Made where they are not there. Root's, of the user's group, which may write; the files in them the user's, but for
  // those of `foreign`.
  std::vector<std::string> folders;
  // The same where the operator has files too, which stay his: with the sticky bit nobody replaces another's file.
  std::vector<std::string> shared;
  std::vector<std::string> files;    // of ours, in shared folders
  std::vector<std::string> foreign;  // names in `folders`

  [[nodiscard]] std::vector<std::string> all() const;  // folders, of both kinds
};

// `user`: nullopt: root, which takes back what was a user's. A sentence for each thing that did not succeed.
std::vector<std::string> take_over(const OwnFolders& own, const std::optional<User>& user);

// The folders alone, not what is in them.
std::vector<std::string> share_folders(const std::vector<std::string>& folders, const std::optional<User>& user);

// A plain file of root's in such a folder, that root alone could read.
void let_all_read(const std::string& path);

}  // namespace adit::platform
