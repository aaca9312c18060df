// libadit against the daemon's servers, without an engine behind them.
#include <adit/adit.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <filesystem>
#include <future>
#include <thread>

#include "server/pf_policy_server.h"
#include "server/testing/fake_policy_access.h"
#include "server/varlink_server.h"

namespace {

using namespace adit;
using namespace adit::protocol;

class LibaditTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/adit-lib-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    policy_ = PolicyServer::listen(io_, folder_ + "/pf_policy.sock", access_).value();
    methods_.add_stream("io.adit.events.Monitor", Access::read,
                        [this](const nlohmann::json& in, const Caller&, const Emit& emit) -> Result<Unsubscribe> {
                          asked_ = in;
                          for (const auto& part : parts_) emit(part);
                          return Unsubscribe{};
                        });
    events_ = VarlinkServer::listen(io_, folder_ + "/adit.sock", methods_).value();
  }
  void run() {
    thread_ = std::thread([this] { io_.run(); });
  }
  void open() {
    run();
    ASSERT_EQ(adit_open(&connection_, folder_.c_str(), &error_), 0) << error_.text;
  }
  void TearDown() override {
    adit_close(connection_);
    asio::post(io_, [this] { policy_.reset(), events_.reset(); });
    if (thread_.joinable()) thread_.join();
    io_.run();
    std::filesystem::remove_all(folder_);
  }

  static adit_rule_t rule_to(const char* network, const adit_action_t* action) {
    adit_rule_t rule{};
    rule.tunnel = "t0";
    rule.flags = SPD_RULE_FLAG_INBOUND | SPD_RULE_FLAG_OUTBOUND | SPD_RULE_FLAG_TUNNEL;
    rule.actions = action;
    rule.action_count = 1;
    EXPECT_EQ(adit_parse_prefix(&rule.remote, network), 0);
    return rule;
  }
  static int count(void* context, const adit_rule_t*) {
    ++*static_cast<int*>(context);
    return 0;
  }
  int rules(const char* tunnel = nullptr, uint32_t flags = 0) {
    int told = 0;
    EXPECT_EQ(adit_dump(connection_, tunnel, flags, count, &told, nullptr, &error_), 0) << error_.text;
    return told;
  }

  asio::io_context io_;
  FakePolicyAccess access_;
  VarlinkMethods methods_;
  std::vector<nlohmann::json> parts_;
  nlohmann::json asked_;
  std::unique_ptr<PolicyServer> policy_;
  std::unique_ptr<VarlinkServer> events_;
  std::thread thread_;
  std::string folder_;
  adit_t* connection_ = nullptr;
  adit_error_t error_{};
  const adit_action_t gcm_{SPD_ACTTYPE_IPSEC, SPD_APPLY_ESP, {}, {20, 256, 256, 0}, {}, 0};
};

TEST_F(LibaditTest, WithoutADaemonItSaysSo) {
  adit_t* connection = nullptr;
  EXPECT_EQ(adit_open(&connection, "/nonexistent", &error_), ENOENT);
  EXPECT_NE(std::string(error_.text).find("start it with 'aditd'"), std::string::npos);
  adit_events_t* events = nullptr;
  EXPECT_EQ(adit_events_open(&events, "/nonexistent", nullptr, nullptr, nullptr), ENOENT);
  EXPECT_EQ(adit_open(&connection, std::string(200, 'x').c_str(), &error_), ENAMETOOLONG);
  adit_close(nullptr);
  adit_rollback(nullptr);
  adit_events_close(nullptr);
  EXPECT_EQ(adit_version(), uint32_t{ADIT_API_VERSION});
}

TEST_F(LibaditTest, ATransactionIsInForceWhenItIsCommitted) {
  open();
  ASSERT_EQ(adit_set_namespace(connection_, "svc:/a", 0, &error_), 0);
  adit_transaction_t *transaction = nullptr, *second = nullptr;
  ASSERT_EQ(adit_begin(connection_, 0, &transaction, &error_), 0);
  EXPECT_EQ(adit_begin(connection_, 0, &second, &error_), EBUSY);
  EXPECT_EQ(adit_set_namespace(connection_, "", 0, &error_), EBUSY);
  const adit_rule_t rule = rule_to("10.0.1.0/24", &gcm_);
  uint64_t index = 0;
  ASSERT_EQ(adit_add(transaction, &rule, &index, &error_), 0) << error_.text;
  EXPECT_EQ(index, 2u);
  EXPECT_EQ(adit_add(transaction, &rule, &index, &error_), EEXIST);
  EXPECT_NE(std::string(error_.text).find("same entry already"), std::string::npos);
  int drafted = 0;
  EXPECT_EQ(adit_dump_draft(transaction, nullptr, count, &drafted, &error_), 0);
  EXPECT_EQ(drafted, 2);
  EXPECT_EQ(rules(), 0);
  uint64_t generation = 0;
  ASSERT_EQ(adit_commit(transaction, 0, 0, &generation, &error_), 0) << error_.text;
  EXPECT_GT(generation, 0u);
  EXPECT_EQ(rules(), 2);
  EXPECT_EQ(rules("t0", ADIT_ALL_NAMESPACES), 2);
  ASSERT_EQ(adit_set_namespace(connection_, "", 0, &error_), 0);
  EXPECT_EQ(rules(), 0);
}

TEST_F(LibaditTest, DeletesClearsAndRollsBack) {
  open();
  adit_transaction_t* transaction = nullptr;
  const adit_rule_t one = rule_to("10.0.1.0/24", &gcm_), two = rule_to("10.0.2.0/24", &gcm_);
  ASSERT_EQ(adit_begin(connection_, ADIT_BEGIN_EMPTY, &transaction, &error_), 0);
  ASSERT_EQ(adit_add(transaction, &one, nullptr, &error_), 0);
  ASSERT_EQ(adit_add(transaction, &two, nullptr, &error_), 0);
  ASSERT_EQ(adit_commit(transaction, 0, 0, nullptr, &error_), 0);
  ASSERT_EQ(adit_begin(connection_, 0, &transaction, &error_), 0);
  adit_rule_t by_index{};
  by_index.tunnel = "t0";
  by_index.index = 1;
  EXPECT_EQ(adit_delete(transaction, &by_index, &error_), 0) << error_.text;
  EXPECT_EQ(adit_delete(transaction, &by_index, &error_), ESRCH);
  EXPECT_EQ(adit_delete(transaction, &two, &error_), 0) << error_.text;
  adit_rollback(transaction);
  EXPECT_EQ(rules(), 4);
  ASSERT_EQ(adit_begin(connection_, 0, &transaction, &error_), 0);
  EXPECT_EQ(adit_clear(transaction, nullptr, &error_), 0);
  ASSERT_EQ(adit_commit(transaction, 0, 0, nullptr, &error_), 0) << error_.text;
  EXPECT_EQ(rules(), 0);
}

TEST_F(LibaditTest, ACommitOverSomebodyElsesChangeIsRefusedAndGoesOn) {
  open();
  adit_t* other = nullptr;
  ASSERT_EQ(adit_open(&other, folder_.c_str(), &error_), 0);
  adit_transaction_t *mine = nullptr, *theirs = nullptr;
  const adit_rule_t one = rule_to("10.0.1.0/24", &gcm_), two = rule_to("10.0.2.0/24", &gcm_);
  ASSERT_EQ(adit_begin(connection_, 0, &mine, &error_), 0);
  ASSERT_EQ(adit_begin(other, 0, &theirs, &error_), 0);
  ASSERT_EQ(adit_add(mine, &one, nullptr, &error_), 0);
  ASSERT_EQ(adit_add(theirs, &two, nullptr, &error_), 0);
  ASSERT_EQ(adit_commit(theirs, 0, 0, nullptr, &error_), 0);
  EXPECT_EQ(adit_commit(mine, 0, 0, nullptr, &error_), EAGAIN);
  EXPECT_EQ(error_.diagnostic, SPD_DIAGNOSTIC_OUTDATED_DRAFT);
  ASSERT_EQ(adit_commit(mine, ADIT_COMMIT_FORCE, 30, nullptr, &error_), 0) << error_.text;
  EXPECT_EQ(access_.last_flip.confirm_seconds, 30u);
  EXPECT_EQ(rules(), 2);
  EXPECT_EQ(adit_confirm(connection_, &error_), ESRCH);
  EXPECT_EQ(adit_undo(connection_, &error_), ESRCH);
  adit_close(other);
}

TEST_F(LibaditTest, ADumpStopsWhenItIsAskedToAndTheConnectionGoesOn) {
  open();
  adit_transaction_t* transaction = nullptr;
  ASSERT_EQ(adit_begin(connection_, 0, &transaction, &error_), 0);
  for (int i = 0; i < 50; ++i) {
    const adit_rule_t rule = rule_to(("10.0." + std::to_string(i) + ".0/24").c_str(), &gcm_);
    ASSERT_EQ(adit_add(transaction, &rule, nullptr, &error_), 0);
  }
  ASSERT_EQ(adit_commit(transaction, 0, 0, nullptr, &error_), 0);
  int seen = 0;
  const auto three = [](void* context, const adit_rule_t*) { return ++*static_cast<int*>(context) == 3 ? -7 : 0; };
  EXPECT_EQ(adit_dump(connection_, nullptr, 0, three, &seen, nullptr, &error_), -7);
  EXPECT_EQ(seen, 3);
  EXPECT_EQ(rules(), 100);
  EXPECT_EQ(adit_dump(connection_, "nosuch", 0, three, &seen, nullptr, &error_), ENOENT);
}

TEST_F(LibaditTest, ALookupTellsTheRule) {
  open();
  adit_transaction_t* transaction = nullptr;
  const adit_rule_t rule = rule_to("10.0.1.0/24", &gcm_);
  ASSERT_EQ(adit_begin(connection_, 0, &transaction, &error_), 0);
  ASSERT_EQ(adit_add(transaction, &rule, nullptr, &error_), 0);
  ASSERT_EQ(adit_commit(transaction, 0, 0, nullptr, &error_), 0);
  adit_packet_t packet{};
  packet.direction = SPD_RULE_FLAG_OUTBOUND;
  packet.protocol = 6;
  packet.has_ports = 1;
  packet.local_port = 5000;
  packet.remote_port = 443;
  ASSERT_EQ(adit_parse_prefix(&packet.local, "10.0.0.2"), 0);
  ASSERT_EQ(adit_parse_prefix(&packet.remote, "10.0.1.2"), 0);
  const auto index_of = [](void* context, const adit_rule_t* found) {
    *static_cast<uint64_t*>(context) = found->index;
    return 0;
  };
  uint64_t index = 0;
  ASSERT_EQ(adit_lookup(connection_, "t0", &packet, index_of, &index, &error_), 0) << error_.text;
  EXPECT_EQ(index, 1u);
  ASSERT_EQ(adit_parse_prefix(&packet.remote, "10.9.1.2"), 0);
  EXPECT_EQ(adit_lookup(connection_, "t0", &packet, index_of, &index, &error_), ESRCH);
  EXPECT_NE(std::string(error_.text).find("dropped"), std::string::npos);
  EXPECT_EQ(adit_lookup(connection_, nullptr, &packet, index_of, &index, &error_), ENOENT);
}

TEST_F(LibaditTest, WhatIsNoRuleIsRefusedHere) {
  open();
  adit_transaction_t* transaction = nullptr;
  ASSERT_EQ(adit_begin(connection_, 0, &transaction, &error_), 0);
  adit_rule_t rule = rule_to("10.0.1.0/24", &gcm_);
  rule.action_count = 0;
  EXPECT_EQ(adit_add(transaction, &rule, nullptr, &error_), EINVAL);
  const std::vector<adit_action_t> many(3000, gcm_);
  rule.actions = many.data();
  rule.action_count = many.size();
  EXPECT_EQ(adit_add(transaction, &rule, nullptr, &error_), E2BIG);
  EXPECT_EQ(adit_commit(transaction, 8, 0, nullptr, &error_), EINVAL);
  EXPECT_EQ(adit_dump(connection_, nullptr, 8, count, nullptr, nullptr, &error_), EINVAL);
  EXPECT_EQ(adit_set_namespace(connection_, "", 0, nullptr), EBUSY);
  adit_rollback(transaction);
  EXPECT_EQ(adit_begin(connection_, 8, &transaction, &error_), EINVAL);
  EXPECT_EQ(adit_set_namespace(connection_, std::string(256, 'n').c_str(), 0, &error_), ENAMETOOLONG);
}

TEST_F(LibaditTest, ADaemonThatGoesIsEpipe) {
  open();
  asio::post(io_, [this] { policy_.reset(); });
  int told = 0, code = 0;
  for (int tries = 0; tries < 1000 && code == 0; ++tries)
    code = adit_dump(connection_, nullptr, 0, count, &told, nullptr, &error_);
  EXPECT_TRUE(code == EPIPE || code == ECONNRESET) << code;
}

// ---- events

nlohmann::json position(uint64_t sequence, uint64_t missed = 0, bool restarted = false) {
  return {{"instance", "00112233aabbccdd"}, {"sequence", sequence}, {"missed", missed}, {"restarted", restarted}};
}
nlohmann::json event(uint64_t sequence, const char* text) {
  return {{"event",
           {{"sequence", sequence},
            {"time", 1'700'000'000},
            {"severity", "warning"},
            {"kind", "link.state"},
            {"subject", "t0"},
            {"text", text}}}};
}

TEST_F(LibaditTest, EventsComeInOrderWithTheirPosition) {
  parts_ = {position(41), event(42, "a \"b\" \xc3\xa9"), {{"later", true}}, event(43, "c")};
  run();
  adit_events_t* events = nullptr;
  adit_missed_t missed{};
  ASSERT_EQ(adit_events_open(&events, folder_.c_str(), nullptr, &missed, &error_), 0) << error_.text;
  adit_position_t at{};
  adit_events_position(events, &at);
  EXPECT_EQ(at.sequence, 41u);
  EXPECT_STREQ(at.instance, "00112233aabbccdd");
  pollfd wait{adit_events_fd(events), POLLIN, 0};
  (void)::poll(&wait, 1, 0);
  adit_event_t one{};
  ASSERT_EQ(adit_events_next(events, &one, 5000, &error_), 0) << error_.text;
  EXPECT_EQ(one.sequence, 42u);
  EXPECT_EQ(one.severity, uint32_t{ADIT_EVENT_WARNING});
  EXPECT_STREQ(one.kind, "link.state");
  EXPECT_STREQ(one.subject, "t0");
  EXPECT_STREQ(one.text, "a \"b\" \xc3\xa9");
  ASSERT_EQ(adit_events_next(events, &one, -1, &error_), 0);
  EXPECT_EQ(one.sequence, 43u);
  adit_events_position(events, &at);
  EXPECT_EQ(at.sequence, 43u);
  EXPECT_EQ(adit_events_next(events, &one, 10, &error_), ETIMEDOUT);
  asio::post(io_, [this] { events_.reset(); });
  EXPECT_EQ(adit_events_next(events, &one, -1, &error_), EPIPE);
  adit_events_close(events);
}

TEST_F(LibaditTest, WhoGoesOnIsToldWhatItMissed) {
  parts_ = {position(5, 3, true), event(5, "x")};
  run();
  adit_events_t* events = nullptr;
  adit_missed_t missed{};
  const adit_position_t before{"0123456789abcdef", 900};
  ASSERT_EQ(adit_events_open(&events, folder_.c_str(), &before, &missed, &error_), 0) << error_.text;
  EXPECT_EQ(missed.events, 3u);
  EXPECT_EQ(missed.restarted, 1u);
  adit_position_t at{};
  adit_events_position(events, &at);
  EXPECT_EQ(at.sequence, 0u) << "the numbers began anew";
  adit_events_close(events);
  EXPECT_EQ(asked_["after"], 900);
  EXPECT_EQ(asked_["instance"], "0123456789abcdef");
  const adit_position_t forged{"\"}, \"x\": {\"", 1};
  EXPECT_EQ(adit_events_open(&events, folder_.c_str(), &forged, nullptr, &error_), EINVAL);
}

TEST_F(LibaditTest, AnAnswerThatIsNoneIsEproto) {
  run();
  for (const nlohmann::json& wrong : {nlohmann::json::object(), nlohmann::json{{"sequence", 1}},
                                      nlohmann::json{{"instance", 5}, {"sequence", 1}, {"missed", 0}},
                                      nlohmann::json{{"instance", "zz"}, {"sequence", 1}, {"missed", 0}}}) {
    std::promise<void> set;
    asio::post(io_, [&] { parts_ = {wrong}, set.set_value(); });
    set.get_future().wait();
    adit_events_t* events = nullptr;
    EXPECT_EQ(adit_events_open(&events, folder_.c_str(), nullptr, nullptr, &error_), EPROTO) << wrong;
  }
}

}  // namespace
