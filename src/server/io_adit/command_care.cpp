// What every command of varlink that changes something is given: it is kept from cutting its caller's own way in, and
// it learns what became of tunnels by what it did.
#include "control/consequences.h"
#include "engine/engine.h"
#include "guard/guard.h"
#include "server/io_adit/engine_api.h"

namespace adit::protocol {

using nlohmann::json;

void care_for_commands(VarlinkMethods& methods, engine::Engine& engine) {
  methods.around_writes([&engine](const Handler& write, const json& in, const Caller& caller) -> Result<json> {
    const engine::Consequences::Watch watch(&engine.consequences());
    const auto named = optional_text(in, "session");
    const auto session = named ? net::Address::parse(*named) : fail(ENOENT, "none");
    engine::Guard::Session own(engine.guard(), session ? std::optional(*session) : std::nullopt);
    Result<json> answer = write(in, caller);
    if (!own.refused().empty()) return fail(engine::kEndsSession, "{}", own.refused());
    engine.handle_platform_changes();  // what the kernel says of it, and what follows from that
    if (!answer) return answer;
    for (const std::string& sentence : watch.sentences()) (*answer)["notes"].push_back(sentence);
    return answer;
  });
}

}  // namespace adit::protocol
