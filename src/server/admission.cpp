#include "server/admission.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace adit::protocol {

using std::chrono::nanoseconds;

Admission::Rank Admission::by_user(uid_t user) {
  return {.standing = user == 0 || user == ::geteuid() ? Standing::privileged : Standing::anyone};
}

Admission::Admission(const Clock& clock, Ranking ranking, AdmissionLimits limits)
    : clock_(clock), ranking_(std::move(ranking)), limits_(limits) {}

std::shared_ptr<Admission> Admission::usual() {
  struct House {
    SystemClock clock;
    Admission admission{clock};
  };
  auto house = std::make_shared<House>();
  return {house, &house->admission};
}

size_t Admission::connections() const {
  size_t sum = 0;
  for (const Account& account : all_) sum += account.connections;
  return sum;
}

std::unique_ptr<Admission::Seat> Admission::admit(const std::shared_ptr<Admission>& admission, uid_t user) {
  Admission& house = *admission;
  const MonoTime now = house.clock_.now();
  std::erase_if(house.users_,
                [&](const auto& entry) { return entry.second.connections == 0 && entry.second.free_at < now; });
  const Rank rank = house.ranking_(user);
  const auto standing = static_cast<size_t>(rank.standing);
  const auto known = house.users_.find(user);
  const size_t has = known == house.users_.end() ? 0 : known->second.connections;
  if (has >= house.limits_.of_user[standing].connections ||
      house.all_[standing].connections >= house.limits_.of_all[standing].connections)
    return nullptr;
  return std::unique_ptr<Seat>(new Seat(admission, user, rank));
}

// What was not used for longer than a burst is lost.
void Admission::charge(Account& account, unsigned percent, nanoseconds spent) const {
  const MonoTime now = clock_.now();
  const nanoseconds burst = limits_.burst * 100 / percent;
  account.free_at = std::max(account.free_at, now - burst) + spent * 100 / percent;
}

Admission::Seat::Seat(std::shared_ptr<Admission> house, uid_t user, Rank rank)
    : house_(std::move(house)), user_(user), standing_(rank.standing), more_memory_(rank.more_memory) {
  ++mine().connections;
  ++all().connections;
}

Admission::Seat::~Seat() {
  end_stream();
  for (const Kind kind : {Kind::traffic, Kind::drafts, Kind::dump}) (void)hold(kind, 0);
  --mine().connections;
  --all().connections;
}

bool Admission::Seat::hold(Kind kind, size_t bytes) {
  size_t& held = held_[static_cast<size_t>(kind)];
  if (bytes > held && !privileged()) {
    const size_t more = bytes - held;
    if (mine().memory + more > my_share().memory + more_memory_ || all().memory + more > all_share().memory)
      return false;
  }
  mine().memory = mine().memory - held + bytes;
  all().memory = all().memory - held + bytes;
  held = bytes;
  return true;
}

bool Admission::Seat::hold_stream() {
  if (streams_) return true;
  if (mine().streams >= my_share().streams || all().streams >= all_share().streams) return false;
  ++mine().streams;
  ++all().streams;
  return streams_ = true;
}

void Admission::Seat::end_stream() {
  if (!std::exchange(streams_, false)) return;
  --mine().streams;
  --all().streams;
}

nanoseconds Admission::Seat::turn_in() const {
  if (privileged()) return nanoseconds::zero();
  return std::max({nanoseconds::zero(), mine().free_at - house_->clock_.now(), all().free_at - house_->clock_.now()});
}

void Admission::Seat::pay(nanoseconds spent) {
  if (privileged()) return;
  house_->charge(mine(), my_share().percent, spent);
  house_->charge(all(), all_share().percent, spent);
}

}  // namespace adit::protocol
