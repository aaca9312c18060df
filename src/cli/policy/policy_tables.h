// What ipsecconf and ipsecalgs read before they speak to the daemon: the algorithm file and policy texts.
#pragma once

#include <string>

#include "cli/frame/context.h"
#include "config/ipsecalgs/ipsecalgs_file.h"

namespace adit::cli {

constexpr const char* kAlgorithmFile = "/etc/inet/ipsecalgs";

// The file below the root, or what stands for the built-in table when there is none. Its warnings go to err.
Result<config::AlgorithmText> read_algorithm_file(Context& context);

// FILE, or standard input for "-", up to the size a policy may have.
Result<std::string> read_policy_text(Context& context, const std::string& file);

}  // namespace adit::cli
