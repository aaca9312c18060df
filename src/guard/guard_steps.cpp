// What the guard does, as docs/model calls it, for the log of steps.
#include <algorithm>
#include <tuple>

#include "guard/guard.h"

namespace adit::engine {

using guard::Book;
using guard::Entry;

namespace {

// A reason of a book's entry, in the words of docs/model.
struct Reason {
  std::string tunnel, who;
  std::string_view source;
  bool temporary = false;
  friend bool operator==(const Reason& a, const Reason& b) {
    return std::tie(a.tunnel, a.who, a.source) == std::tie(b.tunnel, b.who, b.source);
  }
};

std::vector<Reason> reasons_of(const Entry* entry) {
  std::vector<Reason> all;
  if (entry == nullptr) return all;
  for (const auto& [key, holder] : entry->holders)
    for (const GuardSource source : holder.sources) {
      const bool seen = source == GuardSource::seen;
      all.push_back({key.tunnel,
                     seen                ? "others"
                     : key.owner.empty() ? "operator"
                                         : "user:" + key.owner,
                     seen ? "standing" : name_of(source), holder.temporary});
    }
  return all;
}

std::vector<Reason> not_in(const std::vector<Reason>& all, const std::vector<Reason>& others) {
  std::vector<Reason> rest;
  std::ranges::copy_if(all, std::back_inserter(rest),
                       [&](const Reason& one) { return std::ranges::find(others, one) == others.end(); });
  return rest;
}

std::vector<Reason> added(const Book& book, const Book::Before::value_type& was) {
  return not_in(reasons_of(book.find(was.first)), reasons_of(was.second ? &*was.second : nullptr));
}

std::vector<Reason> removed(const Book& book, const Book::Before::value_type& was) {
  return not_in(reasons_of(was.second ? &*was.second : nullptr), reasons_of(book.find(was.first)));
}

// One of a change, and of no other: the generation with which its lines were, or will be, written.
std::string record_of(uint64_t generation) {
  return fmt::format("g{}", generation);
}

}  // namespace

void Guard::log_writes(const Book::Before& before) {
  if (!context_.steps.on()) return;
  for (const auto& was : before)
    for (const Reason& one : added(book_, was)) context_.steps.book_writes(was.first, one.tunnel, one.who, one.source);
}

void Guard::log_added(const Book::Before& before) {
  if (!context_.steps.on()) return;
  for (const auto& was : before)
    for (const Reason& one : added(book_, was))
      context_.steps.book_added(was.first, one.tunnel, one.who, one.source, one.temporary);
}

void Guard::log_records(const Book::Before& before, const Word& word) {
  if (!context_.steps.on()) return;
  const std::string id = record_of(book_.generation + 1);
  for (const auto& was : before)
    for (const Reason& one : removed(book_, was))
      context_.steps.record(id, word.why, was.first, one.tunnel, word.who, one.source);
}

void Guard::log_removed(const Book::Before& before) {
  if (!context_.steps.on()) return;
  const std::string id = record_of(book_.generation);
  for (const auto& was : before)
    for (const Reason& one : removed(book_, was))
      context_.steps.book_removed(was.first, one.tunnel, one.who, one.source, id);
}

void Guard::log_book(bool kernel_knows_more) {
  if (!context_.steps.on()) return;
  context_.steps.book(!any_book_ ? BookState::missing : kernel_knows_more ? BookState::older : BookState::intact);
  for (const auto& [network, entry] : book_.networks())
    for (const Reason& one : reasons_of(&entry))
      context_.steps.loaded(network, one.tunnel, one.who, one.source, one.temporary);
}

// Something was found broken: what stands now.
void Guard::look_at_layers() {
  const platform::GuardState state = context_.platform.guard_state();
  away_ = !state.rule || !state.owned || !state.lasting;
  const bool stands[] = {state.rule, state.owned, state.lasting};
  for (const Layer layer : kLayers) {
    context_.steps.layer_down(layer);
    if (stands[static_cast<size_t>(layer)] && whole_) context_.steps.layer_up(layer);
  }
}

void Guard::log_passes(const std::string& name, const Ends& before, const Ends& now) {
  const int was = before.secured ? before.device : 0, is = now.secured ? now.device : 0;
  if (was == is) return;
  if (was != 0) context_.steps.passes_no_longer(name, was);
  if (is != 0) context_.steps.passes(name, is);
}

}  // namespace adit::engine
