// For this room's tests: SAs with fixed keys, and packets with the room that the path's buffers have.
#pragma once

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "esp/esp.h"

namespace adit::esp {

struct Suite {
  crypto::EncrAlg encr = crypto::EncrAlg::aes_gcm16;
  crypto::AuthAlg auth = crypto::AuthAlg::none;
  uint32_t key_bytes = 16;
};

inline const Suite kSuites[] = {
    {crypto::EncrAlg::aes_gcm16, crypto::AuthAlg::none, 16},
    {crypto::EncrAlg::aes_gcm8, crypto::AuthAlg::none, 32},
    {crypto::EncrAlg::aes_ccm12, crypto::AuthAlg::none, 16},
    {crypto::EncrAlg::aes_gmac, crypto::AuthAlg::none, 16},
    {crypto::EncrAlg::chacha20_poly1305, crypto::AuthAlg::none, 32},
    {crypto::EncrAlg::aes_cbc, crypto::AuthAlg::hmac_sha512, 32},
    {crypto::EncrAlg::aes_cbc, crypto::AuthAlg::hmac_sha1, 16},
    {crypto::EncrAlg::aes_ctr, crypto::AuthAlg::hmac_sha256, 16},
    {crypto::EncrAlg::tdes_cbc, crypto::AuthAlg::hmac_md5, 24},
    {crypto::EncrAlg::blowfish_cbc, crypto::AuthAlg::hmac_sha384, 16},
    {crypto::EncrAlg::null, crypto::AuthAlg::hmac_sha256, 0},
};

// Equal arguments give SAs that understand each other: one seals, the other opens.
inline std::shared_ptr<sad::Sa> make_sa(const Suite& suite, bool esn = false, uint32_t window = 64) {
  const auto table = crypto::AlgorithmTable::builtin();
  const auto secret = [](size_t bytes, uint8_t first) {
    std::vector<uint8_t> key(bytes);
    for (size_t i = 0; i < bytes; ++i) key[i] = static_cast<uint8_t>(first + 7 * i);
    return Secret(key);
  };
  sad::SaSpec spec;
  spec.spi = sad::Spi{0x01020304};
  spec.type = suite.encr == crypto::EncrAlg::none ? sad::SaType::ah : sad::SaType::esp;
  spec.encr = suite.encr;
  spec.auth = suite.auth;
  spec.encr_key = secret(suite.key_bytes, 1);
  spec.salt = secret(table.find(crypto::AlgProto::esp, static_cast<uint8_t>(suite.encr))->salt_bytes, 2);
  spec.auth_key = secret(table.find(crypto::AlgProto::ah, static_cast<uint8_t>(suite.auth))->min_bits / 8, 3);
  spec.esn = esn;
  spec.replay_window = window;
  auto made = sad::Sa::make(std::move(spec));
  EXPECT_TRUE(made) << made.error().text;
  return *made;
}

// A burst that owns its bytes.
class Packets {
 public:
  net::Packet& add(std::vector<uint8_t> bytes, uint8_t protocol = 4) {
    auto& buffer = buffers_.emplace_back(net::kHeadroom + bytes.size() + net::kTailroom, 0xee);
    std::ranges::copy(bytes, buffer.begin() + net::kHeadroom);
    net::Packet packet;
    packet.data = buffer.data() + net::kHeadroom;
    packet.length = static_cast<uint32_t>(bytes.size());
    packet.headroom = net::kHeadroom;
    packet.tailroom = net::kTailroom;
    packet.protocol = protocol;
    return packets_.emplace_back(packet);
  }
  std::vector<net::Packet>& all() { return packets_; }
  net::Packet& operator[](size_t i) { return packets_[i]; }

 private:
  std::deque<std::vector<uint8_t>> buffers_;
  std::vector<net::Packet> packets_;
};

inline std::vector<uint8_t> bytes_of(const net::Packet& packet) {
  return {packet.data, packet.data + packet.length};
}

inline std::vector<uint8_t> payload(size_t length, uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::vector<uint8_t> bytes(length);
  for (uint8_t& b : bytes) b = static_cast<uint8_t>(random());
  return bytes;
}

inline std::vector<uint8_t> sealed(crypto::Engine& engine, sad::Sa& sa, std::vector<uint8_t> bytes,
                                   uint8_t protocol = 4) {
  Packets one;
  one.add(std::move(bytes), protocol);
  seal(engine, sa, one.all());
  EXPECT_EQ(one[0].drop, DropReason::none);
  return bytes_of(one[0]);
}

inline net::Packet& open_one(crypto::Engine& engine, sad::Sa& sa, Packets& keep, std::vector<uint8_t> bytes) {
  net::Packet& packet = keep.add(std::move(bytes), 50);
  open(engine, sa, {&packet, 1});
  return packet;
}

}  // namespace adit::esp
