// Names in the key file: an SA whose name does not resolve is left out, and comes in when it does.
#include "config/ipseckey/key_file.h"
#include "control/names.h"
#include "keys/keys.h"

namespace adit::engine {

config::KeyText Keys::parse(const Secret& file, const std::string& path) const {
  return context_.names->with_names([&](const config::Resolver& resolver) {
    return config::parse_ipseckeys(config::text_of(file), {path}, algorithms_.table(), resolver);
  });
}

// Those that are there stay as they are, and what others did meanwhile too.
void Keys::names_changed() {
  if (!waiting_file_) return;
  auto text = parse(*waiting_file_, "the key file");
  const bool waits = text.waiting > 0;
  auto requests = config::associations_of(std::move(text), algorithms_.table());
  if (!requests) return context_.events.add(Severity::alert, EventKind::key_failed, "", requests.error().text);
  for (auto& request : *requests) {
    if (database_.get({request.spec.type, request.spec.spi, request.spec.destination}, {"", true})) continue;
    if (auto added = database_.add(std::move(request), {}); !added)
      context_.events.add(Severity::alert, EventKind::key_failed, "", added.error().text);
  }
  if (!waits) waiting_file_.reset();
  keys_changed();
}

}  // namespace adit::engine
