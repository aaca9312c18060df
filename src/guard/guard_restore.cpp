// The guard's start: the book from its files, what stands in the kernel where the book was lost, and all of it into the
// layers before anything else.
#include "base/store.h"
#include "guard/guard.h"
#include "linux/platform/mark.h"

#include <unistd.h>

namespace adit::engine {

using guard::Book;
using guard::BookFile;
using guard::Lines;

// A copy that cannot be read is as one that is lost: one that can is enough.
Result<> Guard::load_books() {
  std::map<BookFile*, Book> stand;
  std::vector<Lines> read;
  std::vector<Error> unreadable;
  for (BookFile* file : files_.all()) {
    auto loaded = file->load();
    if (!loaded) unreadable.push_back(std::move(loaded.error()));
    if (!loaded || !*loaded) continue;
    if ((*loaded)->whole != 0) stand[file] = (*loaded)->book();
    read.push_back(std::move(**loaded));
  }
  any_book_ = !read.empty();
  if (!any_book_ && !unreadable.empty())
    return fail(
        unreadable.front().code,
        "{}; no other copy is there, and without it aditd cannot know which networks to keep closed: put it back, "
        "or delete it if no secured tunnel needs it",
        unreadable.front().text);
  if (!any_book_) return {};
  for (const Error& error : unreadable)
    context_.events.add(Severity::alert, EventKind::guard_failed, "",
                        fmt::format("{}; the guard's book is taken from its other copies", error.text));
  book_ = guard::book_of(read);
  mend_files(stand);
  return {};
}

// A copy that was lost, cut or is older is written whole again before anything else: the next loss may hit another. An
// older one may say the same today, and not say what has gone since.
void Guard::mend_files(const std::map<BookFile*, Book>& stand) {
  const Book lasting = lasting_book();
  Result<> mended;
  for (BookFile* file : files_.all()) {
    const auto found = stand.find(file);
    if (found != stand.end() && found->second.generation == book_.generation &&
        found->second == (file == &files_.run ? book_ : lasting))
      continue;
    if (auto written = file->rewrite(book_); !written) mended = written;
  }
  if (!mended)
    context_.events.add(Severity::alert, EventKind::guard_failed, "",
                        fmt::format("a copy of the guard's book is not whole: {}", mended.error().text));
}

Book Guard::lasting_book() const {
  Book lasting;
  for (const auto& [network, entry] : book_.networks()) lasting.put(network, entry.lasting());
  for (const auto& name : book_.inside()) lasting.set_inside(name, true);
  lasting.generation = book_.generation;
  return lasting;
}

// An intact book is the authority; the kernel is asked only where it knows of later changes than the book.
Result<> Guard::adopt_what_stands() {
  TRY_ASSIGN(const auto found, context_.platform.found_guard());
  log_book(found && found->generation > book_.generation);
  if (!found) return {};
  if (found->book != plan_.book && !found->networks.empty())
    return fail(EBUSY,
                "this network namespace is guarded by the Adit whose root is {}; end that one, open what it keeps "
                "closed ('adit -R {} guard list'), or run this one in a namespace of its own",
                found->book.empty() ? "/" : found->book, found->book.empty() ? "/" : found->book);
  if (found->generation <= book_.generation) return {};
  Book::Before before;
  std::string networks;
  for (const auto& network : found->networks) {
    if (book_.holds(network)) continue;
    book_.add({network, "", GuardSource::kept, false}, &before);
    context_.steps.adopted(network);
    networks += (networks.empty() ? "" : ", ") + network.str();
  }
  book_.generation = found->generation;
  if (before.empty()) return {};
  context_.events.add(
      Severity::alert, EventKind::guard_adopted, "",
      fmt::format("the guard's book was lost or is older than what the kernel closes: {} {} kept closed; 'adit guard "
                  "open NETWORK' opens what is not wanted",
                  networks, before.size() == 1 ? "is" : "are"));
  TRY(write(before, ""));
  log_added(before);
  return {};
}

platform::GuardPlan Guard::whole_plan() const {
  platform::GuardPlan plan;
  plan.book = context_.settings.root;
  plan.generation = book_.generation;
  plan.mark = platform::kOuterMark;
  plan.uid = ::geteuid();
  for (const auto& [network, entry] : book_.networks()) plan.closed.emplace(network, devices_of(entry));
  plan.inside = inside_networks();
  for (const auto& [flow, count] : flows_) plan.flows.insert(flow);
  for (const auto& [peer, count] : peers_)
    if (thrown(peer)) plan.peers.insert(peer);
  return plan;
}

Result<> Guard::restore() {
  starting_ = true;
  plan_.book = context_.settings.root;
  context_.steps.start();
  TRY(load_books());
  TRY(adopt_what_stands());
  context_.steps.started();
  if (auto sent = send({}); !sent)
    context_.events.add(
        Severity::alert, EventKind::guard_failed, "",
        fmt::format("the guard does not stand whole: {}; until it does no tunnel opens", sent.error().text));
  return {};
}

Result<> Guard::assert_table() {
  TRY(apply_host_table());
  starting_ = false;
  if (const auto saved = save_host_table(); !saved)
    context_.events.add(
        Severity::alert, EventKind::guard_failed, "",
        fmt::format("{}; the host's table stands now, and would not at the next boot", saved.error().text));
  return {};
}

// A tunnel that is not there closes all the same: its record may be lost, and what it protected is not.
void Guard::all_restored() {
  std::map<std::string, std::string> orphans;
  for (const auto& [network, entry] : book_.networks()) {
    for (const auto& [key, holder] : entry.holders) {
      const auto view = links_.tunnel(key.tunnel);
      if ((view && view->secured) || holder.sources.contains(GuardSource::kept)) continue;
      auto& networks = orphans[key.tunnel];
      networks += (networks.empty() ? "" : ", ") + network.str();
    }
  }
  for (const auto& [tunnel, networks] : orphans)
    context_.events.add(
        Severity::alert, EventKind::guard_orphaned, tunnel,
        fmt::format("{} is closed for {}, which {}; 'adit guard open NETWORK' opens it", networks, tunnel,
                    links_.tunnel(tunnel) ? "is not secured any more" : "is not there any more"));
  reassert(true, false);
}

}  // namespace adit::engine
