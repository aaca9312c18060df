#include "datapath/sa_limits.h"

namespace adit::datapath {

namespace {

void report(const Context& context, const sad::Sa& sa, sad::Expiry expiry) {
  context.report(SaReached{sa.spec.spi, sa.spec.type, sa.spec.destination, expiry});
}

void kill(const Context& context, sad::Sa& sa, sad::Expiry expiry) {
  if (sa.state.exchange(sad::SaState::dead) != sad::SaState::dead) report(context, sa, expiry);
}

}  // namespace

DropReason check_limits(const Context& context, sad::Sa& sa) {
  switch (const sad::Expiry expiry = sa.due(context.seconds)) {
    case sad::Expiry::none:
    case sad::Expiry::idle:  // an idle SA is not idle with a packet at hand; the engine's timer judges it
      return DropReason::none;
    case sad::Expiry::soft: {
      sad::SaState mature = sad::SaState::mature;
      if (sa.state.compare_exchange_strong(mature, sad::SaState::dying)) report(context, sa, expiry);
      return DropReason::none;
    }
    case sad::Expiry::hard:
      kill(context, sa, expiry);
      return DropReason::sa_expired;
    case sad::Expiry::sequence:
      kill(context, sa, expiry);
      return DropReason::sequence_exhausted;
  }
  return DropReason::none;
}

void stop_exhausted(const Context& context, sad::Sa& sa) {
  kill(context, sa, sad::Expiry::sequence);
}

// An event that found no room is reported after the next burst.
void ask_for_numbers(const Context& context, sad::Sa& sa) {
  if (!sa.numbers_due.load(std::memory_order_relaxed) || !sa.numbers_due.exchange(false)) return;
  if (!context.shared.events.put(NumbersWanted{sa.spec.spi, sa.spec.type, sa.spec.destination}))
    sa.numbers_due.store(true);
}

}  // namespace adit::datapath
