#include "keys/number_journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <limits>
#include <optional>

#include <openssl/sha.h>

#include "base/store.h"

namespace adit::engine {
namespace {

constexpr std::string_view kHeader = "adit-sequences 2";
constexpr uint64_t kLeastJournal = 1u << 20;
constexpr size_t kRecordsInALine = 256;  // of a file written whole

std::optional<uint64_t> number(std::string_view text, int base = 10) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string checksum(std::string_view text) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(), digest);
  std::string shown;
  for (size_t i = 0; i < 6; ++i) shown += fmt::format("{:02x}", digest[i]);
  return shown;
}

// Names of namespaces may hold blanks.
std::string shown_name(const std::string& name) {
  if (name.empty()) return "-";
  std::string shown;
  for (const unsigned char c : name) shown += fmt::format("{:02x}", c);
  return shown;
}

std::optional<std::string> read_name(std::string_view shown) {
  std::string name;
  if (shown == "-") return name;
  for (; shown.size() >= 2; shown.remove_prefix(2)) {
    const auto c = number(shown.substr(0, 2), 16);
    if (!c) return std::nullopt;
    name.push_back(static_cast<char>(*c));
  }
  return shown.empty() ? std::optional(name) : std::nullopt;
}

std::string_view take(std::string_view& text, char end) {
  const size_t at = text.find(end);
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return taken;
}

void write_record(std::string& line, const NumberRecord& record) {
  line += fmt::format("{} {} {} {:016x} {} {} {} {};", record.name.type == sad::SaType::ah ? "ah" : "esp",
                      static_cast<uint32_t>(record.name.spi), record.name.destination.str(), record.keys, record.sent,
                      record.seen, record.gone, shown_name(record.name_space));
}

std::optional<NumberRecord> read_record(std::string_view text) {
  NumberRecord record;
  const std::string_view type = take(text, ' ');
  if (type != "ah" && type != "esp") return std::nullopt;
  record.name.type = type == "ah" ? sad::SaType::ah : sad::SaType::esp;
  const auto spi = number(take(text, ' '));
  const auto destination = net::Address::parse(take(text, ' '));
  const auto keys = number(take(text, ' '), 16), sent = number(take(text, ' ')), seen = number(take(text, ' ')),
             gone = number(take(text, ' '));
  const auto name_space = read_name(text);
  if (!spi || *spi > std::numeric_limits<uint32_t>::max() || !destination || !keys || !sent || !seen || !gone ||
      !name_space)
    return std::nullopt;
  record.name.spi = sad::Spi{static_cast<uint32_t>(*spi)};
  record.name.destination = *destination;
  record.keys = *keys;
  record.sent = *sent;
  record.seen = *seen;
  record.gone = *gone;
  record.name_space = *name_space;
  return record;
}

bool read_line(std::string_view line, std::vector<NumberRecord>& records) {
  const std::string_view sum = take(line, ' ');
  if (line.empty() || sum != checksum(line)) return false;
  while (!line.empty()) {
    auto record = read_record(take(line, ';'));
    if (!record) return false;
    records.push_back(std::move(*record));
  }
  return true;
}

// As it was before there were checksums: TYPE SPI DESTINATION in|out KEYS NUMBER.
bool read_old_line(std::string_view line, std::vector<NumberRecord>& records) {
  NumberRecord record;
  record.name.type = take(line, ' ') == "ah" ? sad::SaType::ah : sad::SaType::esp;
  const auto spi = number(take(line, ' '));
  const auto destination = net::Address::parse(take(line, ' '));
  const std::string_view way = take(line, ' ');
  const auto keys = number(take(line, ' '), 16), value = number(line);
  if (!spi || *spi > std::numeric_limits<uint32_t>::max() || !destination || !keys || !value ||
      (way != "in" && way != "out"))
    return false;
  record.name.spi = sad::Spi{static_cast<uint32_t>(*spi)};
  record.name.destination = *destination;
  record.keys = *keys;
  (way == "out" ? record.sent : record.seen) = *value;
  records.push_back(std::move(record));
  return true;
}

std::string line_of(std::span<const NumberRecord> records) {
  std::string line;
  for (const NumberRecord& record : records) write_record(line, record);
  return checksum(line) + ' ' + line + '\n';
}

}  // namespace

NumberJournal::~NumberJournal() {
  if (fd_ >= 0) ::close(fd_);
}

NumberJournal::Content NumberJournal::read() const {
  Content content;
  const auto text = read_file(path_);
  if (!text) {
    content.is_there = true;
    content.damage = text.error().text;
    return content;
  }
  if (!*text) return content;
  content.is_there = true;
  std::string_view rest = **text;
  const bool old = !rest.starts_with(kHeader);
  if (rest.empty()) content.damage = fmt::format("{} is empty", path_);
  uint64_t whole_lines = 0;
  if (!old) {
    std::string_view header = take(rest, '\n');
    header.remove_prefix(std::min(header.size(), kHeader.size() + 1));
    content.id = number(take(header, ' '), 16).value_or(0);
    const auto lines = number(take(header, ' '));
    const bool ended = (*text)->find('\n') != std::string::npos;
    if (content.id == 0 || !lines || header != "." || !ended)
      content.damage = fmt::format("line 1 of {} is damaged", path_);
    whole_lines = lines.value_or(0);
  }
  uint64_t good_lines = 0;
  for (size_t line_number = old ? 1 : 2; !rest.empty(); ++line_number) {
    const std::string_view line = take(rest, '\n');
    const bool good = old ? read_old_line(line, content.records) : read_line(line, content.records);
    good_lines += good ? 1 : 0;
    if (good || (rest.empty() && !old)) continue;  // the last one may have been cut
    content.damage = fmt::format("line {} of {} is damaged", line_number, path_);
    break;
  }
  if (content.damage.empty() && good_lines < whole_lines)
    content.damage = fmt::format("{} is shorter than it was written", path_);
  return content;
}

Result<> NumberJournal::open() {
  if (fd_ >= 0) return {};
  fd_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
  if (fd_ < 0) return fail(errno, "cannot write {}: {}", path_, std::strerror(errno));
  return {};
}

Result<> NumberJournal::append(std::span<const NumberRecord> records, bool sync) {
  TRY(open());
  const std::string line = line_of(records);
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t done = ::write(fd_, rest.data(), rest.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) break;
    rest.remove_prefix(static_cast<size_t>(done));
  }
  crash_point("sequences:appended");
  if (!rest.empty() || (sync && ::fdatasync(fd_) != 0)) {
    broken_ = true;
    return fail(errno, "cannot write {}: {}", path_, std::strerror(errno));
  }
  appended_bytes_ += line.size();
  return {};
}

Result<> NumberJournal::rewrite(std::span<const NumberRecord> records, uint64_t id) {
  std::string text =
      fmt::format("{} {:016x} {} .\n", kHeader, id, (records.size() + kRecordsInALine - 1) / kRecordsInALine);
  for (; !records.empty(); records = records.subspan(std::min(records.size(), kRecordsInALine)))
    text += line_of(records.first(std::min(records.size(), kRecordsInALine)));
  broken_ = true;
  TRY(replace_file(path_, text, 0600, Lasting::disk, "sequences"));
  broken_ = false;
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  whole_bytes_ = text.size();
  appended_bytes_ = 0;
  return {};
}

// Somebody took the file away, or put another one in its place: what is appended now nobody reads.
bool NumberJournal::lost_its_file() const {
  struct stat ours{}, named{};
  if (fd_ < 0) return false;
  return ::fstat(fd_, &ours) != 0 || ::stat(path_.c_str(), &named) != 0 || ours.st_ino != named.st_ino ||
         ours.st_dev != named.st_dev;
}

bool NumberJournal::wants_rewrite() const {
  return broken_ || lost_its_file() || appended_bytes_ > std::max(kLeastJournal, whole_bytes_ / 2);
}

}  // namespace adit::engine
