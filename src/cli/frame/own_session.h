// Where the session of who runs a command comes from.
#pragma once

#include <string>

namespace adit::cli {

// The client's address in SSH_CONNECTION, of this process or, where something like sudo cleaned the environment, of the
// nearest ancestor that has it. Empty: no SSH session, as far as can be seen.
std::string own_session_address();

// The first word of a value of SSH_CONNECTION, if it is an address.
std::string client_of(const std::string& ssh_connection);

}  // namespace adit::cli
