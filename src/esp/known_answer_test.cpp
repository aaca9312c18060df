// Whole ESP packets of the RFCs and drafts, opened as they came.
#include "crypto/testing/vector_file.h"
#include "esp/testing/test_packets.h"
#include "source_dir.h"

namespace adit::esp {
namespace {

std::shared_ptr<sad::Sa> sa_of(const crypto::VectorCase& c) {
  sad::SaSpec spec;
  spec.spi = sad::Spi{load_be32(c.bytes("wire").data())};
  spec.encr = c.encr();
  spec.auth = c.auth();
  spec.encr_key = Secret(c.bytes("key"));
  spec.salt = Secret(c.bytes("salt"));
  spec.auth_key = Secret(c.bytes("auth_key"));
  spec.esn = c.number("esn") == 1;
  auto made = sad::Sa::make(std::move(spec));
  EXPECT_TRUE(made) << made.error().text;
  (*made)->replay.set_highest(c.number("sequence") - 1);
  return *made;
}

TEST(KnownAnswer, WholePackets) {
  const auto cases = crypto::all_vectors(ADIT_SOURCE_DIR, "wire");
  EXPECT_GE(cases.size(), 25u);
  for (const auto kind : {crypto::EngineKind::best, crypto::EngineKind::openssl}) {
    const auto engine = *crypto::make_engine(kind);
    for (const crypto::VectorCase& c : cases) {
      SCOPED_TRACE(c.text("name"));
      const auto sa = sa_of(c);
      Packets packets;
      const net::Packet& packet = open_one(*engine, *sa, packets, c.bytes("wire"));
      EXPECT_EQ(packet.drop, DropReason::none);
      EXPECT_EQ(packet.sequence, c.number("sequence"));
      EXPECT_EQ(packet.protocol, c.number("next"));
      EXPECT_EQ(bytes_of(packet), c.bytes("payload"));
    }
  }
}

}  // namespace
}  // namespace adit::esp
