#include "config/ipsecconf/policy_set.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "config/ipsecconf/memory.h"
#include "config/ipsecconf/policy_file.h"
#include "tunnel/link.h"

namespace adit::config {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFolder = "/etc/inet";
constexpr const char* kMainFile = "/etc/inet/ipsecinit.conf";
constexpr const char* kDirectory = "/etc/inet/ipsecinit.d";
constexpr const char* kTunnelDirectory = "/etc/inet/ipsecinit.d/tunnels";
constexpr std::string_view kEnding = ".conf";

class FilesReader {
 public:
  explicit FilesReader(const std::string& root) : root_(root) {}

  PolicyFiles read() && {
    if (is_trusted(root_ + kFolder)) read_main_file();
    for (const std::string& path : files_in(root_ + kDirectory)) read_file(path, {});
    for (const std::string& path : files_in(root_ + kTunnelDirectory)) read_tunnel_file(path);
    return std::move(files_);
  }

 private:
  void read_main_file() {
    std::error_code error;
    // A link that leads nowhere is there: status of the link itself.
    const auto status = fs::symlink_status(root_ + kMainFile, error);
    if (status.type() == fs::file_type::none)
      wrong(root_ + kMainFile, error.message());
    else if (fs::exists(status))
      read_file(root_ + kMainFile, {});
  }

  // In its place among the files, so that problems are told in their order.
  void wrong(const std::string& path, std::string_view why) {
    files_.push_back({.path = path, .problem = std::string(why)});
  }
  // The errors of files begin with the path, which a Problem has apart.
  void wrong(const std::string& path, const Error& error) {
    const std::string head = path + ": ";
    wrong(path, error.text.starts_with(head) ? error.text.substr(head.size()) : error.text);
  }

  // False: it is not there, or an error.
  bool is_trusted(const std::string& directory) {
    std::error_code error;
    if (fs::symlink_status(directory, error).type() == fs::file_type::not_found) return false;
    const auto trusted = check_policy_directory(directory);
    if (!trusted) wrong(directory, trusted.error());
    if (!trusted) files_.back().is_file = false;
    return trusted.has_value();
  }

  // *.conf in byte order. A directory that is not there holds none.
  std::vector<std::string> files_in(const std::string& directory) {
    if (!is_trusted(directory)) return {};
    std::error_code error;
    std::vector<std::string> paths;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
      const std::string name = entry->path().filename();
      if (name.ends_with(kEnding) && !name.starts_with('.')) paths.push_back(entry->path());
    }
    if (error) {
      wrong(directory, error.message());
      files_.back().is_file = false;
    }
    std::ranges::sort(paths);
    return paths;
  }

  void read_tunnel_file(const std::string& path) {
    const std::string name = fs::path(path).stem();
    const auto valid = tunnel::check_name(name);
    if (valid) return read_file(path, name);
    wrong(path, fmt::format("the file's name must be that of a tunnel: {}", valid.error().text));
  }

  void read_file(const std::string& path, const std::optional<std::string>& tunnel) {
    auto text = read_trusted_policy_file(path);
    if (!text) return wrong(path, text.error());
    files_.push_back({.path = path, .tunnel = tunnel, .text = std::move(*text)});
  }

  const std::string& root_;
  PolicyFiles files_;
};

// Positions count in each head by itself.
void number(PolicySet& set) {
  std::map<std::string, uint32_t> positions;
  for (PolicyEntry& entry : set.entries) {
    const uint32_t position = positions[entry.head]++;
    for (spd::RuleSpec& spec : entry.specs) spec.priority = spd::priority_of(position, spec.actions);
  }
}

}  // namespace

std::map<std::string, std::vector<spd::Rule>> PolicySet::rules() const {
  std::map<std::string, std::vector<spd::Rule>> heads;
  for (const PolicyEntry& entry : entries)
    for (const spd::RuleSpec& spec : entry.specs)
      std::ranges::move(spd::expand(spec), std::back_inserter(heads[entry.head]));
  return heads;
}

std::string PolicySet::errors() const {
  std::string text;
  size_t told = 0;
  for (const Problem& problem : problems) {
    if (problem.severity != Severity::error || ++told > kMaxTold) continue;
    text += (text.empty() ? "" : "\n") + problem.str();
  }
  return told <= kMaxTold ? text : text + fmt::format("\nand {} errors more", told - kMaxTold);
}

PolicyFiles read_policy_files(const std::string& root) {
  return FilesReader(root).read();
}

PolicySet parse_policy_files(const PolicyFiles& files, const crypto::AlgorithmTable& table, const Resolver& resolver) {
  LoadMemory memory;
  PolicySet set;
  for (const PolicyFile& file : files) {
    if (file.is_file) set.files.push_back(file.path);
    if (!file.problem.empty()) {
      set.problems.push_back({.file = file.path, .text = file.problem});
      continue;
    }
    const PolicySource source{.file = file.path, .implied_tunnel = file.tunnel, .memory = &memory};
    PolicyText policy = parse_policy(file.text, source, table, resolver);
    std::ranges::move(policy.problems, std::back_inserter(set.problems));
    std::ranges::move(policy.entries, std::back_inserter(set.entries));
  }
  if (!set.ok()) set.entries.clear();
  number(set);
  return set;
}

PolicySet read_policy_set(const std::string& root, const crypto::AlgorithmTable& table, const Resolver& resolver) {
  return parse_policy_files(read_policy_files(root), table, resolver);
}

}  // namespace adit::config
