#include "server/admission.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace adit::protocol {
namespace {

using namespace std::chrono_literals;
using Seat = Admission::Seat;
using Kind = Seat::Kind;

constexpr uid_t kRoot = 0, kService = 500, kUser = 1000;

class AdmissionTest : public ::testing::Test {
 protected:
  static Admission::Rank rank(uid_t user) {
    if (user == kRoot) return {Standing::privileged};
    if (user == kService) return {Standing::delegated, 4096};
    return {Standing::anyone};
  }
  std::unique_ptr<Seat> admit(uid_t user) { return Admission::admit(house_, user); }
  std::vector<std::unique_ptr<Seat>> admit_all(uid_t user) {
    std::vector<std::unique_ptr<Seat>> seats;
    while (auto seat = admit(user)) seats.push_back(std::move(seat));
    return seats;
  }

  FakeClock clock_;
  std::shared_ptr<Admission> house_ = std::make_shared<Admission>(clock_, rank);
  const AdmissionLimits limits_;
};

TEST_F(AdmissionTest, AUserHasSoManyConnectionsAndAllUsersSoMany) {
  auto first = admit_all(kUser);
  EXPECT_EQ(first.size(), limits_.of_user[0].connections);
  size_t all = first.size();
  std::vector<std::vector<std::unique_ptr<Seat>>> others;
  for (uid_t user = kUser + 1; user < kUser + 100; ++user) all += others.emplace_back(admit_all(user)).size();
  EXPECT_EQ(all, limits_.of_all[0].connections);
  EXPECT_TRUE(admit(kService)) << "who has a namespace is not kept out by who has none";
  EXPECT_EQ(admit_all(kRoot).size(), limits_.of_all[2].connections);
  first.pop_back();
  EXPECT_TRUE(admit(kUser)) << "a place that was left is there again";
}

TEST_F(AdmissionTest, MemoryIsASumOverConnectionsAndUsers) {
  const auto one = admit(kUser), two = admit(kUser);
  const size_t most = limits_.of_user[0].memory;
  EXPECT_TRUE(one->hold(Kind::traffic, most - 10));
  EXPECT_FALSE(two->hold(Kind::drafts, 11));
  EXPECT_TRUE(two->hold(Kind::drafts, 10));
  EXPECT_FALSE(one->hold(Kind::traffic, most - 9));
  EXPECT_TRUE(one->hold(Kind::traffic, 5)) << "less always fits";
  EXPECT_TRUE(two->hold(Kind::dump, most - 15));
  std::vector<std::unique_ptr<Seat>> others;
  size_t held = most;
  for (uid_t user = kUser + 1; user < kUser + 50; ++user) {
    others.push_back(admit(user));
    if (others.back()->hold(Kind::traffic, most)) held += most;
  }
  EXPECT_EQ(held, limits_.of_all[0].memory);
  others.clear();
  const auto late = admit(kUser + 1);
  EXPECT_TRUE(late->hold(Kind::traffic, most)) << "what was given back is there again";
}

TEST_F(AdmissionTest, ADelegationBringsRoomForItsDraftsAndRootHasNoBound) {
  const auto service = admit(kService), root = admit(kRoot);
  EXPECT_TRUE(service->hold(Kind::drafts, limits_.of_user[1].memory + 4096));
  EXPECT_FALSE(service->hold(Kind::drafts, limits_.of_user[1].memory + 4097));
  EXPECT_TRUE(root->hold(Kind::drafts, size_t{1} << 40));
}

TEST_F(AdmissionTest, AUserPaysForItsTime) {
  const auto seat = admit(kUser), same = admit(kUser), other = admit(kUser + 1), root = admit(kRoot);
  clock_.advance(10s);
  EXPECT_EQ(seat->turn_in(), 0ns);
  (void)seat->serve([&] { clock_.advance(40ms); });
  EXPECT_EQ(seat->turn_in(), 0ns) << "a burst";
  (void)same->serve([&] { clock_.advance(110ms); });
  EXPECT_EQ(seat->turn_in(), 1000ms - 110ms) << "150 ms are 1,500 ms of a tenth, 500 of them given: on any connection";
  EXPECT_GT(other->turn_in(), 0ns) << "all users together have a quarter";
  EXPECT_LT(other->turn_in(), seat->turn_in());
  (void)root->serve([&] { clock_.advance(1s); });
  EXPECT_EQ(root->turn_in(), 0ns);
  EXPECT_EQ(seat->turn_in(), 0ns) << "time goes by";
}

TEST_F(AdmissionTest, LeavingPaysNothing) {
  {
    const auto seat = admit(kUser);
    clock_.advance(10s);
    (void)seat->serve([&] { clock_.advance(1s); });
  }
  EXPECT_GT(admit(kUser)->turn_in(), 1s);
}

TEST_F(AdmissionTest, WhatIsUrgentGoesFirstAndWhatThrowsEndsTheRequest) {
  std::string order;
  house_->set_urgent([&] { order += "urgent "; });
  const auto seat = admit(kUser);
  EXPECT_FALSE(seat->serve([&] { order += "request "; }));
  const auto wrong = seat->serve([&]() -> void { throw std::runtime_error("so it is"); });
  ASSERT_TRUE(wrong);
  EXPECT_EQ(wrong->code, EIO);
  EXPECT_NE(wrong->text.find("so it is"), std::string::npos);
  EXPECT_EQ(seat->serve([&]() -> void { throw std::bad_alloc(); })->code, ENOMEM);
  EXPECT_EQ(order, "urgent request urgent urgent ");
}

TEST_F(AdmissionTest, FollowersAreCounted) {
  std::vector<std::unique_ptr<Seat>> seats = admit_all(kUser);
  size_t following = 0;
  for (const auto& seat : seats) following += seat->hold_stream() ? 1 : 0;
  EXPECT_EQ(following, limits_.of_user[0].streams);
  seats[0]->end_stream();
  EXPECT_TRUE(seats.back()->hold_stream());
  EXPECT_TRUE(admit(kRoot)->hold_stream());
}

}  // namespace
}  // namespace adit::protocol
