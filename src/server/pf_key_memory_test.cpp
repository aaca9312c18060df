// I8: no memory that is given back holds a key, whatever was done with it. This file replaces the program's operator
// delete: while it is asked to, it looks into every block before it goes.
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "config/ipseckey/ipseckey.h"
#include "config/ipseckey/print.h"
#include "config/source/testing/fake_resolver.h"
#include "protocol/pf_key/codec.h"
#include "server/pf_key_requests.h"
#include "server/testing/bare_key_access.h"

namespace {

// Sixteen bytes that nothing else holds, and their digits.
constexpr uint8_t kNeedle[16] = {0xd3, 0x1f, 0x77, 0xe9, 0x5a, 0xc4, 0x8b, 0x26,
                                 0x91, 0x0e, 0xf5, 0x6c, 0xb8, 0x42, 0xad, 0x13};
constexpr char kDigits[] = "d31f77e95ac48b26910ef56cb842ad13";
std::atomic<bool> looking{false};
std::atomic<int> found{0};

void look_into(const void* at) {
  if (at == nullptr || !looking.load(std::memory_order_relaxed)) return;
  const size_t size = ::malloc_usable_size(const_cast<void*>(at));
  if (::memmem(at, size, kNeedle, 8) != nullptr || ::memmem(at, size, kDigits, 16) != nullptr) ++found;
}

void* take(size_t size) {
  void* const at = std::malloc(size == 0 ? 1 : size);
  if (at == nullptr) throw std::bad_alloc();
  return at;
}

}  // namespace

void* operator new(size_t size) {
  return take(size);
}
void* operator new[](size_t size) {
  return take(size);
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return std::malloc(size == 0 ? 1 : size);
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
  return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* at) noexcept {
  look_into(at);
  std::free(at);
}
void operator delete[](void* at) noexcept {
  look_into(at);
  std::free(at);
}
void operator delete(void* at, size_t) noexcept {
  look_into(at);
  std::free(at);
}
void operator delete[](void* at, size_t) noexcept {
  look_into(at);
  std::free(at);
}

namespace adit::protocol {
namespace {
using namespace sad;

class KeyMemoryTest : public ::testing::Test {
 protected:
  KeyMemoryTest() {
    found = 0;
    looking = true;
  }
  ~KeyMemoryTest() override {
    looking = false;
    EXPECT_EQ(found, 0) << "blocks were given back with a key in them";
  }

  // As an ipseckey command makes it, with the longest identities that there are.
  static KeyMessage message(KeyMessageType type, uint32_t spi) {
    KeyMessage m;
    m.type = type;
    m.satype = 3;
    m.seq = 7;
    m.pid = 9;
    m.sa = SaExtension{Spi{spi}, 0, 1, 5, 12, 0};
    m.source = AddressExtension{*net::Address::parse("1.2.3.4"), 0, 0, 0};
    m.destination = AddressExtension{*net::Address::parse("5.6.7.8"), 0, 0, 0};
    return m;
  }
  static KeyMessage with_keys(KeyMessage m) {
    std::vector<uint8_t> mac(32, 0x55);
    m.encr_key = KeyExtension{Secret(std::span<const uint8_t>(kNeedle)), 128, 0};
    Secret auth(32);
    std::memcpy(auth.bytes().data(), kNeedle, 16);
    std::memcpy(auth.bytes().data() + 16, mac.data(), 16);
    m.auth_key = KeyExtension{std::move(auth), 256, 0};
    m.source_identity = Identity{2, 0, std::string(4000, 'a')};
    m.destination_identity = Identity{2, 0, std::string(4000, 'b')};
    return m;
  }
  // Over the wire and back, as the server does it.
  void ask(const KeyMessage& request) {
    auto decoded = decode_key_message(encode_key_message(request));
    ASSERT_TRUE(decoded) << decoded.error().text;
    auto answers = answer_key_request(*decoded, session_, access_);
    ASSERT_TRUE(answers) << answers.error().text;
    for (const auto& answer : *answers) (void)encode_key_message(answer.message);
    while (session_.dump) {
      for (const auto& one : next_dump_page(session_, access_.database, 8)) {
        const SecretBytes bytes = encode_key_message(one);
        const auto read = decode_key_message(bytes);
        ASSERT_TRUE(read);
        (void)config::print_key_message(*read, access_.algorithms(), {});
        (void)config::save_association(*read, access_.algorithms());
      }
    }
    access_.keys_changed();
  }

  BareKeyAccess access_;
  KeySession session_;
  config::FakeResolver resolver_;
};

// The judge itself: what it shall find it finds.
TEST(KeyMemory, AKeyThatIsLeftBehindIsFound) {
  found = 0;
  looking = true;
  {
    const std::vector<uint8_t> left(std::begin(kNeedle), std::end(kNeedle));
  }
  {
    const std::string left = std::string("encrkey ") + kDigits;
  }
  looking = false;
  EXPECT_EQ(found.exchange(0), 2);
}

TEST_F(KeyMemoryTest, AddGetDumpSaveAndDelete) {
  for (uint32_t spi = 0x2001; spi < 0x2020; ++spi) ask(with_keys(message(KeyMessageType::add, spi)));
  ask(message(KeyMessageType::get, 0x2001));
  KeyMessage dump;
  dump.type = KeyMessageType::dump;
  ask(dump);
  ask(message(KeyMessageType::del, 0x2001));
  KeyMessage flush;
  flush.type = KeyMessageType::flush;
  ask(flush);
}

TEST_F(KeyMemoryTest, ALarvalSaThatGetsItsKeys) {
  KeyMessage spi = message(KeyMessageType::getspi, 0);
  spi.sa.reset();
  spi.range = SpiRange{0x2001, 0x2001};
  ask(spi);
  ask(with_keys(message(KeyMessageType::update, 0x2001)));
}

TEST_F(KeyMemoryTest, AnAcquireThatSomebodySendsWithKeys) {
  ask(with_keys(message(KeyMessageType::acquire, 0x2001)));
}

TEST_F(KeyMemoryTest, ARequestThatIsRefused) {
  KeyMessage bad = with_keys(message(KeyMessageType::add, 0x2001));
  bad.sa->encr = 99;
  auto decoded = decode_key_message(encode_key_message(bad));
  ASSERT_TRUE(decoded);
  EXPECT_FALSE(answer_key_request(*decoded, session_, access_));
}

TEST_F(KeyMemoryTest, AKeyFile) {
  // Not a std::string: the test's own copy would be found.
  SecretString text;
  for (int i = 0; i < 50; ++i) {
    text += fmt::format("add esp spi {:#x} src 1.2.3.4 dst 5.6.7.8 encr_alg aes auth_alg sha256 encrkey ", 0x2001 + i);
    (text += kDigits) += " authkey ";
    ((text += kDigits) += kDigits) += '\n';
  }
  text += "add esp spi 0x1 src 1.2.3.4 dst 5.6.7.8 encr_alg aes encrkey ";
  (text += kDigits) += "\n";  // with an error, which is told with its line
  config::KeyText parsed = config::parse_ipseckeys(text, {"keys", true, ""}, access_.algorithms(), resolver_);
  EXPECT_FALSE(parsed.ok());
  text.resize(text.rfind("add esp spi 0x1 "));
  parsed = config::parse_ipseckeys(text, {"keys", true, ""}, access_.algorithms(), resolver_);
  ASSERT_TRUE(parsed.ok());
  auto requests = config::associations_of(std::move(parsed), access_.algorithms());
  ASSERT_TRUE(requests) << requests.error().text;
  for (auto& request : *requests) EXPECT_TRUE(access_.database.add(std::move(request), {}));
}

}  // namespace
}  // namespace adit::protocol
