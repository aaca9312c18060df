/* One connection to pf_policy.sock. Not installed. */
#ifndef ADIT_LIBADIT_CONNECTION_H
#define ADIT_LIBADIT_CONNECTION_H

#include "message.h"

#define LONGEST_ANSWER (2 * SPD_MAX_MESSAGE)

struct adit_connection {
  int fd;
  uint32_t seq;
  uint32_t namespace_flags;
  char name_space[SPD_NAMESPACE_MAXLEN + 1];
  adit_transaction_t* transaction; /* the open one */
  struct actions actions;
  struct outgoing out;
  uint8_t in[LONGEST_ANSWER];
};

/* A descriptor of that type connected to <run_dir>/<name>; negative: the reason is in `error`, and so is its code,
   negated, in the result. */
int connect_to(const char* run_dir, const char* name, int type, adit_error_t* error);

/* Begins a request in connection->out: about `tunnel` (NULL: all heads, "": the host's), in its namespace with `flags`
   added. */
void begin_request(adit_t* connection, uint8_t command, uint8_t spdid, const char* tunnel, uint32_t flags);
/* Sends connection->out and reads its answer; a refusal is the daemon's errno, diagnostic and sentence. */
int ask(adit_t* connection, struct incoming* answer, adit_error_t* error);
/* Sends a DUMP that was begun and tells what comes. */
int ask_for_rules(adit_t* connection, adit_rule_fn told, void* context, uint64_t* version, adit_error_t* error);

#endif
