// ipsecalgs(8): the algorithm table. The file is /etc/inet/ipsecalgs; the daemon's table is asked and set by PF_POLICY.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <ostream>

#include "base/text.h"
#include "cli/frame/options.h"
#include "cli/policy/commands.h"
#include "cli/policy/policy_tables.h"
#include "protocol/pf_policy/algorithms.h"
#include "protocol/pf_policy/client.h"

namespace adit::cli {
namespace {

using config::AlgorithmProtocol;
using config::AlgorithmText;
using crypto::Algorithm;
using crypto::AlgProto;

constexpr Option kOptions[] = {
    {'l', "list"},   {'s', "sync"},   {'a', "add"},    {'r', "remove"}, {'R', "remove-protocol"}, {'f', "force"},
    {'P', "", true}, {'p', "", true}, {'N', "", true}, {'n', "", true}, {'m', "", true},          {'k', "", true},
    {'K', "", true}, {'i', "", true}, {'b', "", true}, {'M', "", true}, {'S', "", true},          {'I', "", true},
    {'F', "", true}, {'e', "", true}, {'h', "help"}};

constexpr const char* kForms =
    "usage: ipsecalgs                                       list the algorithm file\n"
    "       ipsecalgs -l                                    list the table in force\n"
    "       ipsecalgs -s                                    put the file in force\n"
    "       ipsecalgs -a -P NUMBER|-p NAME -N NUMBER -n NAME[,NAME] [-k SIZES] [-K DEFAULT] [-i STEP] [-m MECHANISM] "
    "[-f] [-s]\n"
    "       ipsecalgs -r -P NUMBER|-p NAME -N NUMBER|-n NAME [-s]\n"
    "       ipsecalgs -R -P NUMBER|-p NAME -f [-s]          remove all algorithms of a protocol\n"
    "       ipsecalgs -P NUMBER|-p NAME -e sync|async [-s]  execution mode\n"
    "Protocols: 2 PROTO_IPSEC_AH (and ESP's integrity), 3 PROTO_IPSEC_ESP. Sizes in bits: 128,192,256 or 128-256.\n";

std::string flag_words(uint32_t flags) {
  static constexpr std::pair<uint32_t, std::string_view> kWords[] = {{crypto::kAlgValid, "VALID"},
                                                                     {crypto::kAlgCounter, "COUNTER"},
                                                                     {crypto::kAlgCombined, "COMBINED"},
                                                                     {crypto::kAlgCcm, "CCM"},
                                                                     {crypto::kAlgGcm, "GCM"}};
  std::string text;
  for (const auto& [bit, word] : kWords)
    if ((flags & bit) != 0) text += fmt::format("{}{}", text.empty() ? "" : " ", word);
  return text;
}

std::string sizes_words(const Algorithm& row) {
  if (row.min_bits == row.max_bits) return fmt::format("{}", row.min_bits);
  return fmt::format("{}-{}, increment {}, default {}", row.min_bits, row.max_bits, row.increment_bits,
                     row.default_bits);
}

void print_row(std::ostream& out, const Algorithm& row, bool names) {
  out << fmt::format("\tProtocol number: {}\n\tAlgorithm number: {}\n", static_cast<int>(row.proto), row.number);
  if (names) out << fmt::format("\tAlgorithm names: {}\n", joined(row.names, ","));
  out << fmt::format("\tMechanism Name: {}\n\tBlock sizes or MAC sizes: {}\n\tKey sizes: {}\n", row.mechanism,
                     row.block_bytes, sizes_words(row));
  if ((row.flags & crypto::kAlgCombined) != 0)
    out << fmt::format("\tAlgorithm parameters: {},{},{}\n", row.iv_bytes, row.icv_bytes, row.salt_bytes);
  out << fmt::format("\tAlgorithm flags: {}\n\n", flag_words(row.flags));
}

void print_table(std::ostream& out, const AlgorithmText& text, bool in_force) {
  out << (in_force ? "Kernel list of algorithms:\n\n" : "List of algorithms, grouped by IPsec protocol:\n\n");
  for (const AlgorithmProtocol& protocol : text.protocols) {
    out << fmt::format("Protocol {}/{} (execution mode: {})\n\n", protocol.number, protocol.name,
                       protocol.async ? "async" : "sync");
    for (const Algorithm& row : text.table.rows())
      if (static_cast<uint8_t>(row.proto) == protocol.number && (!in_force || row.number != 0))
        print_row(out, row, !in_force);
  }
}

Result<uint16_t> number_of(const std::string& text, std::string_view what) {
  uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return fail(EINVAL, "'{}' is no {}", text, what);
  return value;
}

// -P NUMBER or -p NAME.
Result<AlgorithmProtocol*> protocol_of(const Options& options, AlgorithmText& text) {
  const auto number = options.value('P'), name = options.value('p');
  if (number.has_value() == name.has_value())
    return fail(EINVAL, "which protocol? give -P 2, -P 3 or -p PROTO_IPSEC_ESP");
  for (AlgorithmProtocol& protocol : text.protocols)
    if (name ? protocol.name == *name : fmt::format("{}", protocol.number) == *number) return &protocol;
  return fail(ENOENT, "there is no protocol {}", name ? *name : *number);
}

Result<Algorithm> row_of(const Options& options, AlgProto proto) {
  const auto number = options.value('N'), names = options.value('n');
  if (!number || !names) return fail(EINVAL, "an algorithm needs a number (-N) and names (-n)");
  Algorithm row{};
  row.proto = proto;
  TRY_ASSIGN(const uint16_t value, number_of(*number, "algorithm number"));
  if (value > 255) return fail(EINVAL, "an algorithm number is up to 255");
  row.number = static_cast<uint8_t>(value);
  for (size_t at = 0; at <= names->size();) {
    const size_t comma = std::min(names->find(',', at), names->size());
    if (comma > at) row.names.push_back(names->substr(at, comma - at));
    at = comma + 1;
  }
  const auto builtin = crypto::AlgorithmTable::builtin();
  const Algorithm* known = builtin.find(proto, row.number);
  if (known != nullptr)
    row.min_bits = known->min_bits, row.max_bits = known->max_bits, row.increment_bits = known->increment_bits,
    row.default_bits = known->default_bits;
  row.mechanism = options.value('m').value_or(known != nullptr ? known->mechanism : "");
  if (auto sizes = options.value('k')) {
    if (sizes->find('-') != std::string::npos && sizes->find(',') == std::string::npos)
      *sizes += "," + options.value('i').value_or("64");
    if (const auto standard = options.value('K')) sizes = *standard + "/" + *sizes;
    TRY(config::read_key_sizes(*sizes, row));
  }
  return config::fit_algorithm(std::move(row));
}

Result<> add(const Options& options, AlgorithmText& text) {
  TRY_ASSIGN(const AlgorithmProtocol* protocol, protocol_of(options, text));
  const auto proto = static_cast<AlgProto>(protocol->number);
  TRY_ASSIGN(Algorithm row, row_of(options, proto));
  if (text.table.find(proto, row.number) != nullptr && !options.has('f'))
    return fail(EEXIST, "algorithm {} is there already; -f replaces it", row.number);
  for (const std::string& name : row.names)
    if (const Algorithm* other = text.table.find(proto, name); other != nullptr && other->number != row.number)
      return fail(EEXIST, "the name {} is that of algorithm {}", name, other->number);
  text.table.put(std::move(row));
  return {};
}

Result<> remove(const Options& options, AlgorithmText& text) {
  TRY_ASSIGN(const AlgorithmProtocol* protocol, protocol_of(options, text));
  const auto proto = static_cast<AlgProto>(protocol->number);
  const Algorithm* row = nullptr;
  if (const auto name = options.value('n'))
    row = text.table.find(proto, *name);
  else if (const auto number = options.value('N')) {
    TRY_ASSIGN(const uint16_t value, number_of(*number, "algorithm number"));
    row = value > 255 ? nullptr : text.table.find(proto, static_cast<uint8_t>(value));
  } else
    return fail(EINVAL, "which algorithm? give its number (-N) or a name (-n)");
  if (row == nullptr || row->number == 0) return fail(ENOENT, "the table has no such algorithm");
  text.table.remove(proto, row->number);
  return {};
}

Result<> remove_protocol(const Options& options, AlgorithmText& text) {
  TRY_ASSIGN(const AlgorithmProtocol* protocol, protocol_of(options, text));
  if (!options.has('f'))
    return fail(EBUSY, "every rule that names an algorithm of {} will be refused; -f removes them all the same",
                protocol->name);
  const auto proto = static_cast<AlgProto>(protocol->number);
  for (int number = 1; number < 256; ++number) text.table.remove(proto, static_cast<uint8_t>(number));
  return {};
}

Result<> set_mode(const Options& options, AlgorithmText& text) {
  TRY_ASSIGN(AlgorithmProtocol * protocol, protocol_of(options, text));
  const std::string mode = *options.value('e');
  if (mode != "sync" && mode != "async") return fail(EINVAL, "an execution mode is sync or async");
  protocol->async = mode == "async";
  return {};
}

Result<> write_file(Context& context, const AlgorithmText& text) {
  const std::filesystem::path path = context.path(kAlgorithmFile);
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  const std::string fresh = path.string() + ".new";
  std::ofstream file(fresh, std::ios::trunc);
  file << config::write_algorithms(text);
  file.close();
  if (!file) return fail(EACCES, "cannot write {}", fresh);
  std::filesystem::rename(fresh, path, error);
  if (error) return fail(error.value(), "cannot write {}: {}", path.string(), error.message());
  return {};
}

Result<AlgorithmText> table_in_force(Context& context) {
  auto client = protocol::PolicyClient::connect(context.socket("pf_policy.sock"));
  if (!client) return fail(client.error().code, "Unable to open policy socket: {}", client.error().text);
  const auto answer = client->ask(protocol::policy_request(protocol::PolicyCommand::dump_algs, 0, "", ""));
  if (!answer) return fail(answer.error().code, "{}", answer.error().text);
  if (!answer->actions) return fail(EPROTO, "aditd answered without algorithms");
  auto text = protocol::decode_algorithms(*answer->actions);
  if (!text) return fail(text.error().code, "{}", text.error().text);
  return std::move(*text);
}

Result<> put_in_force(Context& context, const AlgorithmText& text) {
  auto client = protocol::PolicyClient::connect(context.socket("pf_policy.sock"));
  if (!client) return fail(client.error().code, "Unable to open policy socket: {}", client.error().text);
  auto request = protocol::policy_request(protocol::PolicyCommand::update_algs, 0, "", "");
  request.actions = protocol::encode_algorithms(text);
  if (const auto answer = client->ask(std::move(request)); !answer)
    return fail(answer.error().code, "algs update failed: {}", answer.error().text);
  return {};
}

// The one change that the options ask for; false: none.
Result<bool> change(const Options& options, AlgorithmText& text) {
  if (options.has('a'))
    TRY(add(options, text));
  else if (options.has('r'))
    TRY(remove(options, text));
  else if (options.has('R'))
    TRY(remove_protocol(options, text));
  else if (options.has('e'))
    TRY(set_mode(options, text));
  else
    return false;
  return true;
}

Result<> run(Context& context, const Options& options) {
  if (options.has('l')) {
    TRY_ASSIGN(const AlgorithmText text, table_in_force(context));
    print_table(context.out, text, true);
    return {};
  }
  TRY_ASSIGN(AlgorithmText text, read_algorithm_file(context));
  TRY_ASSIGN(const bool changed, change(options, text));
  if (changed) TRY(write_file(context, text));
  if (options.has('s')) return put_in_force(context, text);
  if (!changed) print_table(context.out, text, false);
  return {};
}

}  // namespace

int cmd_ipsecalgs(Context& context, std::span<const std::string> args) {
  const auto options = Options::parse(args, kOptions);
  if (!options) return context.usage(options.error().text, kForms), kFailed;
  if (options->has('h')) {
    context.out << kForms;
    return kOk;
  }
  const int commands = options->has('l') + options->has('a') + options->has('r') + options->has('R');
  if (commands > 1 || !options->operands().empty()) return context.usage("Bad usage.", kForms), kFailed;
  if (const auto done = run(context, *options); !done) return context.failed("", done.error());
  return kOk;
}

}  // namespace adit::cli
