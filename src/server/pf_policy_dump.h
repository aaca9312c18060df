// A DUMP in progress: header, a message a rule, trailer (pf_policy.md §7). What it tells is one snapshot, that of its
// beginning; the trailer says EAGAIN when the rules have changed since.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/pf_policy/message.h"
#include "spd/database.h"

namespace adit::protocol {

// A rule as a DUMP and a LOOKUP answer carry it. `extended`: with SPD_EXT_NAMESPACE and SPD_EXT_ORIGIN.
PolicyMessage rule_message(const PolicyHeader& header, std::string_view head, const spd::Rule& rule, bool extended);

// Dump order within a head: outbound before inbound; rules of one remote host, then IPv4, then IPv6 (pf_policy.md §7).
std::vector<const spd::Rule*> dump_order(std::span<const spd::Rule> rules,
                                         const std::optional<std::string>& name_space);
std::vector<const spd::Rule*> dump_order(std::vector<const spd::Rule*> rules,
                                         const std::optional<std::string>& name_space);

class PolicyDump {
 public:
  struct Wish {
    PolicyHeader header;                    // of the request
    std::optional<std::string> head;        // nullopt: all
    std::optional<std::string> name_space;  // nullopt: all
    bool extended = false;
  };
  // What is in force.
  PolicyDump(Wish wish, std::shared_ptr<const spd::HeadSet> heads, uint64_t version);
  // A draft.
  PolicyDump(Wish wish, const spd::Draft& draft, uint64_t version);

  // The next message; `version_now` decides the trailer. nullopt: that was all.
  std::optional<std::vector<uint8_t>> next(uint64_t version_now);
  [[nodiscard]] const std::optional<std::string>& name_space() const { return wish_.name_space; }

 private:
  enum class Stage : uint8_t { header, rules, trailer, done };
  bool open_next_head();
  [[nodiscard]] std::vector<uint8_t> ruleset(uint32_t count, uint8_t error) const;

  Wish wish_;
  uint64_t version_;
  std::shared_ptr<const spd::HeadSet> heads_;  // null: a draft's
  spd::Draft draft_;
  std::vector<std::string> names_;
  size_t next_name_ = 0;
  std::string head_;  // being told
  std::vector<const spd::Rule*> order_;
  size_t at_ = 0;
  uint32_t count_ = 0;
  Stage stage_ = Stage::header;
};

}  // namespace adit::protocol
