#include "cli/keys/ipseckey_session.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <istream>
#include <ostream>

#include "base/clock.h"
#include "sad/diagnostic.h"

namespace adit::cli {
namespace {
using config::KeyCommand;
using config::KeyVerb;
using sad::KeyMessage;
using sad::KeyMessageType;

constexpr const char* kHelp =
    "Commands:\n"
    "  add | update TYPE FIELD VALUE ...        make an SA, or change one\n"
    "  update-pair | delete-pair TYPE ...       both SAs of a pair\n"
    "  delete | get TYPE spi N dst ADDRESS      remove or show one\n"
    "  flush | dump [TYPE]                      all of them\n"
    "  save TYPE [FILE]                         as commands; holds keys\n"
    "  monitor | pmonitor                       what others do; pmonitor without keys' traffic of GET and DUMP\n"
    "  help | ?    exit | quit\n"
    "TYPE: all, ah, esp.\n"
    "Fields: spi pair-spi replay state auth_alg encr_alg authkey encrkey reserved_bits flags esn\n"
    "  src dst src6 dst6 sport dport proto\n"
    "  innersrc innerdst innersport innerdport iproto\n"
    "  encap nat_loc nat_rem nat_lport nat_rport inbound outbound\n"
    "  soft_ hard_ idle_ with alloc bytes addtime usetime; replay_value srcidtype dstidtype\n";

// A file that only its owner may read, complete or not there at all.
class PrivateFile {
 public:
  static Result<PrivateFile> create(const std::string& path) {
    const std::string draft = path + ".new";
    ::unlink(draft.c_str());
    const int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR);
    if (fd < 0) return fail(errno, "cannot create {}: {}", path, std::strerror(errno));
    return PrivateFile(fd, path, draft);
  }
  PrivateFile(PrivateFile&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)), draft_(std::move(other.draft_)) {}
  PrivateFile& operator=(PrivateFile&&) = delete;
  ~PrivateFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(draft_.c_str());
  }

  Result<> write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t done = ::write(fd_, text.data(), text.size());
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return fail(errno, "cannot write {}: {}", path_, std::strerror(errno));
      text.remove_prefix(static_cast<size_t>(done));
    }
    return {};
  }
  Result<> finish() {
    if (::fsync(fd_) != 0 || ::rename(draft_.c_str(), path_.c_str()) != 0)
      return fail(errno, "cannot write {}: {}", path_, std::strerror(errno));
    ::close(std::exchange(fd_, -1));
    return {};
  }

 private:
  PrivateFile(int fd, std::string path, std::string draft)
      : fd_(fd), path_(std::move(path)), draft_(std::move(draft)) {}
  int fd_;
  std::string path_, draft_;
};

bool continues(std::string_view line) {
  return line.ends_with('\\') || line.ends_with("\\\r");
}
}  // namespace

config::KeySource KeySession::source(const std::string& file) const {
  return {file, options_.numeric, options_.name_space};
}

Result<> KeySession::connect() {
  if (client_) return {};
  TRY_ASSIGN(auto client, protocol::KeyClient::connect(context_.socket("pf_key.sock")));
  client_.emplace(std::move(client));
  return {};
}

SecretString KeySession::text_of(const KeyMessage& message, bool with_time) {
  const uint64_t now = SystemClock().wall_seconds();
  config::KeyPrintOptions print;
  print.hide_keys = options_.hide_keys;
  print.verbose = options_.verbose;
  print.now = now;
  print.resolver = options_.numeric ? nullptr : &resolver_;
  if (with_time) print.timestamp = now;
  return config::print_key_message(message, table_, print);
}

bool KeySession::tell(const std::vector<config::Problem>& problems) {
  for (const auto& problem : problems) context_.err << problem.str() << '\n';
  return config::count_errors(problems) == 0;
}

bool KeySession::check_text(std::string_view text, const std::string& file) {
  return tell(config::parse_ipseckeys(text, source(file), table_, resolver_).problems);
}

int KeySession::run_text(std::string_view text, const std::string& file) {
  auto parsed = config::parse_ipseckeys(text, source(file), table_, resolver_);
  if (!tell(parsed.problems)) {
    context_.err << context_.self << ": " << file << ": nothing was done; correct the text first\n";
    return kFailed;
  }
  size_t errors = 0, done = 0;
  for (KeyCommand& command : parsed.commands) {
    if (quit_) break;
    if (run(command) == kOk)
      ++done;
    else
      ++errors, context_.err << "  (" << file << ", line " << command.line << ")\n";
  }
  if (errors == 0) return kOk;
  context_.err << fmt::format("{}: The configuration file contained {} errors.\n", context_.self, errors);
  context_.err << fmt::format("{}: {} actions successfully processed.\n", context_.self, done);
  return kFailed;
}

int KeySession::run_words(std::span<const std::string> words) {
  auto parsed = config::parse_ipseckey_words(words, source(context_.self), table_, resolver_);
  if (!tell(parsed.problems)) return kFailed;
  return parsed.commands.empty() ? kOk : run(parsed.commands.front());
}

int KeySession::run_interactive() {
  SecretString text, line;
  while (!quit_) {
    if (text.empty()) context_.out << "ipseckey> " << std::flush;
    if (!std::getline(context_.in, line)) break;
    (text += line) += '\n';
    if (continues(line)) continue;
    auto parsed = config::parse_ipseckeys(text, source(context_.self), table_, resolver_);
    text = SecretString();
    if (!tell(parsed.problems)) continue;
    for (KeyCommand& command : parsed.commands) run(command);
  }
  if (!quit_) context_.out << '\n';
  return kOk;
}

int KeySession::run(KeyCommand& command) {
  if (command.verb == KeyVerb::help) return help();
  if (command.verb == KeyVerb::quit) {
    quit_ = true;
    return kOk;
  }
  if (const auto connected = connect(); !connected) return context_.failed("", connected.error());
  switch (command.verb) {
    case KeyVerb::dump:
      return dump(command.satype);
    case KeyVerb::save:
      return save(command.file, command.satype);
    case KeyVerb::monitor:
      return monitor(false);
    case KeyVerb::passive_monitor:
      return monitor(true);
    default:
      return send_all(command);
  }
}

int KeySession::help() {
  context_.out << kHelp;
  return kOk;
}

int KeySession::send_all(KeyCommand& command) {
  bool all = true;
  for (KeyMessage& message : command.messages) all &= send_one(message, command.verb == KeyVerb::get);
  return all ? kOk : kFailed;
}

bool KeySession::send_one(KeyMessage& message, bool print_answer) {
  if (options_.verbose)
    context_.out << "VERBOSE ON:  Message to kernel looks like:\n==========================================\n"
                 << text_of(message, false) << "==========================================\n";
  message.text = "";  // a sentence, should it be refused
  if (message.name_space)
    message.name_space->override_owner = options_.override_others;
  else if (options_.override_others || message.type == KeyMessageType::get)  // to look is not to touch
    message.name_space = sad::NamespaceExtension{"", true};
  const auto answer = client_->ask(message);
  if (!answer) {
    client_.reset();  // whatever state it is in, the next command begins anew
    context_.failed("", answer.error());
    return false;
  }
  if (answer->error != 0) return refused(message, *answer) == kOk;
  if (print_answer) context_.out << text_of(*answer, false);
  return true;
}

int KeySession::refused(const KeyMessage& question, const KeyMessage& answer) {
  const bool looks_up = question.type == KeyMessageType::get || question.type == KeyMessageType::del;
  const bool makes = question.type == KeyMessageType::add || question.type == KeyMessageType::update;
  if (question.sa && question.destination && ((looks_up && answer.error == ESRCH) || (makes && answer.error == EEXIST)))
    return context_.failed(
        "", {answer.error,
             fmt::format("Association (type = {}) with spi {:#x} and addr {} {}.", config::satype_name(question.satype),
                         static_cast<uint32_t>(question.sa->spi), question.destination->address.str(),
                         looks_up ? "does not exist" : "already exists")});
  if (answer.text && !answer.text->empty())
    return context_.failed(
        "", {answer.error, fmt::format("PF_KEY Diagnostic code {}: {}.", answer.diagnostic, *answer.text)});
  if (answer.diagnostic != 0)
    return context_.failed("",
                           {answer.error, fmt::format("PF_KEY Diagnostic code {}: {}.", answer.diagnostic,
                                                      sad::text_of(static_cast<sad::Diagnostic>(answer.diagnostic)))});
  return context_.failed("", {answer.error, fmt::format("PF_KEY refused: {}.", std::strerror(answer.error))});
}

Result<> KeySession::read_dump(uint8_t satype, bool all_namespaces,
                               const std::function<Result<>(const KeyMessage&)>& each) {
  TRY(connect());
  KeyMessage question;
  question.type = KeyMessageType::dump;
  question.satype = satype;
  if (!options_.name_space.empty())
    question.name_space = sad::NamespaceExtension{options_.name_space, false};
  else if (all_namespaces)
    question.name_space = sad::NamespaceExtension{"", true};
  question.text = "";
  TRY(client_->send(question));
  while (true) {
    TRY_ASSIGN(const KeyMessage message, client_->receive(Seconds(10)));
    if (message.type != KeyMessageType::dump || message.pid != question.pid) continue;
    if (message.error != 0)
      return fail(message.error, "Dump failed: {}",
                  message.text && !message.text->empty() ? *message.text : std::strerror(message.error));
    if (message.seq == 0) return {};
    TRY(each(message));
  }
}

int KeySession::dump(uint8_t satype) {
  const auto done = read_dump(satype, true, [&](const KeyMessage& message) -> Result<> {
    context_.out << text_of(message, false) << '\n';
    return {};
  });
  if (!done) return context_.failed("", done.error());
  context_.out << fmt::format("Dump succeeded for SA type {}.\n", satype);
  return kOk;
}

int KeySession::save(const std::string& file, uint8_t satype) {
  const auto write_all = [&](const std::function<Result<>(std::string_view)>& write) -> Result<> {
    TRY(write(config::save_header()));
    return read_dump(satype, false, [&](const KeyMessage& message) -> Result<> {
      if (!message.sa || message.sa->state == static_cast<uint8_t>(sad::SaState::larval)) return {};
      return write(config::save_association(message, table_));
    });
  };
  if (file.empty() || file == "-") {
    const auto done = write_all([&](std::string_view text) -> Result<> {
      context_.out << text;
      return {};
    });
    return done ? kOk : context_.failed("", done.error());
  }
  auto target = PrivateFile::create(file);
  if (!target) return context_.failed("save", target.error());
  auto done = write_all([&](std::string_view text) { return target->write(text); });
  if (done) done = target->finish();
  return done ? kOk : context_.failed("save", done.error());
}

int KeySession::monitor(bool passive) {
  if (!passive) {
    KeyMessage promisc;
    promisc.type = KeyMessageType::promisc;
    promisc.satype = 1;
    const auto answer = client_->ask(promisc);
    if (!answer) return context_.failed("monitor", answer.error());
    if (answer->error != 0) return refused(promisc, *answer);
  }
  while (true) {
    const auto message = client_->receive(Millis(0));
    if (!message && message.error().code == EINTR) return kOk;
    if (!message) return context_.failed("monitor", message.error());
    context_.out << text_of(*message, true) << '\n' << std::flush;
  }
}

}  // namespace adit::cli
