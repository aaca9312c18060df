#include "cli/frame/options.h"

#include <algorithm>

namespace adit::cli {

std::optional<std::string> Options::value(char letter) const {
  const auto found = values_.find(letter);
  if (found == values_.end()) return std::nullopt;
  return found->second.back();
}

std::vector<std::string> Options::all(char letter) const {
  const auto found = values_.find(letter);
  return found == values_.end() ? std::vector<std::string>{} : found->second;
}

Result<Options> Options::parse(std::span<const std::string> args, std::span<const Option> known) {
  Options options;
  for (size_t at = 0; at < args.size(); ++at) {
    const std::string& word = args[at];
    if (word == "--") {
      options.operands_.insert(options.operands_.end(), args.begin() + static_cast<long>(at) + 1, args.end());
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      options.operands_.push_back(word);
      continue;
    }
    if (word.starts_with("--")) {
      const size_t equals = std::min(word.find('='), word.size());
      const std::string_view name = std::string_view(word).substr(2, equals - 2);
      const auto found = std::ranges::find(known, name, &Option::long_name);
      if (found == known.end()) return fail(EINVAL, "unrecognized option '--{}'", name);
      std::string value;
      if (found->takes_value && equals < word.size())
        value = word.substr(equals + 1);
      else if (found->takes_value && ++at < args.size())
        value = args[at];
      else if (found->takes_value || equals < word.size())
        return fail(EINVAL, "option '--{}' {}", name, found->takes_value ? "requires a value" : "takes no value");
      options.values_[found->letter].push_back(value);
      continue;
    }
    for (size_t i = 1; i < word.size(); ++i) {
      const auto found = std::ranges::find(known, word[i], &Option::letter);
      if (found == known.end()) return fail(EINVAL, "unrecognized option '-{}'", word[i]);
      if (!found->takes_value) {
        options.values_[found->letter].emplace_back();
        continue;
      }
      if (i + 1 == word.size() && ++at >= args.size()) return fail(EINVAL, "option '-{}' requires a value", word[i]);
      options.values_[found->letter].push_back(i + 1 < word.size() ? word.substr(i + 1) : args[at]);
      break;
    }
  }
  return options;
}

}  // namespace adit::cli
