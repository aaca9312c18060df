// What aditd writes, and what it may read: its folders, made its user's at start, and the rules of its cage.
#pragma once

#include "engine/types.h"
#include "linux/cage.h"
#include "linux/own_folders.h"

namespace adit {

platform::OwnFolders own_folders(const engine::Settings& settings);
platform::CageRules cage_rules(const engine::Settings& settings);

}  // namespace adit
