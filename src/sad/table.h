// The SAD as the packet path reads it: an immutable table, cheap to change by copying the parts that change.
#pragma once

#include <memory>
#include <vector>

#include "net/flow.h"
#include "sad/sa.h"
#include "spd/rule.h"

namespace adit::sad {

class Table {
 public:
  Table();

  // Inbound: the SA of (SPI, type, destination), whatever its state; nullptr: none. Never allocates.
  [[nodiscard]] Sa* find(Spi spi, SaType type, const net::Address& destination) const;

  // An SA of a namespace serves only rules of that namespace, one of the global namespace serves all.
  // Outbound: what satisfies `rule` for `flow`: for the first alternative that can be satisfied whole (AH, ESP or
  // both), MATURE before DYING, the newest first. Both null: none. The SA's inner selectors must equal the rule's, or
  // cover the flow; an SA without inner selectors covers every flow of its outer pair. Transport-mode rules take only
  // such SAs. Cost: one hash probe for each distinct shape of selectors between these outer addresses. Never allocates.
  struct Bundle {
    Sa* esp = nullptr;
    Sa* ah = nullptr;
    const spd::Action* action = nullptr;
    [[nodiscard]] bool found() const { return esp != nullptr || ah != nullptr; }
  };
  [[nodiscard]] Bundle select(const spd::Rule& rule, const Endpoints& outer, const net::Flow& flow) const;

  // Inbound policy: may a packet that came under these SAs be let in by this rule (algorithms, key lengths, AH and ESP
  // as one of its alternatives asks)?
  static bool satisfies(const spd::Rule& rule, const Sa* esp, const Sa* ah);

  // A changed copy shares all but what changed. EEXIST: (SPI, type, destination) is taken. ENOSPC: more than kMaxShapes
  // distinct shapes of inner selectors between the same outer addresses.
  [[nodiscard]] Result<std::shared_ptr<const Table>> with(std::shared_ptr<Sa> sa) const;
  [[nodiscard]] std::shared_ptr<const Table> without(const Sa& sa) const;

  [[nodiscard]] std::vector<std::shared_ptr<Sa>> all() const;
  [[nodiscard]] size_t size() const;

  static constexpr size_t kMaxShapes = 64;

  // Implementation (sad/table_parts.h).
  struct Parts;
  explicit Table(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}

 private:
  std::shared_ptr<const Parts> parts_;
};

}  // namespace adit::sad
