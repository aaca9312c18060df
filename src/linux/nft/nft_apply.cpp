#include "linux/nft/nft_apply.h"

#include "linux/nft/nft_json.h"
#include "linux/nft/nft_render.h"

namespace adit::platform {

// What stands, comparable; nullopt: there is none.
Result<std::optional<std::string>> NftTable::content_now() const {
  const auto answer = run_nft({"-j", "list", "table", "inet", kTableName}, {}, run_);
  if (!answer && answer.error().code == ENOENT && answer.error().text.starts_with("nft refuses")) return std::nullopt;
  if (!answer) return std::unexpected(answer.error());
  const auto listing = nlohmann::json::parse(answer->output, nullptr, false);
  if (listing.is_discarded()) return fail(EIO, "nft printed what is not JSON");
  return table_content(listing);
}

Result<> NftTable::apply(const Firewall& firewall) {
  if (trusted_ && applied_ == firewall) return {};
  const auto answer = run_nft({"-j", "-f", "-"}, render_table(firewall), run_);
  if (!answer) return fail(answer.error().code, "the host's rules were not changed: {}", answer.error().text);
  own_port_(static_cast<uint32_t>(answer->process));
  applied_ = firewall;
  TRY_ASSIGN(const auto content, content_now());
  content_ = content.value_or("");
  trusted_ = content.has_value();
  return {};
}

Result<> NftTable::remove() {
  applied_.reset();
  trusted_ = false;
  TRY_ASSIGN(const NftAnswer answer, run_nft({"-j", "-f", "-"}, render_removal(), run_));
  own_port_(static_cast<uint32_t>(answer.process));
  return {};
}

Result<bool> NftTable::stands() {
  if (!applied_) return false;
  TRY_ASSIGN(const auto content, content_now());
  trusted_ = content == content_;
  return trusted_;
}

}  // namespace adit::platform
