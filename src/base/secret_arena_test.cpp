#include "base/secret_arena.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "base/secret.h"

namespace adit {
namespace {

size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  return static_cast<size_t>(std::count(std::istreambuf_iterator<char>(maps), {}, '\n'));
}

// What the kernel says of the mapping that holds `at`: its flags (VmFlags of smaps).
std::string flags_at(const void* at) {
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  bool here = false;
  while (std::getline(smaps, line)) {
    uintptr_t from = 0, to = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2)
      here = reinterpret_cast<uintptr_t>(at) >= from && reinterpret_cast<uintptr_t>(at) < to;
    if (here && line.starts_with("VmFlags:")) return line;
  }
  return {};
}

// As a daemon in a container without CAP_IPC_LOCK.
void give_up_locking(rlim_t bytes) {
  const rlimit limit{bytes, bytes};
  if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0) _exit(3);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capset, &header, data) != 0) _exit(4);
}

TEST(SecretArena, AHundredThousandAssociationsFitIntoAFewMappings) {
  const size_t before = mappings();
  std::vector<Secret> keys;
  for (int i = 0; i < 300'000; ++i) {
    auto key = Secret::zeros(i % 3 == 0 ? 2000 : 32);  // key schedules, cipher key, MAC key
    ASSERT_TRUE(key) << i << ": " << key.error().text;
    key->bytes()[0] = static_cast<uint8_t>(i);
    keys.push_back(std::move(*key));
  }
  EXPECT_LT(mappings() - before, 1000u);
  for (int i = 0; i < 300'000; ++i) ASSERT_EQ(keys[static_cast<size_t>(i)].bytes()[0], static_cast<uint8_t>(i));
}

TEST(SecretArena, WhatComesBackIsWipedAndItsMemoryGoesToTheSystem) {
  SecretArena arena;
  std::vector<uint8_t*> all;
  for (int i = 0; i < 10'000; ++i) {
    auto at = arena.take(100);
    ASSERT_TRUE(at);
    std::memset(*at, 0xa5, 100);
    all.push_back(*at);
  }
  std::shuffle(all.begin(), all.end(), std::mt19937(7));
  for (size_t i = 1; i < all.size(); ++i) arena.give_back(all[i], 100);
  EXPECT_EQ(arena.use().secrets, 1u);
  EXPECT_LE(arena.use().slabs, 2u);
  const auto again = arena.take(100);
  ASSERT_TRUE(again);
  EXPECT_TRUE(std::all_of(*again, *again + 100, [](uint8_t byte) { return byte == 0; }));
  arena.give_back(*again, 100);
  arena.give_back(all[0], 100);
  EXPECT_EQ(arena.use().secrets, 0u);
}

TEST(SecretArena, PagesAreLockedAndKeptOutOfDumps) {
  const Secret key(std::vector<uint8_t>(32, 7));
  const std::string flags = flags_at(key.bytes().data());
  EXPECT_NE(flags.find(" lo"), std::string::npos) << flags;
  EXPECT_NE(flags.find(" dd"), std::string::npos) << flags;
}

TEST(SecretArenaDeathTest, AGuardPageEndsEachSlab) {
  SecretArena arena;
  const auto large = arena.take(8192);
  ASSERT_TRUE(large);
  volatile uint8_t* const at = *large;
  EXPECT_DEATH(at[8192] = 1, "");
  EXPECT_DEATH(at[-1] = 1, "");
}

// What the limit does not allow is refused; what is there stands, and what was given back can be had again.
TEST(SecretArenaDeathTest, TheLimitOfLockedMemoryRefuses) {
  const auto child = [] {
    give_up_locking(1u << 20);
    SecretArena arena;
    if (!arena.require_locked()) _exit(5);
    std::vector<uint8_t*> all;
    for (;;) {
      auto at = arena.take(1000);
      if (!at && (at.error().code != ENOMEM || at.error().text.find("locked") == std::string::npos)) _exit(6);
      if (!at) break;
      all.push_back(*at);
      if (all.size() > 2000) _exit(7);
    }
    if (all.size() < 700 || !arena.use().all_locked) _exit(8);
    arena.give_back(all.back(), 1000);
    if (!arena.take(1000)) _exit(9);
    _exit(0);
  };
  EXPECT_EXIT(child(), ::testing::ExitedWithCode(0), "");
}

// A command of a user works all the same.
TEST(SecretArenaDeathTest, WithoutTheRequirementKeysThatCannotBeLockedWork) {
  const auto child = [] {
    give_up_locking(0);
    SecretArena arena;
    const bool taken = arena.take(32).has_value(), refused = !arena.require_locked();
    _exit(taken && refused ? 0 : 1);
  };
  EXPECT_EXIT(child(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace adit
