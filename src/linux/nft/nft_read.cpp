// What nft printed, made comparable.
#include "linux/nft/nft_json.h"
#include "linux/nft/nft_render.h"

namespace adit::platform {
namespace {

using nft::Json;

constexpr int kDeepest = 64;  // of what nft prints some ten

// Handles are the kernel's, counters run.
void strip(Json& value, int depth) {
  if (depth > kDeepest) return;
  if (value.is_object()) {
    value.erase("handle");
    value.erase("packets");
    value.erase("bytes");
    value.erase("metainfo");
  }
  if (value.is_structured())
    for (auto& part : value) strip(part, depth + 1);
}

}  // namespace

std::string table_content(const Json& listing) {
  Json copy = listing;
  strip(copy, 0);
  return copy.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace adit::platform
