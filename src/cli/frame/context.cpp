#include "cli/frame/context.h"

#include <istream>
#include <ostream>
#include <string>

#include "protocol/varlink/varlink.h"
#include "protocol/varlink/varlink_client.h"

namespace adit::cli {

Result<nlohmann::json> Context::call(const std::string& method, const nlohmann::json& parameters) {
  TRY_ASSIGN(auto client, protocol::VarlinkClient::connect(socket("adit.sock")));
  nlohmann::json asked = parameters;
  if (!session.empty()) asked["session"] = session;
  Result<nlohmann::json> answered = client.call(method, asked);
  if (!answered && answered.error().code == ECONNABORTED && !session.empty()) {
    if (!terminal) return fail(ECONNABORTED, "{}; -y does it all the same", answered.error().text);
    if (!all_the_same(answered.error().text)) return fail(ECONNABORTED, "nothing was changed");
    answered = client.call(method, parameters);
  }
  TRY_ASSIGN(nlohmann::json answer, std::move(answered));
  TRY_ASSIGN(const auto notes, protocol::texts_parameter(answer, "notes"));
  for (const auto& note : notes) err << self << ": " << note << '\n';
  return answer;
}

bool Context::all_the_same(const std::string& sentence) {
  if (!terminal) {
    err << self << ": " << sentence << "; -y does it all the same\n";
    return false;
  }
  err << self << ": " << sentence << "; close it all the same? [y/N] " << std::flush;
  std::string word;
  std::getline(in, word);
  return word == "y" || word == "Y" || word == "yes";
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
