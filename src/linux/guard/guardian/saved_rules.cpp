#include <glob.h>

#include <algorithm>
#include <fstream>
#include <regex>

#include "linux/guard/guardian/guardian.h"

namespace adit::platform {
namespace {

constexpr size_t kMostBytes = 4 << 20;
constexpr size_t kMostFiles = 64;

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  for (int letter; text.size() < kMostBytes && (letter = file.get()) != EOF;) text += static_cast<char>(letter);
  return text;
}

std::vector<std::string> included(const std::string& path, const std::string& text) {
  std::vector<std::string> files;
  static const std::regex kInclude("(^|[\\n;])[ \\t]*include[ \\t]+[\"']([^\"'\\n]{1,4096})[\"']");
  for (std::sregex_iterator at(text.begin(), text.end(), kInclude), end; at != end; ++at) {
    std::string pattern = (*at)[2];
    if (!pattern.starts_with('/')) pattern.insert(0, path, 0, path.rfind('/') + 1);
    glob_t found{};
    if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
      for (size_t i = 0; i < found.gl_pathc && files.size() < kMostFiles; ++i) files.emplace_back(found.gl_pathv[i]);
    globfree(&found);
  }
  return files;
}

bool names_guard(const std::string& text) {
  static const std::regex kTable(
      "(^|[\\n;])[ \\t]*(add[ \\t]+|create[ \\t]+)?table[ \\t]+inet[ \\t]+adit-(guard|own)[ \\t\\n{]");
  return std::regex_search(text, kTable);
}

}  // namespace

std::vector<std::string> saved_rules_with_guard(const std::string& path) {
  const std::string text = text_of(path);
  std::vector<std::string> files = included(path, text), told;
  files.insert(files.begin(), path);
  for (const auto& file : files)
    if (names_guard(file == path ? text : text_of(file)))
      told.push_back(
          fmt::format("{} holds the guard's own tables (from `nft list ruleset`?): it will not load while the "
                      "guardian runs, and the host would be without its firewall; take out the tables adit-guard "
                      "and adit-own",
                      file));
  return told;
}

}  // namespace adit::platform
