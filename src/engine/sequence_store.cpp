#include "engine/sequence_store.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <sstream>

#include <openssl/evp.h>

#include "base/check.h"
#include "base/store.h"

namespace adit::engine {
namespace {

constexpr const char* kDiskFile = "/var/lib/adit/sequences";
constexpr const char* kRunFile = "sequences";
constexpr uint64_t kLeastAhead =
    1u << 20;  // numbers a ceiling is ahead of the last one used: a second of sudden traffic
constexpr uint64_t kMostAhead = 1u << 24;
constexpr uint64_t kTicksAhead = 8;  // or what the SA sends in so many saves
constexpr size_t kMostEntries = 16384;

std::optional<uint64_t> number(const std::string& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// Tells keys apart without telling them: the file is readable by root alone, as the key file is.
std::string fingerprint(const sad::SaSpec& spec) {
  EVP_MD_CTX* hash = EVP_MD_CTX_new();
  const uint8_t algorithms[] = {static_cast<uint8_t>(spec.encr), static_cast<uint8_t>(spec.auth)};
  uint8_t digest[EVP_MAX_MD_SIZE];
  bool ok =
      EVP_DigestInit_ex(hash, EVP_sha256(), nullptr) == 1 && EVP_DigestUpdate(hash, algorithms, sizeof algorithms) == 1;
  for (const Secret* key : {&spec.encr_key, &spec.salt, &spec.auth_key}) {
    const uint64_t size = key->size();
    ok =
        ok && EVP_DigestUpdate(hash, &size, sizeof size) == 1 && EVP_DigestUpdate(hash, key->bytes().data(), size) == 1;
  }
  ok = ok && EVP_DigestFinal_ex(hash, digest, nullptr) == 1;
  EVP_MD_CTX_free(hash);
  CHECK(ok);
  std::string text;
  for (size_t i = 0; i < 8; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace

SequenceStore::Key SequenceStore::key_of(const sad::Sa& sa, bool outbound) {
  auto known = keys_.find(sa.age);
  if (known == keys_.end()) known = keys_.emplace(sa.age, fingerprint(sa.spec)).first;
  return {sad::name_of(sa), known->second, outbound};
}

void SequenceStore::restore() {
  read(context_.in_root(kDiskFile));
  read(context_.in_run(kRunFile));
}

// A line that cannot be read says nothing: the file is ours alone, and the other one may still know.
void SequenceStore::read(const std::string& path) {
  const auto text = read_file(path);
  if (!text || !*text) return;
  std::istringstream lines(**text);
  std::string type, spi, destination, direction, keys, value;
  while (lines >> type >> spi >> destination >> direction >> keys >> value) {
    const auto address = net::Address::parse(destination);
    const auto spi_number = number(spi), sequence = number(value);
    if (!address || !spi_number || !sequence || *spi_number > std::numeric_limits<uint32_t>::max()) continue;
    const Key key{
        {type == "ah" ? sad::SaType::ah : sad::SaType::esp, sad::Spi{static_cast<uint32_t>(*spi_number)}, *address},
        keys,
        direction == "out"};
    Entry& entry = entries_[key];
    entry.value = std::max(entry.value, *sequence);
  }
}

std::string SequenceStore::text() const {
  std::string text;
  for (const auto& [key, entry] : entries_)
    text += fmt::format("{} {} {} {} {} {}\n", key.name.type == sad::SaType::ah ? "ah" : "esp",
                        static_cast<uint32_t>(key.name.spi), key.name.destination.str(), key.outbound ? "out" : "in",
                        key.keys, entry.value);
  return text;
}

void SequenceStore::begin(sad::Sa& sa) {
  if (!sa.spec.name_space.empty() || sa.state.load() == sad::SaState::larval) return;
  if (sa.spec.inbound || !sa.spec.outbound) begin_inbound(sa);
  if (sa.spec.outbound) begin_outbound(sa);
}

SequenceStore::Entry* SequenceStore::entry_for(const sad::Sa& sa, bool outbound) {
  const Key key = key_of(sa, outbound);
  if (entries_.size() >= kMostEntries && !entries_.contains(key)) return nullptr;
  return &entries_[key];
}

void SequenceStore::begin_inbound(sad::Sa& sa) {
  const Entry* entry = entry_for(sa, false);
  if (entry != nullptr && entry->value > sa.replay.highest()) sa.replay.set_highest(entry->value);
}

void SequenceStore::begin_outbound(sad::Sa& sa) {
  Entry* const known = entry_for(sa, true);
  if (known == nullptr || known->age == sa.age) return;
  Entry& entry = *known;
  entry.age = sa.age;
  if (entry.value > sa.last_sequence()) sa.set_last_sequence(entry.value);
  entry.last = sa.last_sequence();  // the leap is not traffic
  if (raise_ceiling(sa, false)) disk_due_ = true;
}

bool SequenceStore::raise_ceiling(const sad::Sa& sa, bool stopping) {
  const auto found = entries_.find(key_of(sa, true));
  if (found == entries_.end()) return false;
  Entry& entry = found->second;
  const uint64_t last = sa.last_sequence();
  const uint64_t ahead = std::clamp(kTicksAhead * (last - std::min(last, entry.last)), kLeastAhead, kMostAhead);
  entry.last = std::max<uint64_t>(last, 1);
  if (stopping) {
    entry.value = last;
    return true;
  }
  if (entry.value >= last + ahead / 2) return false;
  entry.value = last + ahead;
  return true;
}

bool SequenceStore::note_highest(sad::Sa& sa) {
  const auto found = entries_.find(key_of(sa, false));
  if (found == entries_.end() || sa.inbound_owner.test_and_set(std::memory_order_acquire)) return false;
  const uint64_t highest = sa.replay.highest();
  sa.inbound_owner.clear(std::memory_order_release);
  if (highest <= found->second.value) return false;
  found->second.value = highest;
  return true;
}

void SequenceStore::save(const sad::Database& database, bool stopping) {
  bool disk = std::exchange(disk_due_, false), run = disk;
  if (!entries_.empty()) {
    constexpr size_t kPage = 1024;
    if (keys_.size() > 2 * database.size() + kPage) keys_.clear();
    uint64_t after = 0;
    sad::Database::DumpFilter filter;
    for (auto page = database.page(filter, after, kPage); !page.empty(); page = database.page(filter, after, kPage)) {
      for (const auto& sa : page) {
        after = sa->age;
        if (sa->spec.outbound) disk = raise_ceiling(*sa, stopping) || disk;
        if (sa->spec.inbound || !sa->spec.outbound) run = note_highest(*sa) || run;
      }
    }
  }
  if (disk || (stopping && run)) {
    if (auto saved = replace_file(context_.in_root(kDiskFile), text(), 0600, Lasting::disk, "sequences"); !saved)
      context_.events.add(Severity::alert, "key.not-saved", "", saved.error().text);
  }
  if (run || disk) (void)replace_file(context_.in_run(kRunFile), text(), 0600, Lasting::boot, "sequences.run");
}

}  // namespace adit::engine
