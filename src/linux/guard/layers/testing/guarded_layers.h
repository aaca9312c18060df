// All layers of the guard in a namespace of its own, in front of a far side that counts, for tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "linux/guard/layers/guard_layers.h"
#include "linux/guard/layers/guard_watch.h"
#include "linux/guard/layers/testing/guarded_host.h"

namespace adit::platform {

class GuardedLayers : public GuardedHost {
 protected:
  void SetUp() override {
    GuardedHost::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    auto made = GuardLayers::open(true);
    ASSERT_TRUE(made) << made.error().text;
    layers = std::move(*made);
    auto listening = GuardWatch::start();
    ASSERT_TRUE(listening) << listening.error().text;
    watch = std::make_unique<GuardWatch>(std::move(*listening));
  }
  void replace(const GuardPlan& plan) {
    const auto done = layers->replace(plan);
    ASSERT_TRUE(done) << done.error().text;
    expect_standing();
  }
  void change(const GuardChange& change) {
    const auto done = layers->change(change);
    ASSERT_TRUE(done) << done.error().text;
    expect_standing();
  }
  void expect_standing() {
    const auto state = layers->state();
    EXPECT_TRUE(state.rule && state.lasting && state.owned) << state.trouble;
    EXPECT_EQ(state.trouble, "");
  }
  // Somebody does something; the guard hears of it and puts back. What it says.
  std::string after(const std::string& act) {
    run(act);
    return heard();
  }
  std::string heard() {
    watch->drain(*layers);
    std::string said;
    for (const auto& sentence : layers->put_back()) said += sentence + "\n";
    expect_standing();
    return said;
  }
  // From the far side: both know each other's link addresses, whatever comes next.
  void meet() {
    EXPECT_TRUE(holds("ping -c1 -W2 192.0.2.1 && ping -c1 -W2 2001:db8::1"));
    go_near();
  }
  std::unique_ptr<GuardLayers> layers;
  std::unique_ptr<GuardWatch> watch;
};

}  // namespace adit::platform
