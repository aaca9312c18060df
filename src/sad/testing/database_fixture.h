// A database with a clock that the test moves.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "sad/testing/sad_fixture.h"

namespace adit::sad::testing {

class DatabaseTest : public ::testing::Test {
 protected:
  static SaRequest request(SaSpec spec) { return {std::move(spec), SaState::mature, {}, {}, {}, {}}; }
  // Names an SA for UPDATE.
  static SaRequest change(uint32_t spi, std::string_view destination = "5.6.7.8") {
    SaRequest r;
    r.spec.spi = Spi{spi};
    r.spec.source = address("1.2.3.4");
    r.spec.destination = address(destination);
    return r;
  }
  SaPtr add(SaSpec spec, const Requester& who = {}) {
    auto sa = db_.add(request(std::move(spec)), who);
    EXPECT_TRUE(sa) << sa.error().text;
    return *sa;
  }
  void pass(int64_t seconds) {
    clock_.advance(Seconds(seconds));
    db_.tick();
  }
  template <typename Kind>
  std::vector<Kind> events() {
    std::vector<Kind> found;
    for (const Event& event : db_.take_events()) {
      if (const auto* kind = std::get_if<Kind>(&event)) found.push_back(*kind);
    }
    return found;
  }
  template <typename T>
  static void expect_refused(const KeyResult<T>& result, int code, Diagnostic diagnostic) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().text;
    EXPECT_EQ(result.error().diagnostic, diagnostic) << result.error().text;
    EXPECT_FALSE(result.error().text.empty());
  }

  FakeClock clock_;
  crypto::AlgorithmTable algorithms_ = crypto::AlgorithmTable::builtin();
  Database db_{clock_, algorithms_, {.larval_wait = Seconds(60), .acquire_wait = Seconds(10)}};
  const SaName kName{SaType::esp, Spi{0x2001}, address("5.6.7.8")};
};

}  // namespace adit::sad::testing
