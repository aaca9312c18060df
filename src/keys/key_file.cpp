// The manual-key service: /etc/inet/secret/ipseckeys into the global namespace of the SAD, whole or not at all.
#include "config/ipseckey/key_file.h"
#include "config/ipseckey/ipseckey.h"
#include "keys/keys.h"
#include "linux/process/privileges.h"

namespace adit::engine {
namespace {

constexpr const char* kKeyFile = "/etc/inet/secret/ipseckeys";
constexpr size_t kPage = 1024;

bool same_association(const sad::SaSpec& a, const sad::SaSpec& b) {
  const auto nat = [](const sad::SaSpec& spec) {
    return spec.nat ? std::tuple(true, spec.nat->local, spec.nat->remote, spec.nat->local_port, spec.nat->remote_port)
                    : std::tuple(false, net::Address{}, net::Address{}, uint16_t{}, uint16_t{});
  };
  return a.mode == b.mode && a.source == b.source && a.outer_protocol == b.outer_protocol && a.inner == b.inner &&
         a.auth == b.auth && a.encr == b.encr && a.auth_key == b.auth_key && a.encr_key == b.encr_key &&
         a.salt == b.salt && a.esn == b.esn && a.replay_window == b.replay_window && nat(a) == nat(b) &&
         a.inbound == b.inbound && a.outbound == b.outbound && a.pair == b.pair;
}

// Every SA of the global namespace.
std::vector<sad::SaPtr> global_associations(const sad::Database& database) {
  std::vector<sad::SaPtr> all;
  uint64_t after = 0;
  for (auto page = database.page({}, after, kPage); !page.empty(); page = database.page({}, after, kPage)) {
    after = page.back()->age;
    all.insert(all.end(), page.begin(), page.end());
  }
  return all;
}

Result<> told_errors(const config::KeyText& text, Outcome& outcome) {
  std::string errors;
  for (const auto& problem : text.problems) {
    if (problem.severity == config::Severity::error)
      errors += (errors.empty() ? "" : "\n") + problem.str();
    else
      outcome.notes.push_back(problem.headline());
  }
  if (errors.empty()) return {};
  return fail(EINVAL, "{}", errors);
}

}  // namespace

// It is read into a database of its own, which says whether all of it can stand together; then what is new in it goes
// over in one step. Whatever fails before leaves everything as it was.
Result<Outcome> Keys::load_file() {
  try {
    return replace_by_file(context_.in_root(kKeyFile));
  } catch (const std::bad_alloc&) {
    return fail(ENOMEM, "{}: there is not enough memory for its keys; nothing was changed", context_.in_root(kKeyFile));
  }
}

Result<Outcome> Keys::replace_by_file(const std::string& path) {
  Outcome outcome;
  auto secret = [&] {
    const platform::AsReader reader;
    return config::read_key_file(path);
  }();
  if (!secret && secret.error().code == ENOENT) {
    outcome.progress.push_back(fmt::format("{} does not exist: no manual keys", path));
    return outcome;
  }
  if (!secret) return std::unexpected(secret.error());
  auto text = parse(*secret, path);
  const bool waits = text.waiting > 0;
  TRY(told_errors(text, outcome));
  TRY_ASSIGN(auto requests, config::associations_of(std::move(text), algorithms_.table()));
  sad::Database wanted(context_.clock, algorithms_.table(), {.is_local = [this](const net::Address& address) {
                         return local_addresses_.contains(address);
                       }});
  for (auto& request : requests) {
    if (auto added = wanted.add(std::move(request), {}); !added)
      return fail(added.error().code, "{}: {}; nothing was changed", path, added.error().text);
  }
  TRY(exchange_for(wanted, path));
  keys_changed();
  waiting_file_ = waits ? std::optional(std::move(*secret)) : std::nullopt;
  outcome.progress.push_back(fmt::format("{} security associations are in force.", wanted.size()));
  return outcome;
}

// What is there with the same keys stays.
Result<> Keys::exchange_for(const sad::Database& wanted, const std::string& path) {
  std::vector<sad::SaPtr> gone, fresh;
  for (const auto& sa : global_associations(database_)) {
    const auto stays = wanted.get(sad::name_of(*sa), {});
    if (!stays || !same_association((*stays)->spec, sa->spec)) gone.push_back(sa);
  }
  const std::set<sad::SaPtr> going(gone.begin(), gone.end());
  for (const auto& sa : global_associations(wanted)) {
    const auto there = database_.get(sad::name_of(*sa), {"", true});
    if (there && !(*there)->spec.name_space.empty())
      return fail(EEXIST, "{}: SPI {:#x} to {} belongs to {}", path, static_cast<uint32_t>(sa->spec.spi),
                  sa->spec.destination.str(), (*there)->spec.name_space);
    if (!there || going.contains(*there)) fresh.push_back(sa);
  }
  if (auto exchanged = database_.exchange(gone, fresh); !exchanged)
    return fail(exchanged.error().code, "{}: {}; nothing was changed", path, exchanged.error().text);
  return {};
}

}  // namespace adit::engine
