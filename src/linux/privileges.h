// What aditd may do, brought down to what it needs. Call before threads are started.
#pragma once

#include "base/result.h"

namespace adit::platform {

// EPERM, naming what is missing: CAP_NET_ADMIN (devices, addresses, routes, nftables, marks) and CAP_NET_RAW (raw
// sockets). CAP_NET_BIND_SERVICE is not needed for UDP 4500, but for 500.
Result<> check_privileges();

// Keeps CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE and CAP_IPC_LOCK (secret memory) as far as they are held, in
// the permitted, effective, inheritable, ambient and bounding sets; nothing else, and no way to more: no_new_privs. The
// nft program that we start has the same set and no more (ambient capabilities survive both execve and no_new_privs).
// Root stays user 0 without root's powers: files that root alone may read stay readable, others' do not.
Result<> drop_privileges();

// For the guardian: CAP_NET_ADMIN and nothing else, in every set where that can be had; no_new_privs. EPERM: it is not
// held.
Result<> keep_net_admin_only();

// I8: no core file, no ptrace by others of the user, no /proc/self/mem for them.
Result<> forbid_dumps();

}  // namespace adit::platform
