#include <adit/pfpolicy.h>

#include <sys/socket.h>

#include <algorithm>

#include "protocol/pf_policy/codec.h"

namespace adit::protocol {
namespace {

constexpr size_t kMaxText = 4000;

class Writer {
 public:
  // A struct of the C header, whose length and type are filled in, and what follows it, padded to 8.
  template <typename T>
  void extension(uint16_t type, T head, size_t head_bytes = sizeof(T), ByteSpan tail = {}) {
    const size_t whole = (head_bytes + tail.size() + 7) / 8 * 8;
    const spd_ext_t common{static_cast<uint16_t>(whole / 8), type};
    std::memcpy(&head, &common, sizeof common);
    const size_t at = bytes_.size();
    bytes_.resize(at + whole);
    std::memcpy(bytes_.data() + at, &head, head_bytes);
    if (!tail.empty()) std::memcpy(bytes_.data() + at + head_bytes, tail.data(), tail.size());
  }
  template <typename T>
  void text(uint16_t type, const T& head, size_t text_at, std::string_view text) {
    std::vector<uint8_t> tail(text.begin(), text.begin() + static_cast<long>(std::min(text.size(), kMaxText)));
    tail.push_back(0);
    tail.resize(std::max(tail.size(), sizeof(T) - text_at));  // at least the struct
    extension(type, head, text_at, tail);
  }
  std::vector<uint8_t> finish(PolicyHeader header) {
    const spd_msg_t wire{
        header.version,    header.type, header.error, header.spdid, static_cast<uint16_t>(bytes_.size() / 8),
        header.diagnostic, header.seq,  header.pid};
    std::memcpy(bytes_.data(), &wire, sizeof wire);
    return std::move(bytes_);
  }

 private:
  std::vector<uint8_t> bytes_ = std::vector<uint8_t>(kPolicyHeaderBytes);
};

void put_port(Writer& writer, uint16_t type, const std::optional<uint16_t>& port) {
  if (!port) return;
  spd_portrange_t wire{};
  wire.spd_ports_minport = wire.spd_ports_maxport = host_to_be(*port);
  writer.extension(type, wire);
}

void put_address(Writer& writer, uint16_t type, const std::optional<net::Prefix>& prefix) {
  if (!prefix) return;
  spd_address_t wire{};
  wire.spd_address_af = prefix->family() == net::Family::v4 ? AF_INET : AF_INET6;
  wire.spd_address_prefixlen = prefix->length();
  writer.extension(type, wire, sizeof wire, prefix->address().bytes());
}

void put_selector(Writer& writer, const spd::Selector& selector) {
  if (selector.protocol) {
    spd_proto_t wire{};
    wire.spd_proto_number = *selector.protocol;
    writer.extension(SPD_EXT_PROTO, wire);
  }
  put_port(writer, SPD_EXT_LCLPORT, selector.local_port);
  put_port(writer, SPD_EXT_REMPORT, selector.remote_port);
  put_address(writer, SPD_EXT_REMADDR, selector.remote);
  put_address(writer, SPD_EXT_LCLADDR, selector.local);
  if (selector.icmp) {
    spd_typecode_t wire{};
    wire.spd_typecode_type = selector.icmp->type;
    wire.spd_typecode_type_end = selector.icmp->type_end;
    wire.spd_typecode_code = selector.icmp->code;
    wire.spd_typecode_code_end = selector.icmp->code_end;
    writer.extension(SPD_EXT_ICMP_TYPECODE, wire);
  }
}

void put_actions(Writer& writer, const PolicyActions& actions) {
  std::vector<uint8_t> tail;
  const auto put = [&](const void* from, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(from);
    tail.insert(tail.end(), bytes, bytes + size);
  };
  for (const PolicyAttribute& attribute : actions.attributes) {
    const spd_attribute_t wire{attribute.tag, attribute.value};
    put(&wire, sizeof wire);
    if (attribute.tag != SPD_ATTR_ALG_MECHNAME) continue;
    char name[SPD_MECHNAME_LEN] = {};
    attribute.name.copy(name, sizeof name - 1);
    put(name, sizeof name);
  }
  spd_ext_actions_t wire{};
  wire.spd_actions_count = actions.count;
  writer.extension(SPD_EXT_ACTION, wire, sizeof wire, tail);
}

void put_ours(Writer& writer, const PolicyMessage& message) {
  if (message.name_space) {
    spd_namespace_t wire{};
    wire.spd_namespace_flags = message.name_space->flags;
    writer.text(SPD_EXT_NAMESPACE, wire, offsetof(spd_namespace_t, spd_namespace_name), message.name_space->name);
  }
  if (message.origin) {
    spd_origin_t wire{};
    wire.spd_origin_line = message.origin->line;
    writer.text(SPD_EXT_ORIGIN, wire, offsetof(spd_origin_t, spd_origin_file), message.origin->file);
  }
  if (message.transaction) {
    spd_transaction_t wire{};
    wire.spd_transaction_flags = message.transaction->flags;
    wire.spd_transaction_generation = message.transaction->generation;
    wire.spd_transaction_confirm = message.transaction->confirm_seconds;
    writer.extension(SPD_EXT_TRANSACTION, wire);
  }
  if (message.text)
    writer.text(SPD_EXT_DIAGNOSTIC, spd_diagnostic_text_t{}, offsetof(spd_diagnostic_text_t, spd_diagnostic_text),
                *message.text);
}

// Another extension at the end, and the length of the whole put right.
void append_text(std::vector<uint8_t>& message, const std::string& text) {
  Writer writer;
  writer.text(SPD_EXT_DIAGNOSTIC, spd_diagnostic_text_t{}, offsetof(spd_diagnostic_text_t, spd_diagnostic_text), text);
  const auto alone = writer.finish({});
  message.insert(message.end(), alone.begin() + kPolicyHeaderBytes, alone.end());
  const auto words = static_cast<uint16_t>(message.size() / 8);
  std::memcpy(message.data() + offsetof(spd_msg_t, spd_msg_len), &words, sizeof words);
}

}  // namespace

std::vector<uint8_t> encode_policy(const PolicyMessage& message) {
  Writer writer;
  if (message.ruleset) {
    spd_ruleset_ext_t wire{};
    wire.spd_ruleset_count = message.ruleset->count;
    wire.spd_ruleset_version = message.ruleset->version;
    writer.extension(SPD_EXT_RULESET, wire);
  }
  if (message.rule) {
    spd_rule_t wire{};
    wire.spd_rule_priority = message.rule->priority;
    wire.spd_rule_flags = message.rule->flags;
    wire.spd_rule_index = message.rule->index;
    writer.extension(SPD_EXT_RULE, wire);
  }
  if (message.tunnel) writer.text(SPD_EXT_TUN_NAME, spd_if_t{}, offsetof(spd_if_t, spd_if_name), *message.tunnel);
  put_selector(writer, message.selector);
  if (message.actions) put_actions(writer, *message.actions);
  put_ours(writer, message);
  return writer.finish(message.header);
}

std::vector<uint8_t> echo_policy(ByteSpan request, const PolicyEcho& more) {
  std::vector<uint8_t> answer(request.begin(), request.end());
  for (size_t at = kPolicyHeaderBytes; at + sizeof(spd_ext_t) <= answer.size();) {
    spd_ext_t head;
    std::memcpy(&head, answer.data() + at, sizeof head);
    const auto bytes = static_cast<ptrdiff_t>(size_t{head.spd_ext_len} * 8);
    if (head.spd_ext_type == SPD_EXT_RULE && more.index)
      std::memcpy(answer.data() + at + offsetof(spd_rule_t, spd_rule_index), &*more.index, sizeof *more.index);
    if (head.spd_ext_type == SPD_EXT_TRANSACTION && more.generation)
      std::memcpy(answer.data() + at + offsetof(spd_transaction_t, spd_transaction_generation), &*more.generation,
                  sizeof *more.generation);
    if (head.spd_ext_type == SPD_EXT_DIAGNOSTIC && !more.text.empty()) {
      const auto from = answer.begin() + static_cast<ptrdiff_t>(at);
      answer.erase(from, from + bytes);
      continue;
    }
    at += static_cast<size_t>(bytes);
  }
  if (!more.text.empty()) append_text(answer, more.text);
  answer[offsetof(spd_msg_t, spd_msg_errno)] = 0;
  answer[offsetof(spd_msg_t, spd_msg_diagnostic)] = answer[offsetof(spd_msg_t, spd_msg_diagnostic) + 1] = 0;
  return answer;
}

}  // namespace adit::protocol
