#include "crypto/algorithm.h"

#include <algorithm>
#include <array>

namespace adit::crypto {
namespace {

// Rows of the built-in table, in the order of listings. Names are separated by commas; the first is what listings
// print.
struct BuiltinRow {
  AlgProto proto;
  uint8_t number;
  std::string_view names;
  std::string_view mechanism;
  uint16_t min_bits, max_bits, increment_bits, default_bits;
  uint16_t block_bytes, iv_bytes, icv_bytes, salt_bytes;
  uint32_t flags;
  bool weak;
};

constexpr AlgProto kAh = AlgProto::ah, kEsp = AlgProto::esp;
constexpr uint32_t kPlain = kAlgValid;
constexpr uint32_t kCounter = kAlgValid | kAlgCounter;
constexpr uint32_t kAead = kAlgValid | kAlgCounter | kAlgCombined;

// clang-format off
constexpr auto kBuiltin = std::to_array<BuiltinRow>({
  {kAh, 0, "none,any", "-", 0, 0, 0, 0, 0, 0, 0, 0, kPlain, false},
  {kAh, 2, "hmac-md5,md5", "CKM_MD5_HMAC_GENERAL", 128, 128, 0, 128, 12, 0, 12, 0, kPlain, true},
  {kAh, 3, "hmac-sha1,sha,sha1,sha-1,hmac-sha,hmac-sha-1", "CKM_SHA_1_HMAC_GENERAL", 160, 160, 0, 160, 12, 0, 12, 0, kPlain, true},
  {kAh, 5, "hmac-sha256,sha256,sha-256,hmac-sha-256", "CKM_SHA256_HMAC_GENERAL", 256, 256, 0, 256, 16, 0, 16, 0, kPlain, false},
  {kAh, 6, "hmac-sha384,sha384,sha-384,hmac-sha-384", "CKM_SHA384_HMAC_GENERAL", 384, 384, 0, 384, 24, 0, 24, 0, kPlain, false},
  {kAh, 7, "hmac-sha512,sha512,sha-512,hmac-sha-512", "CKM_SHA512_HMAC_GENERAL", 512, 512, 0, 512, 32, 0, 32, 0, kPlain, false},
  {kEsp, 0, "any", "-", 0, 0, 0, 0, 0, 0, 0, 0, kPlain, false},
  {kEsp, 2, "des-cbc,des", "CKM_DES_CBC", 64, 64, 0, 64, 8, 8, 0, 0, kPlain, true},
  {kEsp, 3, "3des-cbc,3des", "CKM_DES3_CBC", 192, 192, 0, 192, 8, 8, 0, 0, kPlain, true},
  {kEsp, 7, "blowfish-cbc,blowfish", "CKM_BLOWFISH_CBC", 32, 448, 8, 128, 8, 8, 0, 0, kPlain, true},
  {kEsp, 11, "null", "-", 0, 0, 0, 0, 0, 0, 0, 0, kPlain, false},
  {kEsp, 12, "aes-cbc,aes", "CKM_AES_CBC", 128, 256, 64, 128, 16, 16, 0, 0, kPlain, false},
  {kEsp, 13, "aes-ctr", "CKM_AES_CTR", 128, 256, 64, 128, 16, 8, 0, 4, kCounter, false},
  {kEsp, 14, "aes-ccm8", "CKM_AES_CCM", 128, 256, 64, 128, 16, 8, 8, 3, kAead | kAlgCcm, false},
  {kEsp, 15, "aes-ccm12", "CKM_AES_CCM", 128, 256, 64, 128, 16, 8, 12, 3, kAead | kAlgCcm, false},
  {kEsp, 16, "aes-ccm,aes-ccm16", "CKM_AES_CCM", 128, 256, 64, 128, 16, 8, 16, 3, kAead | kAlgCcm, false},
  {kEsp, 18, "aes-gcm8", "CKM_AES_GCM", 128, 256, 64, 128, 16, 8, 8, 4, kAead | kAlgGcm, false},
  {kEsp, 19, "aes-gcm12", "CKM_AES_GCM", 128, 256, 64, 128, 16, 8, 12, 4, kAead | kAlgGcm, false},
  {kEsp, 20, "aes-gcm,aes-gcm16", "CKM_AES_GCM", 128, 256, 64, 128, 16, 8, 16, 4, kAead | kAlgGcm, false},
  {kEsp, 23, "aes-gmac", "CKM_AES_GMAC", 128, 256, 64, 128, 16, 8, 16, 4, kAead | kAlgGcm, false},
  {kEsp, 28, "chacha20-poly1305", "CKM_CHACHA20_POLY1305", 256, 256, 0, 256, 16, 8, 16, 4, kAead, false},
});
// clang-format on

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::vector<std::string> split_names(std::string_view names) {
  std::vector<std::string> list;
  while (true) {
    const size_t comma = names.find(',');
    list.emplace_back(names.substr(0, comma));
    if (comma == std::string_view::npos) return list;
    names.remove_prefix(comma + 1);
  }
}

Algorithm to_row(const BuiltinRow& b) {
  return {b.proto,       b.number,   split_names(b.names), std::string(b.mechanism),
          b.min_bits,    b.max_bits, b.increment_bits,     b.default_bits,
          b.block_bytes, b.iv_bytes, b.icv_bytes,          b.salt_bytes,
          b.flags,       b.weak};
}

const BuiltinRow* builtin_row(AlgProto proto, uint8_t number) {
  const auto row =
      std::ranges::find_if(kBuiltin, [&](const BuiltinRow& r) { return r.proto == proto && r.number == number; });
  return row == kBuiltin.end() ? nullptr : &*row;
}

std::string_view first_name(AlgProto proto, uint8_t number) {
  if (number == 0) return "none";
  const BuiltinRow* row = builtin_row(proto, number);
  return row == nullptr ? "unknown" : row->names.substr(0, row->names.find(','));
}

}  // namespace

AlgorithmTable AlgorithmTable::builtin() {
  AlgorithmTable table;
  for (const BuiltinRow& row : kBuiltin) table.rows_.push_back(to_row(row));
  return table;
}

const Algorithm* AlgorithmTable::find(AlgProto proto, std::string_view name) const {
  for (const Algorithm& row : rows_) {
    if (row.proto != proto) continue;
    if (std::ranges::any_of(row.names, [&](const std::string& n) { return same_name(n, name); })) return &row;
  }
  return nullptr;
}

const Algorithm* AlgorithmTable::find(AlgProto proto, uint8_t number) const {
  const auto row =
      std::ranges::find_if(rows_, [&](const Algorithm& r) { return r.proto == proto && r.number == number; });
  return row == rows_.end() ? nullptr : &*row;
}

void AlgorithmTable::put(Algorithm row) {
  const auto place = [](const Algorithm& a) { return std::pair(a.proto, a.number); };
  const auto at = std::ranges::lower_bound(rows_, place(row), {}, place);
  if (at != rows_.end() && place(*at) == place(row))
    *at = std::move(row);
  else
    rows_.insert(at, std::move(row));
}

bool AlgorithmTable::remove(AlgProto proto, uint8_t number) {
  return std::erase_if(rows_, [&](const Algorithm& r) { return r.proto == proto && r.number == number; }) != 0;
}

bool is_combined(EncrAlg alg) {
  const BuiltinRow* row = builtin_row(AlgProto::esp, static_cast<uint8_t>(alg));
  return row != nullptr && (row->flags & kAlgCombined) != 0;
}

std::string_view name_of(AuthAlg alg) {
  return first_name(AlgProto::ah, static_cast<uint8_t>(alg));
}
std::string_view name_of(EncrAlg alg) {
  return first_name(AlgProto::esp, static_cast<uint8_t>(alg));
}

}  // namespace adit::crypto
