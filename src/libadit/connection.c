#include "connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

uint32_t adit_version(void) {
  return ADIT_API_VERSION;
}

int connect_to(const char* run_dir, const char* name, int type, adit_error_t* error) {
  struct sockaddr_un address;
  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  if (run_dir == NULL) run_dir = getenv("ADIT_RUNDIR");
  if (run_dir == NULL || run_dir[0] == '\0') run_dir = "/run/adit";
  const int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", run_dir, name);
  if (length < 0 || (size_t)length >= sizeof address.sun_path)
    return -failed(error, ENAMETOOLONG, 0, "the socket path %s/%s is too long", run_dir, name);
  const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (fd < 0) return -failed(error, errno, 0, "cannot make a socket: %s", strerror(errno));
  if (connect(fd, (const struct sockaddr*)&address, sizeof address) == 0) return fd;
  const int code = errno;
  close(fd);
  if (code == ENOENT || code == ECONNREFUSED)
    return -failed(error, code, 0, "aditd is not running (no answer at %s); start it with 'aditd'", address.sun_path);
  return -failed(error, code, 0, "cannot connect to %s: %s", address.sun_path, strerror(code));
}

int adit_open(adit_t** out, const char* run_dir, adit_error_t* error) {
  adit_t* connection = calloc(1, sizeof *connection);
  if (connection == NULL) return failed(error, ENOMEM, 0, "no memory");
  connection->fd = connect_to(run_dir, "pf_policy.sock", SOCK_SEQPACKET, error);
  if (connection->fd < 0) {
    const int code = -connection->fd;
    free(connection);
    return code;
  }
  *out = connection;
  return 0;
}

void adit_close(adit_t* connection) {
  if (connection == NULL) return;
  close(connection->fd); /* the daemon forgets the draft with it */
  free(connection->transaction);
  free(connection->actions.list);
  free(connection);
}

int adit_set_namespace(adit_t* connection, const char* name, uint32_t flags, adit_error_t* error) {
  if (connection->transaction != NULL)
    return failed(error, EBUSY, 0, "a transaction is open; commit it or roll it back first");
  if (strlen(name) > SPD_NAMESPACE_MAXLEN)
    return failed(error, ENAMETOOLONG, 0, "a namespace has up to %d bytes", SPD_NAMESPACE_MAXLEN);
  if ((flags & ~(uint32_t)SPD_NAMESPACE_OVERRIDE) != 0)
    return failed(error, EINVAL, 0, "unknown flags %#x; there is SPD_NAMESPACE_OVERRIDE", (unsigned)flags);
  memcpy(connection->name_space, name, strlen(name) + 1);
  connection->namespace_flags = flags;
  return 0;
}

void begin_request(adit_t* connection, uint8_t command, uint8_t spdid, const char* tunnel, uint32_t flags) {
  struct outgoing* out = &connection->out;
  begin_message(out, command, spdid);
  if (tunnel == NULL || tunnel[0] != '\0') put_text(out, SPD_EXT_TUN_NAME, 4, 0, tunnel == NULL ? "" : tunnel);
  put_text(out, SPD_EXT_NAMESPACE, 8, connection->namespace_flags | flags, connection->name_space);
  put_text(out, SPD_EXT_DIAGNOSTIC, 8, 0, "");
}

static int send_request(adit_t* connection, adit_error_t* error) {
  struct outgoing* out = &connection->out;
  if (out->full) return failed(error, E2BIG, 0, "the rule is too large for one message");
  finish_message(out, ++connection->seq);
  for (;;) {
    if (send(connection->fd, out->bytes, out->size, MSG_NOSIGNAL) >= 0) return 0;
    if (errno != EINTR) return failed(error, errno, 0, "aditd closed the connection: %s", strerror(errno));
  }
}

/* The next message that answers the last request. */
static int receive(adit_t* connection, struct incoming* answer, adit_error_t* error) {
  for (;;) {
    const ssize_t got = recv(connection->fd, connection->in, sizeof connection->in, MSG_TRUNC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(error, errno, 0, "no answer from aditd: %s", strerror(errno));
    if (got == 0) return failed(error, EPIPE, 0, "aditd closed the connection");
    if ((size_t)got > sizeof connection->in || read_message(answer, connection->in, (size_t)got) != 0)
      return failed(error, EPROTO, 0, "aditd sent what is no PF_POLICY message");
    if (answer->header.spd_msg_seq == connection->seq) return 0;
  }
}

static int refusal_of(const struct incoming* answer, adit_error_t* error) {
  const int code = answer->header.spd_msg_errno;
  const char* text = text_of(answer, SPD_EXT_DIAGNOSTIC);
  return failed(error, code, answer->header.spd_msg_diagnostic, "%s",
                text != NULL && text[0] != '\0' ? text : strerror(code));
}

int ask(adit_t* connection, struct incoming* answer, adit_error_t* error) {
  int done = send_request(connection, error);
  if (done == 0) done = receive(connection, answer, error);
  if (done != 0) return done;
  return answer->header.spd_msg_errno == 0 ? 0 : refusal_of(answer, error);
}

/* After the first RULESET: rules up to the trailer. Who has heard enough is spared the rest, which is read all the
   same. */
static int tell_rules(adit_t* connection, adit_rule_fn told, void* context, adit_error_t* error) {
  int enough = 0;
  for (uint32_t count = 0;; ++count) {
    struct incoming message;
    int done = receive(connection, &message, error);
    if (done != 0) return done;
    if (message.extension[SPD_EXT_RULESET] != NULL) {
      uint32_t announced;
      memcpy(&announced, message.extension[SPD_EXT_RULESET] + offsetof(spd_ruleset_ext_t, spd_ruleset_count), 4);
      if (announced != count) return failed(error, EPROTO, 0, "aditd announced %u rules and sent %u", announced, count);
      if (enough != 0) return enough;
      if (message.header.spd_msg_errno == 0) return 0;
      return failed(error, message.header.spd_msg_errno, 0, "the rules changed while they were told");
    }
    if (message.header.spd_msg_errno != 0) return refusal_of(&message, error);
    adit_rule_t rule;
    done = read_rule(&rule, &message, &connection->actions);
    if (done != 0) return failed(error, done, 0, "aditd sent a rule without its parts");
    if (enough == 0) enough = told(context, &rule);
  }
}

int ask_for_rules(adit_t* connection, adit_rule_fn told, void* context, uint64_t* version, adit_error_t* error) {
  struct incoming first;
  const int done = ask(connection, &first, error);
  if (done != 0) return done;
  if (first.extension[SPD_EXT_RULESET] == NULL)
    return failed(error, EPROTO, 0, "aditd began a dump without its version");
  if (version != NULL)
    memcpy(version, first.extension[SPD_EXT_RULESET] + offsetof(spd_ruleset_ext_t, spd_ruleset_version), 8);
  return tell_rules(connection, told, context, error);
}

int adit_dump(adit_t* connection, const char* tunnel, uint32_t flags, adit_rule_fn told, void* context,
              uint64_t* version, adit_error_t* error) {
  if ((flags & ~ADIT_ALL_NAMESPACES) != 0) return failed(error, EINVAL, 0, "unknown flags %#x", (unsigned)flags);
  begin_request(connection, SPD_DUMP, SPD_ACTIVE, tunnel, flags != 0 ? SPD_NAMESPACE_ALL : 0);
  return ask_for_rules(connection, told, context, version, error);
}

int adit_lookup(adit_t* connection, const char* tunnel, const adit_packet_t* packet, adit_rule_fn told, void* context,
                adit_error_t* error) {
  adit_rule_t question;
  memset(&question, 0, sizeof question);
  question.flags = packet->direction;
  question.local = packet->local;
  question.remote = packet->remote;
  question.protocol = packet->protocol;
  question.has_icmp = packet->has_icmp;
  question.icmp_type = question.icmp_type_end = packet->icmp_type;
  question.icmp_code = question.icmp_code_end = packet->icmp_code;
  if (packet->has_ports) {
    question.local_port = packet->local_port;
    question.remote_port = packet->remote_port;
  }
  begin_request(connection, SPD_LOOKUP, SPD_ACTIVE, tunnel == NULL ? "" : tunnel, SPD_NAMESPACE_ALL);
  put_rule(&connection->out, &question, 0);
  struct incoming answer;
  adit_rule_t rule;
  int done = ask(connection, &answer, error);
  if (done != 0) return done;
  done = read_rule(&rule, &answer, &connection->actions);
  if (done != 0) return failed(error, done, 0, "aditd sent a rule without its parts");
  return told(context, &rule);
}
