#include "datapath/outer_errors.h"

#include "tunnel/icmp_translate.h"

namespace adit::datapath {

namespace {

bool is_clear(WireKind kind) {
  return kind == WireKind::ipip || kind == WireKind::ipv6_in;
}

bool quotes_our_sa(const Snapshot& snapshot, const WireError& error) {
  const uint32_t spi_offset = error.kind == WireKind::ah ? 4 : 0;
  if (error.quoted_length < spi_offset + 4 || snapshot.sas == nullptr) return false;
  const sad::Spi spi{load_be32(error.quoted.data() + spi_offset)};
  const auto type = error.kind == WireKind::ah ? sad::SaType::ah : sad::SaType::esp;
  return snapshot.sas->find(spi, type, error.destination) != nullptr;
}

void carry_one(const Context& context, Answers& answers, const WireError& error) {
  const Snapshot& snapshot = *context.snapshot;
  const Link* link = snapshot.by_outer(error.source, error.destination);
  if (link == nullptr) return;
  const bool clear = is_clear(error.kind);
  if (!clear && !quotes_our_sa(snapshot, error)) return;

  const ByteSpan inner = clear ? ByteSpan{error.quoted.data(), error.quoted_length} : ByteSpan{};
  const tunnel::OuterError outer{error.is_v6, error.icmp_type, error.icmp_code, error.mtu};
  const tunnel::Translated meaning =
      tunnel::translate_icmp(link->outer, outer, link->path_mtu, clear ? 0 : tunnel::kEspOverhead, inner);
  if (meaning.path_mtu) context.report(PathMtuChanged{link->id, *meaning.path_mtu});
  if (meaning.inner && clear) answers.send(context, link->id, inner, *meaning.inner);
}

}  // namespace

void carry_outer_errors(const Context& context, Answers& answers) {
  std::array<WireError, 16> errors;
  for (size_t count = errors.size(); count == errors.size();) {
    count = context.wire.errors(errors);
    if (context.snapshot == nullptr) continue;
    for (size_t i = 0; i < count; ++i) carry_one(context, answers, errors[i]);
  }
}

}  // namespace adit::datapath
