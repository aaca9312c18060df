#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "connection.h"

struct adit_transaction {
  adit_t* connection;
};

int adit_begin(adit_t* connection, uint32_t flags, adit_transaction_t** out, adit_error_t* error) {
  if ((flags & ~ADIT_BEGIN_EMPTY) != 0) return failed(error, EINVAL, 0, "unknown flags %#x", (unsigned)flags);
  if (connection->transaction != NULL)
    return failed(error, EBUSY, 0, "a transaction is open; commit it or roll it back first");
  if ((flags & ADIT_BEGIN_EMPTY) == 0) {
    struct incoming answer;
    begin_request(connection, SPD_CLONE, SPD_ACTIVE, NULL, 0);
    const int done = ask(connection, &answer, error);
    if (done != 0) return done;
  }
  adit_transaction_t* made = calloc(1, sizeof *made);
  if (made == NULL) return failed(error, ENOMEM, 0, "no memory");
  made->connection = connection;
  connection->transaction = *out = made;
  return 0;
}

int adit_add(adit_transaction_t* transaction, const adit_rule_t* rule, uint64_t* index, adit_error_t* error) {
  adit_t* connection = transaction->connection;
  if (rule->action_count == 0 || rule->action_count > UINT16_MAX)
    return failed(error, EINVAL, SPD_DIAGNOSTIC_NO_ACTION_EXT, "a rule has 1 to %d actions", UINT16_MAX);
  begin_request(connection, SPD_ADDRULE, SPD_STANDBY, "", 0);
  put_rule(&connection->out, rule, 1);
  struct incoming answer;
  const int done = ask(connection, &answer, error);
  if (done != 0) return done;
  if (answer.extension[SPD_EXT_RULE] == NULL) return failed(error, EPROTO, 0, "aditd answered without a rule");
  if (index != NULL) memcpy(index, answer.extension[SPD_EXT_RULE] + offsetof(spd_rule_t, spd_rule_index), 8);
  return 0;
}

int adit_delete(adit_transaction_t* transaction, const adit_rule_t* rule, adit_error_t* error) {
  adit_t* connection = transaction->connection;
  begin_request(connection, SPD_DELETERULE, SPD_STANDBY, "", 0);
  put_rule(&connection->out, rule, 0);
  struct incoming answer;
  return ask(connection, &answer, error);
}

int adit_clear(adit_transaction_t* transaction, const char* tunnel, adit_error_t* error) {
  struct incoming answer;
  begin_request(transaction->connection, SPD_FLUSH, SPD_STANDBY, tunnel, 0);
  return ask(transaction->connection, &answer, error);
}

int adit_dump_draft(adit_transaction_t* transaction, const char* tunnel, adit_rule_fn told, void* context,
                    adit_error_t* error) {
  begin_request(transaction->connection, SPD_DUMP, SPD_STANDBY, tunnel, 0);
  const int done = ask_for_rules(transaction->connection, told, context, NULL, error);
  return done == EAGAIN ? 0 : done; /* what is in force changed; the draft did not */
}

static void end(adit_transaction_t* transaction) {
  adit_t* connection = transaction->connection;
  struct incoming answer;
  begin_request(connection, SPD_FLUSH, SPD_STANDBY, NULL, 0);
  (void)ask(connection, &answer, NULL); /* a connection that is gone has no draft */
  connection->transaction = NULL;
  free(transaction);
}

static int flip(adit_t* connection, const spd_transaction_t* how, uint64_t* generation, adit_error_t* error) {
  begin_request(connection, SPD_FLIP, SPD_ACTIVE, NULL, 0);
  void* extension = put_extension(&connection->out, SPD_EXT_TRANSACTION, sizeof *how);
  if (extension != NULL) memcpy(extension, how, sizeof *how);
  struct incoming answer;
  const int done = ask(connection, &answer, error);
  if (done != 0 || generation == NULL) return done;
  if (answer.extension[SPD_EXT_TRANSACTION] == NULL)
    return failed(error, EPROTO, 0, "aditd answered without a generation");
  memcpy(generation, answer.extension[SPD_EXT_TRANSACTION] + offsetof(spd_transaction_t, spd_transaction_generation),
         8);
  return 0;
}

static spd_transaction_t with_flags(uint32_t flags, uint32_t confirm_seconds) {
  const spd_transaction_t how = {.spd_transaction_len = sizeof(spd_transaction_t) / 8,
                                 .spd_transaction_exttype = SPD_EXT_TRANSACTION,
                                 .spd_transaction_flags = flags,
                                 .spd_transaction_confirm = confirm_seconds};
  return how;
}

int adit_commit(adit_transaction_t* transaction, uint32_t flags, uint32_t confirm_seconds, uint64_t* generation,
                adit_error_t* error) {
  if ((flags & ~ADIT_COMMIT_FORCE) != 0) return failed(error, EINVAL, 0, "unknown flags %#x", (unsigned)flags);
  const spd_transaction_t how = with_flags(flags != 0 ? SPD_TRANSACTION_FORCE : 0, confirm_seconds);
  const int done = flip(transaction->connection, &how, generation, error);
  if (done == 0) end(transaction);
  return done;
}

void adit_rollback(adit_transaction_t* transaction) {
  if (transaction != NULL) end(transaction);
}

int adit_confirm(adit_t* connection, adit_error_t* error) {
  const spd_transaction_t how = with_flags(SPD_TRANSACTION_CONFIRM, 0);
  return flip(connection, &how, NULL, error);
}

int adit_undo(adit_t* connection, adit_error_t* error) {
  const spd_transaction_t how = with_flags(SPD_TRANSACTION_UNDO, 0);
  return flip(connection, &how, NULL, error);
}
