#include "linux/nft_apply.h"

#include "linux/nft_program.h"
#include "linux/nft_render.h"

namespace adit::platform {
namespace {

// What nft prints of the table; nullopt: there is none.
Result<std::optional<nlohmann::json>> list_table() {
  const auto answer = run_nft({"-j", "list", "table", "inet", kTableName}, {});
  if (!answer && answer.error().code == ENOENT && answer.error().text.starts_with("nft refuses")) return std::nullopt;
  if (!answer) return std::unexpected(answer.error());
  auto listing = nlohmann::json::parse(answer->output, nullptr, false);
  if (listing.is_discarded()) return fail(EIO, "nft printed what is not JSON");
  return listing;
}

}  // namespace

Result<> NftTable::send(const std::string& document) {
  TRY_ASSIGN(const NftAnswer answer, run_nft({"-j", "-f", "-"}, document));
  own_port_(static_cast<uint32_t>(answer.process));
  return {};
}

Result<> NftTable::replace(const Firewall& firewall) {
  TRY_ASSIGN(const auto counts, leaks());
  const auto sent = send(render_table(firewall, counts).dump());
  if (!sent) return fail(sent.error().code, "the guard was not changed: {}", sent.error().text);
  applied_ = firewall;
  trusted_ = true;
  return {};
}

Result<> NftTable::apply(const Firewall& firewall) {
  if (!trusted_ || !applied_) return replace(firewall);
  const auto difference = render_difference(*applied_, firewall);
  if (!difference) return replace(firewall);
  if ((*difference)["nftables"].empty()) {
    applied_ = firewall;
    return {};
  }
  if (!send(difference->dump())) return replace(firewall);   // it is not what we took it for
  applied_ = firewall;
  return {};
}

Result<> NftTable::remove() {
  applied_.reset();
  trusted_ = false;
  return send(render_removal().dump());
}

Result<bool> NftTable::stands() {
  if (!applied_) return false;
  TRY_ASSIGN(const auto listing, list_table());
  trusted_ = listing && table_shape(*listing) == table_shape(render_table(*applied_, {}));
  return trusted_;
}

Result<std::vector<LeakCount>> NftTable::leaks() {
  TRY_ASSIGN(const auto listing, list_table());
  return listing ? read_leaks(*listing) : std::vector<LeakCount>{};
}

}  // namespace adit::platform
