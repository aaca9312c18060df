#include <linux/filter.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <vector>

#include "linux/ports/wire_socket.h"

namespace adit::platform {
namespace {

constexpr uint32_t kSpread = 0x9e3779b1;  // the golden ratio: SPIs may be consecutive
constexpr uint32_t kAll = 0xffffffff;
constexpr auto kNetwork = static_cast<uint32_t>(SKF_NET_OFF);

void statement(std::vector<sock_filter>& program, int code, uint32_t k) {
  program.push_back(sock_filter{static_cast<uint16_t>(code), 0, 0, k});
}

// A = the SPI; 0 where the packet ends before it, so that one worker takes it and counts it (a load behind the end
// would have every socket refuse it). Over IPv4 the filter sees the IP header first, over IPv6 what follows all
// headers.
void load_spi(std::vector<sock_filter>& program, WireKind kind, net::Family family) {
  const uint32_t offset = kind == WireKind::ah ? 4 : 0;  // RFC 4302 §2, RFC 4303 §2
  const bool v4 = family == net::Family::v4;
  if (v4) statement(program, BPF_LDX | BPF_B | BPF_MSH, 0);  // X = IPv4 header length
  statement(program, BPF_LD | BPF_W | BPF_LEN, 0);
  if (v4) statement(program, BPF_ALU | BPF_SUB | BPF_X, 0);
  program.push_back(sock_filter{BPF_JMP | BPF_JGE | BPF_K, 2, 0, offset + 4});
  statement(program, BPF_LD | BPF_IMM, 0);
  statement(program, BPF_JMP | BPF_JA, 1);
  statement(program, static_cast<int>(BPF_LD | BPF_W) | (v4 ? BPF_IND : BPF_ABS), offset);
}

// A = the words of both outer addresses, folded.
void load_addresses(std::vector<sock_filter>& program, net::Family family) {
  const std::vector<uint32_t> words =
      family == net::Family::v4 ? std::vector<uint32_t>{12, 16} : std::vector<uint32_t>{12, 20, 28, 36};
  statement(program, BPF_LD | BPF_IMM, 0);
  for (const uint32_t word : words) {
    statement(program, BPF_MISC | BPF_TAX, 0);
    statement(program, BPF_LD | BPF_W | BPF_ABS, kNetwork + word);
    statement(program, BPF_ALU | BPF_XOR | BPF_X, 0);
  }
}

Result<> attach_share(const WireSocket& socket, uint32_t worker, uint32_t workers) {
  if (workers < 2) return {};
  std::vector<sock_filter> program;
  const bool by_spi = socket.kind == WireKind::esp || socket.kind == WireKind::ah;
  if (by_spi)
    load_spi(program, socket.kind, socket.family);
  else
    load_addresses(program, socket.family);
  statement(program, BPF_ALU | BPF_MUL | BPF_K, kSpread);
  statement(program, BPF_ALU | BPF_RSH | BPF_K, 16);
  statement(program, BPF_ALU | BPF_MOD | BPF_K, workers);
  program.push_back(sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, worker});
  statement(program, BPF_RET | BPF_K, kAll);
  statement(program, BPF_RET | BPF_K, 0);
  const sock_fprog filter{static_cast<uint16_t>(program.size()), program.data()};
  if (setsockopt(socket.fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0) return {};
  return fail(errno, "SO_ATTACH_FILTER: {}", std::strerror(errno));
}

}  // namespace

Result<WireSocket> open_raw_socket(WireKind kind, net::Family family, uint32_t worker, uint32_t workers,
                                   uint32_t mark) {
  const int domain = family == net::Family::v4 ? AF_INET : AF_INET6;
  WireSocket socket{Descriptor(::socket(domain, SOCK_RAW | SOCK_CLOEXEC, protocol_of(kind))), kind, family};
  if (!socket.fd.valid()) return fail(errno, "{}", std::strerror(errno));
  TRY(attach_share(socket, worker, workers));
  TRY(set_up_socket(socket, mark));
  return socket;
}

}  // namespace adit::platform
