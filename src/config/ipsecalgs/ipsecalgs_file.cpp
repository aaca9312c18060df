#include "config/ipsecalgs/ipsecalgs_file.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/text.h"

namespace adit::config {
namespace {

using crypto::Algorithm;
using crypto::AlgProto;

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::optional<uint16_t> number_of(std::string_view text) {
  text = trimmed(text);
  uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_empty(std::string_view text) {
  return text.empty() || text == "-";
}

// The row's own fields; what no field says comes from fit_algorithm.
Result<Algorithm> read_row(std::string_view line) {
  const auto fields = split(line, '|');
  if (fields.size() < 7)
    return fail(EINVAL, "an algorithm has the fields ALG|protocol|number|names|mechanism|key sizes|block or MAC sizes");
  const auto proto = number_of(fields[1]), number = number_of(fields[2]);
  if (!proto || (*proto != 2 && *proto != 3))
    return fail(EINVAL, "protocol '{}' is neither 2 (AH) nor 3 (ESP)", fields[1]);
  if (!number || *number > 255) return fail(EINVAL, "'{}' is not a valid algorithm number: 0 to 255", fields[2]);
  Algorithm row{};
  row.proto = static_cast<AlgProto>(*proto);
  row.number = static_cast<uint8_t>(*number);
  for (const std::string_view name : split(fields[3], ','))
    if (!trimmed(name).empty()) row.names.emplace_back(trimmed(name));
  row.mechanism = trimmed(fields[4]);
  TRY(read_key_sizes(trimmed(fields[5]), row));
  return row;
}

Result<AlgorithmProtocol> read_protocol(std::string_view line) {
  const auto fields = split(line, '|');
  const auto number = fields.size() == 4 ? number_of(fields[1]) : std::nullopt;
  if (!number || *number > 255) return fail(EINVAL, "a protocol has the fields PROTO|number|name|sync or async");
  const std::string_view mode = trimmed(fields[3]);
  if (mode != "sync" && mode != "async") return fail(EINVAL, "'{}' is neither sync nor async", mode);
  return AlgorithmProtocol{static_cast<uint8_t>(*number), std::string(trimmed(fields[2])), mode == "async"};
}

void read_line(std::string_view line, AlgorithmText& into, Problem at) {
  const auto wrong = [&](Severity severity, std::string text) {
    at.severity = severity;
    at.text = std::move(text);
    into.problems.push_back(at);
  };
  if (line.starts_with("PROTO|")) {
    auto protocol = read_protocol(line);
    if (!protocol) return wrong(Severity::error, protocol.error().text);
    into.protocols.push_back(std::move(*protocol));
  } else if (line.starts_with("ALG|")) {
    auto row = read_row(line);
    if (!row) return wrong(Severity::error, row.error().text);
    if (crypto::AlgorithmTable::builtin().find(row->proto, row->number) == nullptr)
      return wrong(Severity::warning,
                   fmt::format("algorithm {} of protocol {} is none that this system knows; left out", row->number,
                               static_cast<int>(row->proto)));
    auto fitted = fit_algorithm(std::move(*row));
    if (!fitted) return wrong(Severity::error, fitted.error().text);
    into.table.put(std::move(*fitted));
  } else {
    wrong(Severity::error, "a line begins with PROTO| or ALG|");
  }
}

void put_number_zero(crypto::AlgorithmTable& table) {
  const auto builtin = crypto::AlgorithmTable::builtin();
  for (const Algorithm& row : builtin.rows())
    if (row.number == 0) table.put(row);
}

}  // namespace

AlgorithmText builtin_algorithms() {
  return {.protocols = {{2, "PROTO_IPSEC_AH", false}, {3, "PROTO_IPSEC_ESP", false}},
          .table = crypto::AlgorithmTable::builtin(),
          .problems = {}};
}

Result<> read_key_sizes(std::string_view text, Algorithm& row) {
  const auto bad = [&] {
    return fail(EINVAL, "'{}' is not a valid list of key sizes: write 128/128-256,64 or 160 or 128,192,256", text);
  };
  if (is_empty(text)) return {};
  const size_t slash = text.find('/'), dash = text.find('-');
  const std::string_view sizes = slash == std::string_view::npos ? text : text.substr(slash + 1);
  if (dash != std::string_view::npos) {
    const size_t inner = sizes.find('-'), comma = sizes.find(',');
    if (inner == std::string_view::npos || comma == std::string_view::npos || comma < inner) return bad();
    const auto min = number_of(sizes.substr(0, inner)), max = number_of(sizes.substr(inner + 1, comma - inner - 1)),
               step = number_of(sizes.substr(comma + 1));
    if (!min || !max || !step || *min > *max) return bad();
    row.min_bits = *min, row.max_bits = *max, row.increment_bits = *step, row.default_bits = *min;
  } else {
    uint16_t before = 0;
    for (const std::string_view part : split(sizes, ',')) {
      const auto size = number_of(part);
      if (!size ||
          (before != 0 && (*size <= before || (row.increment_bits != 0 && *size - before != row.increment_bits))))
        return bad();
      if (before == 0)
        row.min_bits = row.default_bits = *size;
      else
        row.increment_bits = static_cast<uint16_t>(*size - before);
      row.max_bits = before = *size;
    }
  }
  if (slash == std::string_view::npos) return {};
  const auto standard = number_of(text.substr(0, slash));
  if (!standard || *standard < row.min_bits || *standard > row.max_bits) return bad();
  row.default_bits = *standard;
  return {};
}

std::string key_sizes(const Algorithm& row) {
  if (row.max_bits == row.min_bits) return fmt::format("{}", row.min_bits);
  return fmt::format("{}/{}-{},{}", row.default_bits, row.min_bits, row.max_bits, row.increment_bits);
}

Result<Algorithm> fit_algorithm(Algorithm row) {
  const auto builtin = crypto::AlgorithmTable::builtin();
  const Algorithm* known = builtin.find(row.proto, row.number);
  const std::string_view kind = row.proto == AlgProto::ah ? "AH" : "ESP";
  if (known == nullptr)
    return fail(EINVAL,
                "{} algorithm {} is none that this system knows: the table renames, narrows and removes, it cannot add",
                kind, row.number);
  if (row.names.empty()) return fail(EINVAL, "{} algorithm {} has no name", kind, row.number);
  for (const std::string& name : row.names)
    if (name.find_first_of("|,{}# \t\n") != std::string::npos) return fail(EINVAL, "'{}' cannot be a name", name);
  if (row.min_bits < known->min_bits || row.max_bits > known->max_bits)
    return fail(EINVAL, "{} has keys of {} to {} bits, not {} to {}", known->names.front(), known->min_bits,
                known->max_bits, row.min_bits, row.max_bits);
  Algorithm fitted = *known;
  fitted.names = std::move(row.names);
  fitted.min_bits = row.min_bits, fitted.max_bits = row.max_bits, fitted.default_bits = row.default_bits;
  fitted.increment_bits =
      fitted.min_bits == fitted.max_bits ? uint16_t{0} : std::max(row.increment_bits, known->increment_bits);
  if (!is_empty(row.mechanism)) fitted.mechanism = std::move(row.mechanism);
  return fitted;
}

AlgorithmText parse_algorithms(std::string_view text, const std::string& file) {
  AlgorithmText result;
  uint32_t number = 0;
  for (const std::string_view whole : split(text, '\n')) {
    ++number;
    const std::string_view line = trimmed(whole.substr(0, whole.find('#')));
    if (line.empty()) continue;
    read_line(line, result, {.file = file, .line = number, .column = 1, .source = std::string(line.substr(0, 200))});
    if (result.problems.size() >= 50) break;
  }
  if (result.protocols.empty()) result.protocols = builtin_algorithms().protocols;
  put_number_zero(result.table);
  return result;
}

std::string write_algorithms(const AlgorithmText& algorithms) {
  std::string text =
      "# IPsec algorithms. Written by ipsecalgs(8); one line each:\n"
      "#   PROTO|number|name|sync or async\n"
      "#   ALG|protocol|number|names|mechanism|key sizes|block or MAC sizes|parameters|flags\n";
  for (const AlgorithmProtocol& protocol : algorithms.protocols)
    text += fmt::format("PROTO|{}|{}|{}\n", protocol.number, protocol.name, protocol.async ? "async" : "sync");
  for (const Algorithm& row : algorithms.table.rows()) {
    const bool combined = (row.flags & crypto::kAlgCombined) != 0;
    text +=
        fmt::format("ALG|{}|{}|{}|{}|{}|{}|{}|{}\n", static_cast<int>(row.proto), row.number, joined(row.names, ","),
                    row.mechanism, key_sizes(row), row.block_bytes,
                    combined ? fmt::format("{},{},{}", row.iv_bytes, row.icv_bytes, row.salt_bytes) : "", row.flags);
  }
  return text;
}

}  // namespace adit::config
