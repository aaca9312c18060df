#include "host/files/ipadm_conf.h"

#include <algorithm>

namespace adit::engine {
namespace {

// nullopt: not of the form name=value;…;
std::optional<std::vector<IpadmConf::Pair>> pairs_of(std::string_view line) {
  std::vector<IpadmConf::Pair> pairs;
  while (!line.empty()) {
    const size_t end = line.find(';');
    if (end == line.npos) return std::nullopt;
    const std::string_view pair = line.substr(0, end);
    const size_t equals = pair.find('=');
    if (equals == pair.npos || equals == 0) return std::nullopt;
    pairs.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
    line.remove_prefix(end + 1);
  }
  return pairs;
}

}  // namespace

std::optional<std::string> IpadmConf::Line::get(std::string_view name) const {
  const auto found = std::ranges::find(pairs, name, &Pair::first);
  return found == pairs.end() ? std::nullopt : std::optional(found->second);
}

IpadmConf IpadmConf::parse(std::string_view text) {
  IpadmConf conf;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    auto pairs = line.front() == '#' ? std::nullopt : pairs_of(line);
    conf.lines_.push_back(pairs ? Line{std::move(*pairs), {}} : Line{{}, std::string(line)});
  }
  return conf;
}

Result<IpadmConf> IpadmConf::load(const std::string& path) {
  TRY_ASSIGN(const auto text, read_file(path));
  return parse(text.value_or(""));
}

std::vector<std::string> IpadmConf::text_lines() const {
  std::vector<std::string> lines;
  for (const Line& line : lines_) {
    std::string& text = lines.emplace_back(line.raw);
    for (const auto& [name, value] : line.pairs) text += name + "=" + value + ";";
  }
  return lines;
}

std::string IpadmConf::text() const {
  std::string result;
  for (const std::string& line : text_lines()) result += line + "\n";
  return result;
}

Result<> IpadmConf::save(const std::string& path, Lasting lasting) const {
  return replace_file(path, text(), 0644, lasting, "ipadm.conf");
}

}  // namespace adit::engine
