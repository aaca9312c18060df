#include "protocol/pf_policy/algorithms.h"

#include <adit/pfpolicy.h>

#include <algorithm>

namespace adit::protocol {
namespace {

using crypto::Algorithm;
using crypto::AlgProto;

void put(PolicyActions& into, uint32_t tag, uint32_t value) {
  into.attributes.push_back({tag, value, {}});
}

void end(PolicyActions& into) {
  ++into.count;
  put(into, SPD_ATTR_NEXT, 0);
}

PolicyActions closed(PolicyActions actions) {
  if (actions.attributes.empty()) put(actions, SPD_ATTR_END, 0);
  actions.attributes.back().tag = SPD_ATTR_END;
  return actions;
}

struct Tags {
  uint32_t alg, min, max, standard, increment;
};
constexpr Tags kAh{SPD_ATTR_AH_AUTH, SPD_ATTR_AH_MINBITS, SPD_ATTR_AH_MAXBITS, SPD_ATTR_AH_DEFBITS,
                   SPD_ATTR_AH_INCRBITS};
constexpr Tags kEncr{SPD_ATTR_ESP_ENCR, SPD_ATTR_ENCR_MINBITS, SPD_ATTR_ENCR_MAXBITS, SPD_ATTR_ENCR_DEFBITS,
                     SPD_ATTR_ENCR_INCRBITS};
constexpr Tags kEspa{SPD_ATTR_ESP_AUTH, SPD_ATTR_ESPA_MINBITS, SPD_ATTR_ESPA_MAXBITS, SPD_ATTR_ESPA_DEFBITS,
                     SPD_ATTR_ESPA_INCRBITS};

void put_short(PolicyActions& into, const Tags& tags, const std::vector<const Algorithm*>& rows) {
  for (const Algorithm* row : rows) {
    put(into, tags.alg, row->number);
    put(into, tags.min, row->min_bits);
    put(into, tags.max, row->max_bits);
    put(into, tags.standard, row->default_bits);
    put(into, tags.increment, row->increment_bits);
    end(into);
  }
}

std::vector<const Algorithm*> by_size(const crypto::AlgorithmTable& table, AlgProto proto) {
  std::vector<const Algorithm*> rows;
  for (const Algorithm& row : table.rows())
    if (row.proto == proto && row.number != 0) rows.push_back(&row);
  std::ranges::stable_sort(rows, {}, &Algorithm::min_bits);
  return rows;
}

void put_long(PolicyActions& into, const Algorithm& row) {
  put(into, SPD_ATTR_ALG_ID, row.number);
  put(into, SPD_ATTR_ALG_PROTO, static_cast<uint32_t>(row.proto));
  if (row.increment_bits != 0) put(into, SPD_ATTR_ALG_INCRBITS, row.increment_bits);
  put(into, SPD_ATTR_ALG_NKEYSIZES, row.increment_bits != 0 ? 3 : 1);
  put(into, SPD_ATTR_ALG_KEYSIZE, row.default_bits);
  if (row.increment_bits != 0) {
    put(into, SPD_ATTR_ALG_KEYSIZE, row.min_bits);
    put(into, SPD_ATTR_ALG_KEYSIZE, row.max_bits);
  }
  put(into, SPD_ATTR_ALG_NBLOCKSIZES, 1);
  put(into, SPD_ATTR_ALG_BLOCKSIZE, row.block_bytes);
  if ((row.flags & crypto::kAlgCombined) != 0) {
    put(into, SPD_ATTR_ALG_NPARAMS, 3);
    for (const uint16_t value : {row.iv_bytes, row.icv_bytes, row.salt_bytes}) put(into, SPD_ATTR_ALG_PARAMS, value);
  }
  put(into, SPD_ATTR_ALG_FLAGS, row.flags);
  into.attributes.push_back({SPD_ATTR_ALG_MECHNAME, SPD_MECHNAME_LEN, row.mechanism});
  end(into);
}

// One algorithm or one protocol of UPDATEALGS.
struct Record {
  std::optional<uint32_t> id, protocol, mode;
  uint32_t proto = 0, increment = 0, key_sizes = 0, block_sizes = 0;
  std::vector<uint32_t> keys, blocks;
  std::string mechanism;
};

bool take(const PolicyAttribute& from, Record& into) {
  switch (from.tag) {
    case SPD_ATTR_NOP:
      return true;
    case SPD_ATTR_ALG_ID:
      into.id = from.value;
      return true;
    case SPD_ATTR_ALG_PROTO:
      into.proto = from.value;
      return true;
    case SPD_ATTR_ALG_INCRBITS:
      into.increment = from.value;
      return true;
    case SPD_ATTR_ALG_NKEYSIZES:
      into.key_sizes = from.value;
      return true;
    case SPD_ATTR_ALG_KEYSIZE:
      into.keys.push_back(from.value);
      return true;
    case SPD_ATTR_ALG_NBLOCKSIZES:
      into.block_sizes = from.value;
      return true;
    case SPD_ATTR_ALG_BLOCKSIZE:
      into.blocks.push_back(from.value);
      return true;
    case SPD_ATTR_ALG_MECHNAME:
      into.mechanism = from.name;
      return true;
    case SPD_ATTR_ALG_NPARAMS:
    case SPD_ATTR_ALG_PARAMS:
    case SPD_ATTR_ALG_FLAGS:
      return true;  // the engines know better
    case SPD_ATTR_PROTO_ID:
      into.protocol = from.value;
      return true;
    case SPD_ATTR_PROTO_EXEC_MODE:
      into.mode = from.value;
      return true;
    default:
      return false;
  }
}

PolicyResult<> set_key_sizes(const Record& from, Algorithm& row) {
  const bool range = from.increment != 0;
  if (from.keys.size() != from.key_sizes || from.keys.empty() || (range && from.keys.size() != 3) ||
      std::ranges::any_of(from.keys, [](uint32_t bits) { return bits > SPD_MAX_MAXBITS; }))
    return refuse(EINVAL, SPD_DIAGNOSTIC_ALG_NUM_KEY_SIZES,
                  fmt::format("algorithm {}: its key sizes do not add up", row.number));
  const auto [min, max] = std::ranges::minmax(from.keys);
  row.min_bits = static_cast<uint16_t>(min), row.max_bits = static_cast<uint16_t>(max);
  row.default_bits = static_cast<uint16_t>(from.keys.front());
  row.increment_bits = static_cast<uint16_t>(std::min(from.increment, uint32_t{SPD_MAX_MAXBITS}));
  return {};
}

// Names do not travel: they stay those of the built-in table.
PolicyResult<Algorithm> row_of(const Record& from, const crypto::AlgorithmTable& builtin) {
  const auto unknown = refuse(EINVAL, SPD_DIAGNOSTIC_ALG_ID_RANGE,
                              fmt::format("protocol {} has no algorithm {}", from.proto, from.id.value_or(0)));
  if (!from.id || *from.id > 255 || (from.proto != 2 && from.proto != 3)) return unknown;
  const Algorithm* known = builtin.find(static_cast<AlgProto>(from.proto), static_cast<uint8_t>(*from.id));
  if (known == nullptr) return unknown;
  Algorithm row = *known;
  if (!from.mechanism.empty()) row.mechanism = from.mechanism;
  if (auto keys = set_key_sizes(from, row); !keys) return std::unexpected(keys.error());
  if (from.blocks.size() != from.block_sizes)
    return refuse(EINVAL, SPD_DIAGNOSTIC_ALG_NUM_BLOCK_SIZES,
                  fmt::format("algorithm {}: its block sizes do not add up", row.number));
  auto fitted = config::fit_algorithm(std::move(row));
  if (!fitted) return refuse(EINVAL, SPD_DIAGNOSTIC_ALG_NUM_KEY_SIZES, fitted.error().text);
  return std::move(*fitted);
}

PolicyResult<> add_record(const Record& record, const crypto::AlgorithmTable& builtin, config::AlgorithmText& into) {
  if (record.protocol) {
    const auto known = std::ranges::find(into.protocols, *record.protocol, &config::AlgorithmProtocol::number);
    if (known == into.protocols.end())
      return refuse(EINVAL, SPD_DIAGNOSTIC_ALG_ID_RANGE, fmt::format("there is no protocol {}", *record.protocol));
    known->async = record.mode == uint32_t{SPD_ALG_EXEC_MODE_ASYNC};
    return {};
  }
  auto row = row_of(record, builtin);
  if (!row) return std::unexpected(row.error());
  into.table.put(std::move(*row));
  return {};
}

}  // namespace

PolicyActions encode_algorithm_list(const crypto::AlgorithmTable& table) {
  PolicyActions actions;
  const auto ah = by_size(table, AlgProto::ah);
  put_short(actions, kAh, ah);
  put_short(actions, kEncr, by_size(table, AlgProto::esp));
  put_short(actions, kEspa, ah);
  return closed(std::move(actions));
}

PolicyActions encode_algorithms(const config::AlgorithmText& algorithms) {
  PolicyActions actions;
  for (const Algorithm& row : algorithms.table.rows())
    if (row.number != 0) put_long(actions, row);
  for (const config::AlgorithmProtocol& protocol : algorithms.protocols) {
    put(actions, SPD_ATTR_PROTO_ID, protocol.number);
    put(actions, SPD_ATTR_PROTO_EXEC_MODE, protocol.async ? SPD_ALG_EXEC_MODE_ASYNC : SPD_ALG_EXEC_MODE_SYNC);
    end(actions);
  }
  return closed(std::move(actions));
}

PolicyResult<config::AlgorithmText> decode_algorithms(const PolicyActions& from) {
  const auto builtin = crypto::AlgorithmTable::builtin();
  config::AlgorithmText text{.protocols = config::builtin_algorithms().protocols, .table = {}, .problems = {}};
  for (const Algorithm& row : builtin.rows())
    if (row.number == 0) text.table.put(row);
  Record record;
  uint32_t records = 0;
  bool ended = false;
  for (const PolicyAttribute& attribute : from.attributes) {
    if (attribute.tag == SPD_ATTR_NEXT || attribute.tag == SPD_ATTR_END) {
      if (auto added = add_record(record, builtin, text); !added) return std::unexpected(added.error());
      record = {};
      ++records;
      ended = attribute.tag == SPD_ATTR_END;
      if (ended) break;
    } else if (attribute.tag == SPD_ATTR_EMPTY) {
      record = {};
    } else if (!take(attribute, record)) {
      return refuse(EINVAL, SPD_DIAGNOSTIC_MALFORMED_ACTION,
                    fmt::format("attribute {:#x} is none of an algorithm", attribute.tag));
    }
  }
  if (!ended || records != from.count)
    return refuse(EINVAL, SPD_DIAGNOSTIC_ADD_WRONG_ACT_COUNT,
                  fmt::format("{} records are announced, {} are there", from.count, records));
  return text;
}

}  // namespace adit::protocol
