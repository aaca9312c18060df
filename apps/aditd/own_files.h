// What aditd writes, and what it may read: its folders, made its user's at start, and the rules of its cage.
#pragma once

#include "control/types.h"
#include "linux/process/cage.h"
#include "linux/process/own_folders.h"

namespace adit {

platform::OwnFolders own_folders(const engine::Settings& settings);
platform::CageRules cage_rules(const engine::Settings& settings);

}  // namespace adit
