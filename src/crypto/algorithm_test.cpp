#include "crypto/algorithm.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace adit::crypto {
namespace {

const AlgorithmTable kTable = AlgorithmTable::builtin();

TEST(AlgorithmTable, FindsEveryAliasWhateverItsCase) {
  for (const char* name : {"hmac-sha1", "SHA", "sha1", "Sha-1", "hmac-sha", "HMAC-SHA-1"}) {
    const Algorithm* row = kTable.find(AlgProto::ah, name);
    ASSERT_NE(row, nullptr) << name;
    EXPECT_EQ(row->number, 3);
  }
  EXPECT_EQ(kTable.find(AlgProto::ah, "sha-"), nullptr);
  EXPECT_EQ(kTable.find(AlgProto::ah, ""), nullptr);
  EXPECT_EQ(kTable.find(AlgProto::ah, "aes"), nullptr) << "a cipher is no AH algorithm";
}

TEST(AlgorithmTable, AesGcmWithoutASizeHasTheLongIcv) {
  EXPECT_EQ(kTable.find(AlgProto::esp, "aes-gcm"), kTable.find(AlgProto::esp, "aes-gcm16"));
  EXPECT_EQ(kTable.find(AlgProto::esp, "aes-ccm"), kTable.find(AlgProto::esp, "aes-ccm16"));
  EXPECT_EQ(name_of(EncrAlg::aes_gcm16), "aes-gcm");
  EXPECT_EQ(name_of(EncrAlg::aes_gcm8), "aes-gcm8");
  EXPECT_EQ(name_of(AuthAlg::hmac_sha256), "hmac-sha256");
  EXPECT_EQ(name_of(EncrAlg::none), "none");
}

TEST(AlgorithmTable, FlagsAreThoseOfTheReference) {
  EXPECT_EQ(kTable.find(AlgProto::esp, uint8_t{16})->flags, 15u);
  EXPECT_EQ(kTable.find(AlgProto::esp, uint8_t{20})->flags, 23u);
  EXPECT_EQ(kTable.find(AlgProto::esp, uint8_t{12})->flags, 1u);
}

TEST(AlgorithmTable, KeyAndIcvSizes) {
  const Algorithm* blowfish = kTable.find(AlgProto::esp, "blowfish");
  EXPECT_EQ(std::tuple(blowfish->min_bits, blowfish->max_bits, blowfish->increment_bits, blowfish->default_bits),
            std::tuple(32, 448, 8, 128));
  EXPECT_EQ(kTable.find(AlgProto::ah, "hmac-sha512")->icv_bytes, 32);
  EXPECT_EQ(kTable.find(AlgProto::esp, "aes-ccm12")->salt_bytes, 3);
  EXPECT_EQ(kTable.find(AlgProto::esp, "aes-ctr")->salt_bytes, 4);
}

TEST(AlgorithmTable, WeakOnesAreMarked) {
  std::vector<std::string> weak;
  for (const Algorithm& row : kTable.rows()) {
    if (row.weak) weak.push_back(row.names.front());
  }
  EXPECT_EQ(weak, (std::vector<std::string>{"hmac-md5", "hmac-sha1", "des-cbc", "3des-cbc", "blowfish-cbc"}));
}

TEST(AlgorithmTable, PutReplacesAndRemoveForgets) {
  AlgorithmTable table = AlgorithmTable::builtin();
  Algorithm row = *table.find(AlgProto::esp, "aes-cbc");
  row.min_bits = 256;
  row.names = {"aes-only-256"};
  const size_t before = table.rows().size();
  table.put(row);
  EXPECT_EQ(table.rows().size(), before);
  EXPECT_EQ(table.find(AlgProto::esp, "aes"), nullptr);
  EXPECT_EQ(table.find(AlgProto::esp, uint8_t{12})->min_bits, 256);
  EXPECT_TRUE(table.remove(AlgProto::esp, 12));
  EXPECT_FALSE(table.remove(AlgProto::esp, 12));
  table.put(row);
  EXPECT_TRUE(
      std::ranges::is_sorted(table.rows(), {}, [](const Algorithm& a) { return std::pair(a.proto, a.number); }));
}

TEST(AlgorithmTable, CombinedModes) {
  EXPECT_TRUE(is_combined(EncrAlg::aes_gmac));
  EXPECT_TRUE(is_combined(EncrAlg::chacha20_poly1305));
  EXPECT_FALSE(is_combined(EncrAlg::aes_ctr));
  EXPECT_FALSE(is_combined(EncrAlg::none));
}

}  // namespace
}  // namespace adit::crypto
