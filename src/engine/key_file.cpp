// The manual-key service: /etc/inet/secret/ipseckeys into the global namespace of the SAD, whole or not at all.
#include "config/key_file.h"
#include "config/ipseckey.h"
#include "engine/keys.h"

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

// The text is read twice, because keys are not copied: once into a database of its own, which says whether all of it
// can stand together, and once into the one in force.
Result<Outcome> Keys::load_file() {
  Outcome outcome;
  const std::string path = context_.in_root(kKeyFile);
  auto secret = config::read_key_file(path);
  if (!secret && secret.error().code == ENOENT) {
    outcome.progress.push_back(fmt::format("{} does not exist: no manual keys", path));
    return outcome;
  }
  if (!secret) return std::unexpected(secret.error());
  const auto read = [&] { return parse(*secret, path); };
  auto text = read();
  const bool waits = text.waiting > 0;
  TRY(told_errors(text, outcome));
  TRY_ASSIGN(auto rehearsal, config::associations_of(std::move(text), algorithms_.table()));
  sad::Database wanted(context_.clock, algorithms_.table(), {.is_local = [this](const net::Address& address) {
                         return local_addresses_.contains(address);
                       }});
  for (auto& request : rehearsal) {
    const sad::SaName name{request.spec.type, request.spec.spi, request.spec.destination};
    if (auto added = wanted.add(std::move(request), {}); !added)
      return fail(added.error().code, "{}: {}", path, added.error().text);
    const auto taken = database_.get(name, {"", true});
    if (taken && !(*taken)->spec.name_space.empty())
      return fail(EEXIST, "{}: SPI {:#x} to {} belongs to {}", path, static_cast<uint32_t>(name.spi),
                  name.destination.str(), (*taken)->spec.name_space);
  }
  TRY_ASSIGN(auto requests, config::associations_of(read(), algorithms_.table()));

  for (const auto& sa : global_associations(database_)) {
    const auto stays = wanted.get(sad::name_of(*sa), {});
    if (!stays || !same_association((*stays)->spec, sa->spec)) (void)database_.remove(sad::name_of(*sa), {});
  }
  size_t count = 0;
  for (auto& request : requests) {
    ++count;
    if (database_.get({request.spec.type, request.spec.spi, request.spec.destination}, {})) continue;
    if (auto added = database_.add(std::move(request), {}); !added)
      context_.events.add(Severity::alert, "key.failed", path, added.error().text);
  }
  keys_changed();
  waiting_file_ = waits ? std::optional(std::move(*secret)) : std::nullopt;
  outcome.progress.push_back(fmt::format("{} security associations are in force.", count));
  return outcome;
}

}  // namespace adit::engine
