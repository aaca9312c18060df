// One of the guard's two tables in the kernel: `adit-guard`, which lasts, or `adit-own`, which belongs to this
// process's socket: nobody else can change it, and it goes with the socket. By nfnetlink itself. One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "linux/guard/content/guard_chains.h"
#include "linux/guard/content/guard_content.h"
#include "linux/guard/layers/guard_mend.h"
#include "linux/guard/layers/guard_read.h"
#include "linux/netlink/netlink_socket.h"
#include "linux/platform/platform.h"

namespace adit::platform {

constexpr const char* kLastingTable = "adit-guard";
constexpr const char* kOwnedTable = "adit-own";

// The kernel counts the transactions of a namespace. As long as it has counted none but ours, what we looked at stands.
class NftGeneration {
 public:
  // Around a transaction of ours: whether nobody came between.
  Result<bool> ours(Netlink& nfnetlink, const std::function<Result<>()>& transaction);
  Result<bool> undisturbed(Netlink& nfnetlink);
  // What was looked at between the two is so until the next transaction.
  static Result<uint32_t> now(Netlink& nfnetlink);
  void trust(uint32_t generation) { trusted_ = generation; }
  void distrust() { trusted_.reset(); }

 private:
  std::optional<uint32_t> trusted_;
};

class GuardTable {
 public:
  // `beside`: an owned one that stands for a moment while another table cannot be mended in place.
  enum class Kind : uint8_t { lasting, owned, beside };
  // `generation` is shared by all tables of a process, and outlives them.
  static Result<GuardTable> open(Kind kind, NftGeneration& generation);

  // EBUSY: a lasting table that stands, and that this object did not make, is another root's.
  Result<> is_not_anothers(const std::string& book);
  // The whole table as it should be, whatever is there: nothing is touched that is so already, the rest is mended in
  // place, and what cannot be is made again while another table stands beside it. No packet meets a moment between.
  // Counts go on. EPERM (owned): another process holds it. EBUSY (lasting): it is another Adit's, whose root the text
  // names.
  Result<> replace(const GuardContent& content, bool ask_before_routing);
  // `step` led to `content`. One transaction; where it finds the table another than it was: replace.
  Result<> change(const ElementStep& step, const GuardContent& content, bool ask_before_routing);
  Result<> remove();  // not there: success

  // What is wrong with the table, by its whole content, in words; empty: nothing.
  Result<std::string> fault(const GuardContent& content);
  // nullopt: no such table, or one that names no book.
  Result<std::optional<FoundGuard>> found();
  // By which numbers the table that stands knows its networks; whoever goes on with them need not touch them.
  Result<GuardNumbers> numbers();
  Result<std::vector<LeakCount>> leaks();

  [[nodiscard]] uint32_t port() const { return netlink_.port(); }  // by which notices name our changes
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  GuardTable(Kind kind, NftGeneration& generation, Netlink netlink);
  [[nodiscard]] GuardChains chains(const GuardContent& content, bool ask_before_routing) const;
  Result<> learn_shape(const GuardChains& chains);
  Result<GuardMend> look(const GuardContent& content);
  Result<> mend(GuardMend& mend, uint32_t generation);
  Result<> grow(const ElementStep& step, const GuardContent& content, bool ask_before_routing);
  Result<> make_again(const GuardContent& content, bool ask_before_routing);
  Result<> transact(std::vector<NetlinkMessage>& messages, std::optional<uint32_t> generation = {});
  Result<> count();
  Result<bool> there();

  Kind kind_;
  NftGeneration* generation_;
  Netlink netlink_;
  std::string name_;
  bool made_ = false;                // by this process: whatever book it names now, it is to be ours
  std::optional<GuardChains> form_;  // that shape_ is of
  GuardShape shape_;                 // as the kernel tells what we want to see
  GuardCounts counts_;               // as read last
};

// What several tables have stopped, together.
std::vector<LeakCount> sum_of_leaks(const std::vector<std::vector<LeakCount>>& tables);

}  // namespace adit::platform
