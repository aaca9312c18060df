#include "guard/book/book_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>

namespace adit::guard {
namespace {

constexpr std::string_view kHeader =
    "adit guard book 2: networks that may be reached only through their secured tunnels; written by aditd\n";
constexpr std::string_view kMagic = "adit guard book 2";
constexpr size_t kOldLinesKept = 256;
constexpr mode_t kMode = 0644;  // the guardian is another user; `adit guard` tells everybody the same

// The newest of several words about one thing; of equal age the one that closes.
template <typename T>
struct Newest {
  std::optional<T> value;
  uint64_t generation = 0;
  void hear(uint64_t when, std::optional<T> word) {
    if (when < generation || (when == generation && (value || !word))) return;
    value = std::move(word);
    generation = when;
  }
};

std::optional<Entry> together(const Newest<Entry>& lasting, const Newest<Entry>& temporary) {
  if (!lasting.value || !temporary.value) return lasting.value ? lasting.value : temporary.value;
  Entry entry = *lasting.value;
  for (const auto& [key, holder] : temporary.value->holders) {
    const auto [there, fresh] = entry.holders.try_emplace(key, holder);
    if (!fresh) there->second.sources.insert(holder.sources.begin(), holder.sources.end());
  }
  if (temporary.generation > lasting.generation) entry.except = temporary.value->except;
  return entry;
}

std::optional<Entry> entry_of(const std::vector<Lines>& files, const net::Prefix& network) {
  Newest<Entry> lasting, temporary;
  for (const Lines& file : files) {
    const auto found = file.networks.find(network);
    const bool named = found != file.networks.end();
    const uint64_t when = named ? found->second.generation : file.whole;
    const Entry* entry = named && found->second.entry ? &*found->second.entry : nullptr;
    lasting.hear(when, entry == nullptr ? std::nullopt : entry->lasting());
    if (file.temporary) temporary.hear(when, entry == nullptr ? std::nullopt : entry->temporary());
  }
  return together(lasting, temporary);
}

bool is_inside(const std::vector<Lines>& files, const std::string& interface) {
  uint64_t newest = 0;
  bool inside = false;
  for (const Lines& file : files) {
    const auto found = file.interfaces.find(interface);
    const bool named = found != file.interfaces.end();
    const uint64_t when = named ? found->second.generation : file.whole;
    if (when < newest) continue;
    inside = named && found->second.inside && (when > newest || inside);
    newest = when;
  }
  return inside;
}

}  // namespace

uint64_t Lines::generation() const {
  uint64_t highest = whole;
  for (const auto& [network, line] : networks) highest = std::max(highest, line.generation);
  for (const auto& [name, line] : interfaces) highest = std::max(highest, line.generation);
  return highest;
}

void Lines::take(const Line& line) {
  if (!line.network && line.interface.empty()) {
    whole = std::max(whole, line.generation);
    return;
  }
  const auto newer = [](const Line& there, const Line& comes) {
    if (comes.generation != there.generation) return comes.generation > there.generation;
    return comes.network ? comes.entry.has_value() : !comes.inside;
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
  return book_of({*this});
}

Book book_of(const std::vector<Lines>& files) {
  std::set<net::Prefix> networks;
  std::set<std::string> interfaces;
  Book book;
  for (const Lines& file : files) {
    for (const auto& [network, line] : file.networks) networks.insert(networks.end(), network);
    for (const auto& [name, line] : file.interfaces) interfaces.insert(name);
    book.generation = std::max(book.generation, file.generation());
  }
  for (const auto& network : networks) book.put(network, entry_of(files, network));
  for (const auto& name : interfaces) book.set_inside(name, is_inside(files, name));
  return book;
}

Result<std::optional<Lines>> BookFile::load() {
  there_ = false;
  lines_ = 0;
  TRY_ASSIGN(const auto text, read_file(path_));
  if (!text || text->empty()) return std::nullopt;
  std::string_view rest = *text;
  if (!rest.starts_with(kMagic)) return fail(EINVAL, "{}:1: this is not a book of Adit's guard", path_);
  Lines lines;
  lines.temporary = lasting_ == Lasting::boot;
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
  lines.temporary = lasting_ == Lasting::boot;
  const auto text = read_file(path_);
  if (!text || !*text) return lines;
  for (std::string_view rest = **text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (const auto line = parse_line(rest.substr(0, end))) lines.take(*line);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  lines.whole = 0;
  return lines;
}

// That it is whole is its last line: a cut takes that first.
Result<> BookFile::rewrite(const Book& book) {
  std::string text(kHeader);
  size_t count = 0;
  const auto add = [&](Line line) {
    line.generation = book.generation;
    text += text_of(line);
    ++count;
  };
  for (const auto& [network, entry] : book.networks()) {
    const auto told = lasting_ == Lasting::boot ? std::optional(entry) : entry.lasting();
    if (told) add({.network = network, .interface = {}, .entry = told, .because = {}});
  }
  for (const auto& name : book.inside())
    add({.network = {}, .interface = name, .entry = {}, .inside = true, .because = {}});
  add({});
  there_ = false;
  TRY(replace_file(path_, text, kMode, lasting_, point_));
  there_ = true;
  know_file();
  lines_ = living_ = count;
  return {};
}

void BookFile::know_file() {
  struct stat now{};
  if (::stat(path_.c_str(), &now) != 0) now = {};
  size_ = now.st_size;
  inode_ = now.st_ino;
}

Result<> BookFile::append(const std::vector<Line>& lines, const std::function<const Book&()>& before) {
  last_bytes_ = last_lines_ = 0;
  if (lines.empty()) return {};
  struct stat now{};
  // Somebody took it away, cut it, or put another in its place.
  if (::stat(path_.c_str(), &now) != 0 || now.st_size != size_ || now.st_ino != inode_) there_ = false;
  if (!there_ || lines_ + lines.size() > 2 * living_ + kOldLinesKept) TRY(rewrite(before()));
  std::string text;
  for (const Line& line : lines) text += text_of(line);
  TRY(add_text(text));
  last_bytes_ = text.size();
  last_lines_ = lines.size();
  lines_ += lines.size();
  return {};
}

void BookFile::take_back() {
  if (last_bytes_ == 0) return;
  const off_t before = size_ - static_cast<off_t>(std::exchange(last_bytes_, 0));
  lines_ -= std::exchange(last_lines_, 0);
  there_ = there_ && cut_file(path_, before, lasting_);
  if (!there_) return;
  size_ = before;
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
