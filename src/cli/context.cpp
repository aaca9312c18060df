#include "cli/context.h"

#include <ostream>

#include "protocol/varlink.h"
#include "protocol/varlink_client.h"

namespace adit::cli {

Result<nlohmann::json> Context::call(const std::string& method, const nlohmann::json& parameters) {
  TRY_ASSIGN(auto client, protocol::VarlinkClient::connect(socket("adit.sock")));
  TRY_ASSIGN(nlohmann::json answer, client.call(method, parameters));
  TRY_ASSIGN(const auto notes, protocol::texts_parameter(answer, "notes"));
  for (const auto& note : notes) err << self << ": " << note << '\n';
  return answer;
}

Result<> Context::follow(const std::string& method, const nlohmann::json& parameters,
                         const std::function<bool(const nlohmann::json&)>& each) {
  TRY_ASSIGN(auto client, protocol::VarlinkClient::connect(socket("adit.sock")));
  return client.follow(method, parameters, each);
}

int Context::failed(const std::string& context, const Error& error) {
  err << self << ": " << (context.empty() ? "" : context + ": ") << error.text << '\n';
  return kFailed;
}

int Context::usage(const std::string& problem, const std::string& usage_text) {
  if (!problem.empty()) err << self << ": " << problem << '\n';
  err << usage_text;
  return kUsage;
}

}  // namespace adit::cli
