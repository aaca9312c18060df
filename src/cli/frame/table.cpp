#include "cli/frame/table.h"

#include <algorithm>
#include <ostream>

#include <fmt/format.h>

namespace adit::cli {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

std::string upper(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return result;
}

std::string value_of(const nlohmann::json& row, const Column& column) {
  const auto found = row.find(column.key.empty() ? column.field : column.key);
  if (found == row.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

Result<std::vector<Column>> chosen(const std::vector<Column>& columns, const std::string& fields) {
  std::vector<Column> result;
  if (fields.empty()) {
    std::ranges::copy_if(columns, std::back_inserter(result), &Column::by_default);
    return result;
  }
  if (lower(fields) == "all") return columns;
  for (size_t at = 0; at <= fields.size();) {
    const size_t comma = std::min(fields.find(',', at), fields.size());
    const std::string field = lower(fields.substr(at, comma - at));
    const auto found = std::ranges::find(columns, field, &Column::field);
    if (found == columns.end()) return fail(EINVAL, "unknown output field '{}'", fields.substr(at, comma - at));
    result.push_back(*found);
    at = comma + 1;
  }
  return result;
}

std::string escaped(const std::string& value) {
  std::string result;
  for (const char c : value) {
    if (c == ':' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

void print_parsable(std::ostream& out, const std::vector<Column>& columns, const nlohmann::json& rows) {
  for (const auto& row : rows) {
    for (size_t i = 0; i < columns.size(); ++i) {
      const std::string value = value_of(row, columns[i]);
      out << (i == 0 ? "" : ":") << (columns.size() > 1 ? escaped(value) : value);
    }
    out << '\n';
  }
}

void print_cells(std::ostream& out, const std::vector<Column>& columns, const std::vector<std::string>& cells) {
  std::string line;
  for (size_t i = 0; i < cells.size(); ++i) {
    const bool last = i + 1 == cells.size();
    line += last ? cells[i] : fmt::format("{:<{}}", cells[i], columns[i].width);
    if (!last && cells[i].size() >= columns[i].width) line += ' ';
  }
  out << line << '\n';
}

}  // namespace

Result<> print_table(std::ostream& out, const std::vector<Column>& columns, const nlohmann::json& rows,
                     const TableOptions& options) {
  if (options.json) {
    out << rows.dump(2) << '\n';
    return {};
  }
  if (options.parsable && options.fields.empty()) return fail(EINVAL, "-p requires -o");
  TRY_ASSIGN(const std::vector<Column> shown, chosen(columns, options.fields));
  if (options.parsable) {
    print_parsable(out, shown, rows);
    return {};
  }
  std::vector<std::string> cells;
  if (options.header) {
    for (const Column& column : shown) cells.push_back(upper(column.field));
    print_cells(out, shown, cells);
  }
  for (const auto& row : rows) {
    cells.clear();
    for (const Column& column : shown) {
      const std::string value = value_of(row, column);
      cells.push_back(value.empty() ? std::string(column.unset) : value);
    }
    print_cells(out, shown, cells);
  }
  return {};
}

}  // namespace adit::cli
