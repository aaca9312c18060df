// /etc/ipadm/ipadm.conf in the illumos line format: each line `name=value;name=value;…;`. Addresses own the lines that
// begin with _ifname or _aobjname, ProtocolProperties those with _protocol; a line that nobody here understands is kept
// as it is.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/store.h"

namespace adit::engine {

class IpadmConf {
 public:
  using Pair = std::pair<std::string, std::string>;
  struct Line {
    std::vector<Pair> pairs;  // in the file's order; empty: not understood
    std::string raw;          // kept when pairs is empty

    [[nodiscard]] std::optional<std::string> get(std::string_view name) const;
    [[nodiscard]] bool has(std::string_view name) const { return get(name).has_value(); }
  };

  static IpadmConf parse(std::string_view text);
  // No file: an empty configuration. Errors as base/store.h.
  static Result<IpadmConf> load(const std::string& path);
  [[nodiscard]] Result<> save(const std::string& path, Lasting lasting) const;
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::vector<std::string> text_lines() const;

  [[nodiscard]] const std::vector<Line>& lines() const { return lines_; }
  void add(std::vector<Pair> pairs) { lines_.push_back({std::move(pairs), {}}); }
  void remove_if(const std::function<bool(const Line&)>& unwanted) { std::erase_if(lines_, unwanted); }

 private:
  std::vector<Line> lines_;
};

inline constexpr const char* kIpadmConfPath = "/etc/ipadm/ipadm.conf";

}  // namespace adit::engine
