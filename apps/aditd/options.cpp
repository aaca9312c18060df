#include "options.h"

#include <charconv>
#include <cstdlib>
#include <sstream>

#include "base/store.h"

namespace adit {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<> set_workers(engine::Settings& settings, const std::string& value) {
  uint32_t count = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), count);
  if (error != std::errc{} || end != value.data() + value.size() || count > 64)
    return fail(EINVAL, "workers must be 0 (one a core) to 64, not '{}'", value);
  settings.workers = count;
  return {};
}

Result<> set_crypto(engine::Settings& settings, const std::string& value) {
  if (value == "best")
    settings.crypto = crypto::EngineKind::best;
  else if (value == "ipsec-mb")
    settings.crypto = crypto::EngineKind::ipsec_mb;
  else if (value == "openssl")
    settings.crypto = crypto::EngineKind::openssl;
  else
    return fail(EINVAL, "crypto must be best, ipsec-mb or openssl, not '{}'", value);
  return {};
}

Result<> set_require_security(engine::Settings& settings, const std::string& value) {
  if (value != "yes" && value != "no") return fail(EINVAL, "require_security must be yes or no, not '{}'", value);
  settings.require_security = value == "yes";
  return {};
}

Result<> set_named(engine::Settings& settings, const std::string& name, const std::string& value) {
  if (name == "workers") return set_workers(settings, value);
  if (name == "crypto") return set_crypto(settings, value);
  if (name == "require_security") return set_require_security(settings, value);
  return fail(EINVAL, "unknown setting '{}'; there are workers, crypto and require_security", name);
}

Result<> read_configuration(engine::Settings& settings) {
  const std::string path = settings.root + "/etc/adit/aditd.conf";
  TRY_ASSIGN(const auto text, read_file(path));
  if (!text) return {};
  std::istringstream lines(*text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    line.erase(0, std::min(line.find_first_not_of(" \t"), line.size()));
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (line.empty() || line.front() == '#') continue;
    const size_t equals = line.find('=');
    if (equals == line.npos) return fail(EINVAL, "{}:{}: '{}' is not NAME=VALUE", path, number, line);
    if (auto set = set_named(settings, line.substr(0, equals), line.substr(equals + 1)); !set)
      return fail(EINVAL, "{}:{}: {}", path, number, set.error().text);
  }
  return {};
}

// "--workers=4" or "--workers 4".
std::optional<std::string> value_of(std::span<const char* const> words, size_t& at, const std::string& name) {
  const std::string word = words[at];
  if (word.starts_with(name + "=")) return word.substr(name.size() + 1);
  if (word != name || at + 1 >= words.size()) return std::nullopt;
  return words[++at];
}

Result<> read_word(Options& options, std::span<const char* const> words, size_t& at) {
  const std::string word = words[at];
  if (word == "--help" || word == "-h")
    options.help = true;
  else if (word == "--version")
    options.version = true;
  else if (word == "--require-security")
    options.settings.require_security = true;
  else if (word == "--foreground" || word == "-f")
    return {};
  else if (word == "-R" || word.starts_with("--root"))
    return value_of(words, at, word == "-R" ? "-R" : "--root") ? Result<>{} : fail(EINVAL, "-R needs a directory");
  else if (const auto workers = value_of(words, at, "--workers"))
    return set_workers(options.settings, *workers);
  else if (const auto crypto = value_of(words, at, "--crypto"))
    return set_crypto(options.settings, *crypto);
  else
    return fail(EINVAL, "unknown or incomplete option '{}'", word);
  return {};
}

}  // namespace

Result<Options> read_options(std::span<const char* const> words) {
  Options options;
  options.settings.root = environment("ADIT_ROOT");
  for (size_t at = 0; at < words.size(); ++at) {
    const std::string word = words[at];
    if (word != "-R" && !word.starts_with("--root")) continue;
    const auto root = value_of(words, at, word == "-R" ? "-R" : "--root");
    if (!root) return fail(EINVAL, "-R needs a directory");
    options.settings.root = *root;
  }
  while (options.settings.root.ends_with('/')) options.settings.root.pop_back();
  const std::string run_dir = environment("ADIT_RUNDIR");
  options.settings.run_dir = run_dir.empty() ? options.settings.root + "/run/adit" : run_dir;
  TRY(read_configuration(options.settings));
  for (size_t at = 0; at < words.size(); ++at) TRY(read_word(options, words, at));
  return options;
}

}  // namespace adit
