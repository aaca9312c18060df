#include "guard/book/book.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/line_checksum.h"
#include "base/text.h"

namespace adit::guard {
namespace {

constexpr std::array<std::pair<Source, std::string_view>, 7> kNames{{{Source::address, "address"},
                                                                     {Source::route, "route"},
                                                                     {Source::policy, "policy"},
                                                                     {Source::rule_gone, "rule-gone"},
                                                                     {Source::seen, "seen"},
                                                                     {Source::kept, "kept"},
                                                                     {Source::closed, "closed"}}};
constexpr size_t kMostHolds = 4096, kMostExcept = 4096;  // of one line: a file that others wrote costs no more

std::optional<Source> source_named(std::string_view name) {
  for (const auto& [source, text] : kNames) {
    if (text == name) return source;
  }
  return std::nullopt;
}

// Names may hold anything; a line may not.
bool plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '.' || c == ':' || c == '/' || c == '@';
}

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (plain(c))
      result += c;
    else
      result += fmt::format("%{:02x}", static_cast<uint8_t>(c));
  }
  return result;
}

Result<std::string> unescaped(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      if (!plain(text[i])) return fail(EINVAL, "'{}' has a character that is never written so", text);
      result += text[i];
      continue;
    }
    uint8_t byte = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2)
      return fail(EINVAL, "'{}' ends in half a character", text);
    result += static_cast<char>(byte);
    i += 2;
  }
  return result;
}

Result<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    return fail(EINVAL, "'{}' is not a number", text);
  return value;
}

std::string text_of(const Entry::Key& key, const Entry::Holder& holder) {
  std::string sources;
  for (const Source source : holder.sources)
    sources += fmt::format("{}{}", sources.empty() ? "" : "+", name_of(source));
  return fmt::format(" hold={};{};{};{}", escaped(key.tunnel), escaped(key.owner),
                     holder.temporary ? "temporary" : "lasting", sources);
}

Result<> parse_hold(std::string_view text, Entry& entry) {
  const auto parts = split(text, ';');
  if (parts.size() != 4) return fail(EINVAL, "'{}' is not tunnel;owner;lasting;reasons", text);
  Entry::Key key;
  TRY_ASSIGN(key.tunnel, unescaped(parts[0]));
  TRY_ASSIGN(key.owner, unescaped(parts[1]));
  Entry::Holder holder{{}, parts[2] == "temporary"};
  if (parts[2] != "lasting" && parts[2] != "temporary")
    return fail(EINVAL, "'{}' is neither lasting nor temporary", parts[2]);
  for (const auto name : split(parts[3], '+')) {
    const auto source = source_named(name);
    if (!source) return fail(EINVAL, "'{}' is not a valid reason to close a network", name);
    holder.sources.insert(*source);
  }
  if (entry.holders.size() >= kMostHolds) return fail(EINVAL, "more than {} holds", kMostHolds);
  entry.holders[std::move(key)] = std::move(holder);
  return {};
}

Result<> parse_except(std::string_view text, Entry& entry) {
  for (const auto part : split(text, ',')) {
    TRY_ASSIGN(const net::Prefix hole, net::Prefix::parse(part));
    if (entry.except.size() >= kMostExcept) return fail(EINVAL, "more than {} exceptions", kMostExcept);
    entry.except.push_back(hole);
  }
  return {};
}

// "key=value" words behind the subject.
Result<> parse_word(std::string_view word, Line& line, Entry& entry, bool& gone) {
  const size_t equals = word.find('=');
  if (equals == word.npos) return fail(EINVAL, "'{}' is not key=value", word);
  const std::string_view key = word.substr(0, equals), value = word.substr(equals + 1);
  if (key == "hold" && line.network) return parse_hold(value, entry);
  if (key == "except" && line.network) return parse_except(value, entry);
  if (key == "g") {
    TRY_ASSIGN(line.generation, number(value));
    return {};
  }
  if (key != "gone") return fail(EINVAL, "'{}' is unknown here", key);
  gone = true;
  TRY_ASSIGN(line.because, unescaped(value));
  return {};
}

}  // namespace

std::string_view name_of(Source source) {
  for (const auto& [known, text] : kNames) {
    if (known == source) return text;
  }
  return "unknown";
}

// ---- one network

bool Entry::held_by(const std::string& tunnel) const {
  const auto first = holders.lower_bound({tunnel, ""});
  return first != holders.end() && first->first.tunnel == tunnel;
}

bool Entry::held_by(const std::string& tunnel, Source source) const {
  for (auto holder = holders.lower_bound({tunnel, ""}); holder != holders.end() && holder->first.tunnel == tunnel;
       ++holder)
    if (holder->second.sources.contains(source)) return true;
  return false;
}

namespace {
std::optional<Entry> part_of(const Entry& entry, bool temporary) {
  Entry part{{}, entry.except};
  for (const auto& [key, holder] : entry.holders)
    if (holder.temporary == temporary) part.holders.emplace(key, holder);
  return part.holders.empty() ? std::nullopt : std::optional(std::move(part));
}
}  // namespace

std::optional<Entry> Entry::lasting() const {
  return part_of(*this, false);
}

std::optional<Entry> Entry::temporary() const {
  return part_of(*this, true);
}

// ---- the book

const Entry* Book::find(const net::Prefix& network) const {
  const auto found = networks_.find(network.masked());
  return found == networks_.end() ? nullptr : &found->second;
}

void Book::remember(const net::Prefix& network, Before* before) const {
  if (before == nullptr || before->contains(network)) return;
  const Entry* entry = find(network);
  before->emplace(network, entry == nullptr ? std::nullopt : std::optional(*entry));
}

void Book::index(const net::Prefix& network, const Entry* was, const Entry* is) {
  if (was != nullptr)
    for (const auto& [key, holder] : was->holders) {
      const auto found = by_tunnel_.find(key.tunnel);
      if (found == by_tunnel_.end()) continue;
      found->second.erase(network);
      if (found->second.empty()) by_tunnel_.erase(found);
    }
  if (is != nullptr)
    for (const auto& [key, holder] : is->holders) by_tunnel_[key.tunnel].insert(network);
}

void Book::put(const net::Prefix& network, std::optional<Entry> entry) {
  const net::Prefix masked = network.masked();
  const auto found = networks_.find(masked);
  const bool stays = entry && !entry->holders.empty();
  index(masked, found == networks_.end() ? nullptr : &found->second, stays ? &*entry : nullptr);
  if (stays)
    networks_[masked] = std::move(*entry);
  else if (found != networks_.end())
    networks_.erase(found);
}

void Book::put_back(const Before& before) {
  for (const auto& [network, entry] : before) put(network, entry);
}

void Book::add(const Hold& hold, Before* before) {
  const net::Prefix network = hold.network.masked();
  remember(network, before);
  const Entry* there = find(network);
  Entry entry = there == nullptr ? Entry{} : *there;
  auto& holder = entry.holders[{hold.tunnel, hold.owner}];
  // What was temporary and is held for good too stays for good.
  holder.temporary = holder.sources.empty() ? hold.temporary : holder.temporary && hold.temporary;
  holder.sources.insert(hold.source);
  if (hold.source == Source::policy) holder.sources.erase(Source::rule_gone);
  put(network, std::move(entry));
}

void Book::remove(const Hold& hold, Before* before) {
  const net::Prefix network = hold.network.masked();
  const Entry* there = find(network);
  if (there == nullptr) return;
  Entry entry = *there;
  const auto holder = entry.holders.find({hold.tunnel, hold.owner});
  if (holder == entry.holders.end() || holder->second.sources.erase(hold.source) == 0) return;
  remember(network, before);
  if (holder->second.sources.empty()) entry.holders.erase(holder);
  put(network, std::move(entry));
}

std::vector<net::Prefix> Book::networks_of(const std::string& tunnel) const {
  const auto found = by_tunnel_.find(tunnel);
  return found == by_tunnel_.end() ? std::vector<net::Prefix>{}
                                   : std::vector<net::Prefix>(found->second.begin(), found->second.end());
}

const std::pair<const net::Prefix, Entry>* Book::enclosing(const net::Prefix& network) const {
  for (int length = network.length() - 1; length >= 0; --length) {
    const auto wider = networks_.find(net::Prefix(network.address(), static_cast<uint8_t>(length)).masked());
    if (wider != networks_.end()) return &*wider;
  }
  return nullptr;
}

void Book::set_inside(const std::string& interface, bool inside) {
  if (inside)
    inside_.insert(interface);
  else
    inside_.erase(interface);
}

// ---- lines

std::string text_of(const Line& line) {
  const bool whole = !line.network && line.interface.empty();
  std::string text = line.network ? "net " + line.network->str()
                     : whole      ? "whole"
                                  : "inside " + escaped(line.interface);
  text += fmt::format(" g={}", line.generation);
  const bool gone = line.network ? !line.entry : !line.inside && !whole;
  if (gone) text += " gone=" + escaped(line.because);
  if (line.entry) {
    if (!line.entry->except.empty()) {
      text += " except=";
      for (size_t i = 0; i < line.entry->except.size(); ++i) text += (i == 0 ? "" : ",") + line.entry->except[i].str();
    }
    for (const auto& [key, holder] : line.entry->holders) text += text_of(key, holder);
  }
  return fmt::format("{} ~{:08x}\n", text, line_checksum(text));
}

Result<Line> parse_line(std::string_view text) {
  const size_t mark = text.rfind(" ~");
  if (mark == text.npos || text.substr(mark + 2) != fmt::format("{:08x}", line_checksum(text.substr(0, mark))))
    return fail(EINVAL, "its checksum does not fit");
  const auto words = split(text.substr(0, mark), ' ');
  Line line;
  Entry entry;
  bool gone = false;
  if (words.size() < 2) return fail(EINVAL, "it is too short");
  if (words[0] == "whole") {
    if (words.size() != 2) return fail(EINVAL, "it is too long");
    TRY(parse_word(words[1], line, entry, gone));
    return line;
  }
  if (words.size() < 3) return fail(EINVAL, "it is too short");
  if (words[0] == "net") {
    TRY_ASSIGN(const net::Prefix network, net::Prefix::parse(words[1]));
    line.network = network.masked();
  } else if (words[0] == "inside") {
    TRY_ASSIGN(line.interface, unescaped(words[1]));
    if (line.interface.empty()) return fail(EINVAL, "it names no interface");
  } else {
    return fail(EINVAL, "'{}' is neither net nor inside", words[0]);
  }
  for (size_t i = 2; i < words.size(); ++i) TRY(parse_word(words[i], line, entry, gone));
  line.inside = !line.network && !gone;
  if (!line.network || gone) return line;
  if (entry.holders.empty()) return fail(EINVAL, "nobody holds {}", line.network->str());
  line.entry = std::move(entry);
  return line;
}

}  // namespace adit::guard
