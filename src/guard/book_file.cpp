#include "guard/book_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace adit::guard {
namespace {

constexpr std::string_view kHeader =
    "adit guard book 2: networks that may be reached only through their secured tunnels; written by aditd\n";
constexpr std::string_view kMagic = "adit guard book 2";
constexpr size_t kOldLinesKept = 256;
constexpr mode_t kMode = 0644;  // the guardian is another user; `adit guard` tells everybody the same

}  // namespace

uint64_t Lines::generation() const {
  uint64_t highest = 0;
  for (const auto& [network, line] : networks) highest = std::max(highest, line.generation);
  for (const auto& [name, line] : interfaces) highest = std::max(highest, line.generation);
  return highest;
}

void Lines::take(const Line& line) {
  const auto newer = [](const Line& there, const Line& comes) {
    if (comes.generation != there.generation) return comes.generation > there.generation;
    return comes.network ? comes.entry.has_value() : comes.inside;
  };
  if (line.network) {
    const auto [there, fresh] = networks.try_emplace(*line.network, line);
    if (!fresh && newer(there->second, line)) there->second = line;
  } else {
    const auto [there, fresh] = interfaces.try_emplace(line.interface, line);
    if (!fresh && newer(there->second, line)) there->second = line;
  }
}

Book Lines::book() const {
  Book book;
  for (const auto& [network, line] : networks)
    if (line.entry) book.put(network, line.entry);
  for (const auto& [name, line] : interfaces)
    if (line.inside) book.set_inside(name, true);
  book.generation = generation();
  return book;
}

Lines lines_of(const Book& book) {
  Lines lines;
  for (const auto& [network, entry] : book.networks())
    lines.networks[network] = {
        .network = network, .interface = {}, .generation = book.generation, .entry = entry, .because = {}};
  for (const auto& name : book.inside())
    lines.interfaces[name] = {
        .network = {}, .interface = name, .generation = book.generation, .entry = {}, .inside = true, .because = {}};
  return lines;
}

Result<std::optional<Lines>> BookFile::load() {
  there_ = false;
  lines_ = 0;
  TRY_ASSIGN(const auto text, read_file(path_));
  if (!text || text->empty()) return std::nullopt;
  std::string_view rest = *text;
  if (!rest.starts_with(kMagic)) return fail(EINVAL, "{}:1: this is no book of Adit's guard", path_);
  Lines lines;
  bool whole = true;
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    whole = end != rest.npos;
    const std::string_view one = rest.substr(0, end);
    rest.remove_prefix(whole ? end + 1 : rest.size());
    if (number == 1 || !whole) continue;
    const auto line = parse_line(one);
    if (!line) return fail(EINVAL, "{}:{}: {}", path_, number, line.error().text);
    lines.take(*line);
    ++lines_;
  }
  living_ = lines.networks.size() + lines.interfaces.size();
  know_file();
  there_ = whole;  // else the next append writes it anew
  return lines;
}

Lines BookFile::readable() const {
  Lines lines;
  const auto text = read_file(path_);
  if (!text || !*text) return lines;
  for (std::string_view rest = **text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (const auto line = parse_line(rest.substr(0, end))) lines.take(*line);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return lines;
}

Result<> BookFile::rewrite(const Book& whole) {
  std::string text(kHeader);
  const Lines lines = lines_of(whole);
  for (const auto& [network, line] : lines.networks) text += text_of(line);
  for (const auto& [name, line] : lines.interfaces) text += text_of(line);
  there_ = false;
  TRY(replace_file(path_, text, kMode, lasting_, point_));
  there_ = true;
  know_file();
  lines_ = living_ = lines.networks.size() + lines.interfaces.size();
  return {};
}

void BookFile::know_file() {
  struct stat now{};
  if (::stat(path_.c_str(), &now) != 0) now = {};
  size_ = now.st_size;
  inode_ = now.st_ino;
}

Result<> BookFile::append(const std::vector<Line>& lines, const std::function<const Book&()>& whole) {
  size_before_ = size_;
  lines_before_ = lines_;
  if (lines.empty()) return {};
  struct stat now{};
  // Somebody took it away, cut it, or put another in its place.
  if (::stat(path_.c_str(), &now) != 0 || now.st_size != size_ || now.st_ino != inode_) there_ = false;
  if (!there_ || lines_ + lines.size() > 2 * living_ + kOldLinesKept) {
    size_before_ = 0;
    return rewrite(whole());
  }
  std::string text;
  for (const Line& line : lines) text += text_of(line);
  TRY(add_text(text));
  lines_ += lines.size();
  return {};
}

void BookFile::take_back() {
  const off_t before = std::exchange(size_before_, 0);
  there_ = there_ && before > 0 && cut_file(path_, before, lasting_);
  if (!there_) return;
  size_ = before;
  lines_ = lines_before_;
}

Result<> BookFile::add_text(const std::string& text) {
  bool whole = true;
  const auto size = append_to_file({path_, kMode, false, lasting_, point_}, text, whole);
  if (!whole) there_ = false;  // the next change writes it anew
  if (!size) return std::unexpected(size.error());
  size_ = *size;
  return {};
}

}  // namespace adit::guard
