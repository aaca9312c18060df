// Between PF_KEY messages and the SAD's own terms. Pure; the second step after the codec: is what the message needs
// there, do its parts agree? (The third is validate.)
#pragma once

#include "crypto/algorithm.h"
#include "protocol/pf_key/message.h"
#include "sad/acquire.h"
#include "sad/database.h"

namespace adit::sad {

// A window that nobody gave.
constexpr uint32_t kDefaultReplayWindow = 1024;

// satype_needed (5), unknown_satype (4).
KeyResult<SaType> needed_satype(const KeyMessage& message);
// The same, but 0 is all.
KeyResult<SaType> optional_satype(const KeyMessage& message);

// DELETE, GET and their kin: SA and destination. 19, 20.
KeyResult<SaName> to_name(const KeyMessage& message);
// ADD, UPDATE, UPDATEPAIR. Takes the keys out of the message. `algorithms` says how much of a key is salt. Diagnostics:
// 4, 5, 18-20, 38, 39, 42-45, 51, 52, 58, 59, 64, 65, 67, 70-72, 81, 83, 203, 207.
KeyResult<SaRequest> to_request(KeyMessage& message, const crypto::AlgorithmTable& algorithms);
// GETSPI. 18, 19, 23.
KeyResult<SpiRequest> to_spi_request(const KeyMessage& message);
Requester to_requester(const KeyMessage& message);

// All that is known of an SA, but its keys.
KeyMessage from_sa(Sa& sa, KeyMessageType type);
// A copy of its keys, for GET and DUMP. ENOMEM: no_key_memory.
KeyResult<> put_keys(const SaSpec& spec, KeyMessage& message);
// EXPIRE: SA, current lifetime, the lifetime that was reached, addresses.
KeyMessage expire_message(Sa& sa, Expiry expiry);

// SUPPORTED lists of a REGISTER's answer.
void describe_algorithms(const crypto::AlgorithmTable& algorithms, SaType type, KeyMessage& message);

}  // namespace adit::sad
