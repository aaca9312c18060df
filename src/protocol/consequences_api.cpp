// One place where the commands of varlink learn what became of tunnels by what they did.
#include "engine/consequences.h"
#include "protocol/engine_api.h"

namespace adit::protocol {

using nlohmann::json;

void tell_consequences(VarlinkMethods& methods, engine::Engine& engine) {
  methods.around_writes([&engine](const Handler& write, const json& in, const Caller& caller) -> Result<json> {
    const engine::Consequences::Watch watch(&engine.consequences());
    TRY_ASSIGN(json answer, write(in, caller));
    for (const std::string& sentence : watch.sentences()) answer["notes"].push_back(sentence);
    return answer;
  });
}

}  // namespace adit::protocol
