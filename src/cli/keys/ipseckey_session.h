// One run of ipseckey: the connection to aditd, what was asked for, and the way of one command.
#pragma once

#include <optional>
#include <string>

#include "cli/frame/context.h"
#include "config/ipseckey/ipseckey.h"
#include "config/ipseckey/print.h"
#include "config/source/system_resolver.h"
#include "protocol/pf_key/client.h"

namespace adit::cli {

struct KeyOptions {
  bool numeric = false, verbose = false, hide_keys = false;  // -n -v -p
  std::string name_space;                                    // -N
  bool override_others = false;                              // --override
};

class KeySession {
 public:
  KeySession(Context& context, KeyOptions options, crypto::AlgorithmTable table)
      : context_(context), options_(std::move(options)), table_(std::move(table)) {}

  // A whole text: nothing is done when it has an error anywhere.
  int run_text(std::string_view text, const std::string& file);
  // Prints the problems of a text; false: there is an error.
  bool check_text(std::string_view text, const std::string& file);
  int run_words(std::span<const std::string> words);
  int run_interactive();
  int save(const std::string& file, uint8_t satype);

 private:
  config::KeySource source(const std::string& file) const;
  bool tell(const std::vector<config::Problem>& problems);
  int run(config::KeyCommand& command);
  int send_all(config::KeyCommand& command);
  bool send_one(sad::KeyMessage& message, bool print_answer);
  int dump(uint8_t satype);
  int monitor(bool passive);
  int help();
  // Calls `each` for every SA of a dump: of the namespace named, else the global one's or those of all.
  Result<> read_dump(uint8_t satype, bool all_namespaces, const std::function<Result<>(const sad::KeyMessage&)>& each);
  int refused(const sad::KeyMessage& question, const sad::KeyMessage& answer);
  Result<> connect();
  SecretString text_of(const sad::KeyMessage& message, bool with_time);

  Context& context_;
  KeyOptions options_;
  crypto::AlgorithmTable table_;
  config::ListingResolver resolver_;
  std::optional<protocol::KeyClient> client_;
  bool quit_ = false;
};

}  // namespace adit::cli
