// One head as the database keeps it: the shelves of its namespaces, and what both edits in force and drafts do to a
// shelf.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "spd/shelf.h"

namespace adit::spd {

// By namespace in a head, by head in a draft.
using Shelves = std::map<std::string, std::shared_ptr<Shelf>, std::less<>>;

struct HeadState {
  Shelves shelves;
  uint64_t last_index = 0;
  bool pinned = false;  // a tunnel of that name exists
};

// What may be edited in place: made when null, copied when somebody else (a draft) holds it too.
Shelf& own(std::shared_ptr<Shelf>& shelf);
std::shared_ptr<Shelf> shelf_in(const Shelves& shelves, std::string_view key);
// Puts it there, or takes the key out when nothing is on it.
void put(Shelves& shelves, std::string_view key, std::shared_ptr<Shelf> shelf);

// Of all namespaces, by index.
std::vector<Rule> rules_in_order(const HeadState& head);

// Checks the entries of one ADDRULE against a shelf, numbers them and puts them on it; on an error nothing has changed.
Result<> shelve(Shelf& shelf, HeadState& state, std::string_view head, std::string_view name_space,
                std::vector<Rule>& entries);
// The indexes on a shelf whose traffic is that of one of `like`.
std::vector<uint64_t> matching(const Shelf& shelf, const std::vector<Rule>& like);

// Words for messages.
std::string_view spoken(std::string_view name_space);
std::string spoken_head(std::string_view head);
std::unexpected<Error> unknown_head(std::string_view head);
std::unexpected<Error> mixed(std::string_view head);

}  // namespace adit::spd
