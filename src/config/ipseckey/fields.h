// The fields of ipseckey commands: their names, what follows each, and in which commands they may stand.
#pragma once

#include <cstdint>
#include <string_view>

namespace adit::config::ipseckey {

enum class Field : uint8_t {
  spi,
  pair_spi,
  replay,
  state,
  auth_alg,
  encr_alg,
  flags,
  reserved_bits,
  encap,
  inbound,
  outbound,
  esn,
  soft_alloc,
  soft_bytes,
  soft_addtime,
  soft_usetime,
  hard_alloc,
  hard_bytes,
  hard_addtime,
  hard_usetime,
  idle_addtime,
  idle_usetime,
  current,
  src,
  dst,
  inner_src,
  inner_dst,
  nat_local,
  nat_remote,
  sport,
  dport,
  inner_sport,
  inner_dport,
  nat_lport,
  nat_rport,
  proto,
  inner_proto,
  auth_key,
  encr_key,
  src_id,
  dst_id,
  replay_value,
  label
};

struct FieldName {
  std::string_view name;
  Field field;
  bool v6_only;           // saddr6 and its like
  bool find_too;          // also for delete, delete-pair and get
  std::string_view noun;  // "Can only specify single <noun>."
};

// nullptr: no such field.
const FieldName* find_field(std::string_view name);

}  // namespace adit::config::ipseckey
