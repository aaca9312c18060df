#include "config/policy_set.h"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "config/ipsecconf_memory.h"
#include "config/policy_file.h"
#include "tunnel/link.h"

namespace adit::config {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFolder = "/etc/inet";
constexpr const char* kMainFile = "/etc/inet/ipsecinit.conf";
constexpr const char* kDirectory = "/etc/inet/ipsecinit.d";
constexpr const char* kTunnelDirectory = "/etc/inet/ipsecinit.d/tunnels";
constexpr std::string_view kEnding = ".conf";

class SetReader {
 public:
  SetReader(const std::string& root, const crypto::AlgorithmTable& table, const Resolver& resolver)
      : root_(root), table_(table), resolver_(resolver) {}

  PolicySet read() && {
    if (is_trusted(root_ + kFolder)) read_main_file();
    for (const std::string& path : files_in(root_ + kDirectory)) read_file(path, {});
    for (const std::string& path : files_in(root_ + kTunnelDirectory)) read_tunnel_file(path);
    if (!set_.ok()) set_.entries.clear();
    number();
    return std::move(set_);
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

  void wrong(const std::string& path, std::string_view why) {
    set_.problems.push_back({.file = path, .text = std::string(why)});
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
    if (error) wrong(directory, error.message());
    std::ranges::sort(paths);
    return paths;
  }

  void read_tunnel_file(const std::string& path) {
    const std::string name = fs::path(path).stem();
    const auto valid = tunnel::check_name(name);
    if (valid) return read_file(path, name);
    set_.files.push_back(path);
    wrong(path, fmt::format("the file's name must be that of a tunnel: {}", valid.error().text));
  }

  void read_file(const std::string& path, const std::optional<std::string>& tunnel) {
    set_.files.push_back(path);
    const auto text = read_trusted_policy_file(path);
    if (!text) return wrong(path, text.error());
    PolicySource source{.file = path, .implied_tunnel = tunnel, .memory = &memory_};
    PolicyText policy = parse_policy(*text, source, table_, resolver_);
    std::ranges::move(policy.problems, std::back_inserter(set_.problems));
    std::ranges::move(policy.entries, std::back_inserter(set_.entries));
  }

  void number() {
    std::map<std::string, uint32_t> positions;
    for (PolicyEntry& entry : set_.entries) {
      const uint32_t position = positions[entry.head]++;
      for (spd::RuleSpec& spec : entry.specs) spec.priority = spd::priority_of(position, spec.actions);
    }
  }

  const std::string& root_;
  const crypto::AlgorithmTable& table_;
  const Resolver& resolver_;
  LoadMemory memory_;
  PolicySet set_;
};

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

PolicySet read_policy_set(const std::string& root, const crypto::AlgorithmTable& table, const Resolver& resolver) {
  return SetReader(root, table, resolver).read();
}

}  // namespace adit::config
