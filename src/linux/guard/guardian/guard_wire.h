// What aditd and the guardian say to each other over their socket (SOCK_SEQPACKET, root only): plans and changes as
// bytes. Numbers are in network order. Whatever the bytes are, reading them fails or gives a plan; it never ends the
// process.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "linux/platform/guard_plan.h"
#include "linux/process/descriptor.h"

namespace adit::platform {

// --- values. EINVAL: not of this form: too short, too long, networks with host bits, devices out of order …
std::vector<uint8_t> encode_plan(const GuardPlan& plan);
Result<GuardPlan> decode_plan(ByteSpan bytes);
std::vector<uint8_t> encode_change(const GuardChange& change);
Result<GuardChange> decode_change(ByteSpan bytes);

// --- messages
enum class GuardWord : uint8_t {
  plan = 1,    // aditd: the whole of it, in the memory file that comes with the message
  change = 2,  // aditd: with the message, or in a memory file when it is long
  state = 3,   // aditd asks
  done = 4,    // the guardian: all layers stand as told
  failed = 5,  // they stand as before; errno and text
  standing = 6,
  told = 7,  // unasked: a sentence for the operator
};

struct GuardMessage {
  GuardWord word = GuardWord::state;
  uint64_t number = 0;  // of the request, and in its answer
  std::vector<uint8_t> body;
};
constexpr size_t kMostInline = 16384;       // bytes of body in the message itself
constexpr size_t kMostInMemory = 64 << 20;  // bytes of a memory file: half a million networks

std::vector<uint8_t> encode_error(const Error& error);
Error decode_error(ByteSpan body);
std::vector<uint8_t> encode_state(const GuardState& state);
GuardState decode_state(ByteSpan body);

// Sends without waiting; a long body goes as a sealed memory file. EAGAIN: the other does not read. EPIPE: it is gone.
Result<> send_guard_message(int socket, const GuardMessage& message);
// The next message; nullopt: there is none now. EPIPE: the other end is gone. EINVAL: not a message: close.
Result<std::optional<GuardMessage>> receive_guard_message(int socket);

}  // namespace adit::platform
