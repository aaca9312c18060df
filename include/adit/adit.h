/*
 * libadit: policy, transactions and events of Adit from C. Committed: what this header says stays; libadit(3) says what
 * may be added and how a program finds out.
 *
 * Threads: an object (adit_t, adit_transaction_t, adit_events_t) is used by one thread at a time; different objects do
 * not know of each other, except that a transaction uses the adit_t that it was begun on. Nothing here is called from a
 * signal handler. No function changes signal dispositions, and no write raises SIGPIPE.
 *
 * Ownership: what a function puts into an `out` parameter is the caller's and goes back by the function that its
 * comment names. Strings and arrays that a callback or adit_events_next() is given belong to the library and live until
 * the callback returns, or until the next call on that object. Strings and arrays that the caller gives are copied
 * before the function returns.
 *
 * Results: 0, or an errno value. The last parameter of each function that can fail takes the reason; it may be NULL.
 */
#ifndef ADIT_ADIT_H
#define ADIT_ADIT_H

#include <stddef.h>
#include <stdint.h>

#include <adit/pfpolicy.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What this header was written for; adit_version() tells what the library is. They differ only by additions. */
#define ADIT_API_VERSION 1
uint32_t adit_version(void);

/* Why something was refused. */
typedef struct adit_error {
  int code;            /* errno value */
  uint16_t diagnostic; /* SPD_DIAGNOSTIC_..., 0: none */
  uint16_t reserved;
  char text[1024]; /* a sentence in UTF-8: what failed, why, what to do; cut at a NUL */
} adit_error_t;

/* ---- A connection to pf_policy.sock. */
typedef struct adit_connection adit_t;

/* `run_dir`: the daemon's run directory; NULL: $ADIT_RUNDIR, or /run/adit. Closed with adit_close().
   ENOENT, ECONNREFUSED: no daemon there. EACCES, EPERM: the socket is not for this user. */
int adit_open(adit_t** out, const char* run_dir, adit_error_t* error);
/* Rolls an open transaction back. NULL: nothing. */
void adit_close(adit_t* connection);

/* Whose records everything on this connection is about from now on; the default is "", the global namespace.
   `flags`: 0, or SPD_NAMESPACE_OVERRIDE to touch the records of others, which needs privilege.
   EBUSY: a transaction is open. ENAMETOOLONG: more than SPD_NAMESPACE_MAXLEN bytes. */
int adit_set_namespace(adit_t* connection, const char* name, uint32_t flags, adit_error_t* error);

/* ---- Rules as values. */

/* family 0: any address. Bytes in network order, an IPv4 address in the first four. */
typedef struct adit_prefix {
  uint8_t family; /* 0, AF_INET or AF_INET6 */
  uint8_t length; /* bits */
  uint8_t reserved[6];
  uint8_t address[16];
} adit_prefix_t;

/* "10.0.1.0/24", "2001:db8::1". EINVAL: it is none. */
int adit_parse_prefix(adit_prefix_t* out, const char* text);

typedef struct adit_algorithm {
  uint16_t number;             /* as ipsecalgs(8) lists them; 0: any */
  uint16_t min_bits, max_bits; /* key length; both 0: open */
  uint16_t reserved;
} adit_algorithm_t;

/* One alternative. What flags do not ask for is not looked at. SPD_APPLY_ESP asks for `cipher` (11: NULL), with
   SPD_APPLY_ESPA for `integrity` too; SPD_APPLY_AH for `ah`. */
typedef struct adit_action {
  uint32_t type;  /* SPD_ACTTYPE_DROP, _PASS or _IPSEC */
  uint32_t flags; /* SPD_APPLY_... */
  adit_algorithm_t ah, cipher, integrity;
  uint64_t reserved;
} adit_action_t;

/* All zeroes is a rule that matches everything and does nothing yet. `reserved` stays zero. */
typedef struct adit_rule {
  const char* tunnel;      /* NULL or "": the host's */
  const char* name_space;  /* told, not asked: adit_set_namespace() says */
  const char* origin_file; /* where it was written; NULL: unknown */
  const adit_action_t* actions;
  size_t action_count;
  uint64_t index; /* told; 0 for a new rule */
  uint32_t priority;
  uint32_t flags; /* SPD_RULE_FLAG_INBOUND, _OUTBOUND, _TUNNEL */
  uint32_t origin_line;
  uint32_t reserved1;
  adit_prefix_t local, remote;
  uint16_t local_port, remote_port; /* host order; 0: any */
  uint8_t protocol;                 /* 0: any */
  uint8_t has_icmp;
  uint8_t icmp_type, icmp_type_end, icmp_code, icmp_code_end; /* code 255: any */
  uint8_t reserved2[6];
  uint64_t reserved[4];
} adit_rule_t;

/* Called for each rule told. Not 0: enough, and that is what the function returns. It must not use the connection. */
typedef int (*adit_rule_fn)(void* context, const adit_rule_t* rule);

/* ---- Transactions. The draft is the connection's own: nobody else sees it until it is committed, and then every head
   of the namespace changes at once. */
typedef struct adit_transaction adit_transaction_t;

#define ADIT_BEGIN_EMPTY 1u /* with nothing instead of a copy of what is in force: the commit replaces all */

/* One at a time on a connection: EBUSY. Ends by a commit that succeeds or by adit_rollback(). */
int adit_begin(adit_t* connection, uint32_t flags, adit_transaction_t** out, adit_error_t* error);
/* EINVAL, with the diagnostic; EEXIST: the same rule is there; EDQUOT. `index`, if not NULL, gets the last index given.
   What is refused leaves the draft as it is. */
int adit_add(adit_transaction_t* transaction, const adit_rule_t* rule, uint64_t* index, adit_error_t* error);
/* By `rule->index`, or, when it is 0, every rule of the directions and selectors of `rule`. ESRCH: there is none. */
int adit_delete(adit_transaction_t* transaction, const adit_rule_t* rule, adit_error_t* error);
/* The rules of one head; NULL: of all. */
int adit_clear(adit_transaction_t* transaction, const char* tunnel, adit_error_t* error);
/* The draft as it stands. `tunnel` NULL: all heads. */
int adit_dump_draft(adit_transaction_t* transaction, const char* tunnel, adit_rule_fn told, void* context,
                    adit_error_t* error);

#define ADIT_COMMIT_FORCE 1u /* although somebody changed the namespace since */

/* Swaps the draft in. `confirm_seconds` not 0: undone after so many seconds unless adit_confirm() comes from anybody
   who may, whatever becomes of this process. `generation`, if not NULL, gets the namespace's new one. 0: in force, and
   the transaction is gone. Otherwise nothing changed and the transaction goes on: EAGAIN: somebody changed the
   namespace since it was begun (roll back and begin again, or force); EBUSY: an earlier commit waits to be confirmed;
   EPERM: a tunnel of another namespace's. */
int adit_commit(adit_transaction_t* transaction, uint32_t flags, uint32_t confirm_seconds, uint64_t* generation,
                adit_error_t* error);
/* Forgets the draft. NULL: nothing. */
void adit_rollback(adit_transaction_t* transaction);

/* The commit of this connection's namespace that waits stands; or is undone now. ESRCH: none waits. */
int adit_confirm(adit_t* connection, adit_error_t* error);
int adit_undo(adit_t* connection, adit_error_t* error);

/* ---- What is in force. */

#define ADIT_ALL_NAMESPACES 1u

/* Tells the rules of one picture, that of the moment of the call, whatever happens meanwhile. `tunnel` NULL: all heads;
   "": the host's. `version`, if not NULL, gets the picture's. EAGAIN: all was told, and the rules have changed since:
   call again for the newer picture. EPROTO: the connection broke the protocol's word and is of no more use. */
int adit_dump(adit_t* connection, const char* tunnel, uint32_t flags, adit_rule_fn told, void* context,
              uint64_t* version, adit_error_t* error);

/* A packet as a rule sees it from here: `local` is its source when it goes out. */
typedef struct adit_packet {
  uint32_t direction; /* SPD_RULE_FLAG_INBOUND or _OUTBOUND */
  uint8_t protocol;
  uint8_t has_ports, has_icmp;
  uint8_t icmp_type, icmp_code;
  uint8_t reserved[3];
  uint16_t local_port, remote_port; /* host order */
  adit_prefix_t local, remote;      /* both whole addresses */
} adit_packet_t;

/* Tells the rule that decides this packet over that tunnel (NULL or "": the host's). ESRCH: none matches, so that a
   tunnel's packet is dropped and the host's passes. ENOENT: the head has no policy. */
int adit_lookup(adit_t* connection, const char* tunnel, const adit_packet_t* packet, adit_rule_fn told, void* context,
                adit_error_t* error);

/* ---- Events: every change of rules, SAs, tunnels, addresses, routes, guard, namespaces and services, in order. */
typedef struct adit_events adit_events_t;

#define ADIT_EVENT_INFO 0
#define ADIT_EVENT_WARNING 1
#define ADIT_EVENT_ALERT 2

typedef struct adit_event {
  uint64_t sequence; /* this event's number. Keep it, and the instance, to go on from here */
  uint64_t time;     /* seconds since 1970 */
  uint32_t severity; /* ADIT_EVENT_... ; a number above is as urgent as an alert */
  uint32_t reserved;
  const char* kind;    /* "policy.changed", "key.expired", "link.state" ...: libadit(3) */
  const char* subject; /* link, network, address, service, namespace; may be "" */
  const char* text;    /* one sentence, UTF-8 */
} adit_event_t;

/* Where to go on. `instance` names the life of the daemon that `sequence` was counted in. */
typedef struct adit_position {
  char instance[32]; /* ends with a NUL */
  uint64_t sequence;
} adit_position_t;

/* What has been missed, as of adit_events_open(). */
typedef struct adit_missed {
  uint64_t events;    /* so many are gone; after a restart at most so many */
  uint32_t restarted; /* 1: the daemon is another one than that of the position: what happened in between is unknown */
  uint32_t reserved;
} adit_missed_t;

/* Connects to adit.sock. `after` NULL: events from now on; otherwise first those after it that are still held.
   `missed`, if not NULL, says what is not among them. Closed with adit_events_close(). Errors as adit_open(). */
int adit_events_open(adit_events_t** out, const char* run_dir, const adit_position_t* after, adit_missed_t* missed,
                     adit_error_t* error);
/* For poll(2): readable when adit_events_next() may have something. When it is, call that with timeout 0 until it says
   ETIMEDOUT: one read may bring several events. */
int adit_events_fd(const adit_events_t* events);
/* Waits up to `timeout_ms` (-1: without end). ETIMEDOUT: nothing came. EPIPE: the daemon is gone, or let go of a reader
   that was too slow: open again from adit_events_position(), and be told what was missed. */
int adit_events_next(adit_events_t* events, adit_event_t* out, int timeout_ms, adit_error_t* error);
/* After the last event that adit_events_next() gave. */
void adit_events_position(const adit_events_t* events, adit_position_t* out);
void adit_events_close(adit_events_t* events);

/* ---- The layout is part of the promise. */
ADIT_SPD_ASSERT(sizeof(adit_prefix_t) == 24);
ADIT_SPD_ASSERT(sizeof(adit_algorithm_t) == 8);
ADIT_SPD_ASSERT(sizeof(adit_action_t) == 40);
ADIT_SPD_ASSERT(offsetof(adit_action_t, ah) == 8);
ADIT_SPD_ASSERT(sizeof(adit_error_t) == 1032);
ADIT_SPD_ASSERT(offsetof(adit_error_t, text) == 8);
ADIT_SPD_ASSERT(sizeof(void*) != 8 || sizeof(adit_rule_t) == 160);
ADIT_SPD_ASSERT(sizeof(void*) != 8 || offsetof(adit_rule_t, index) == 40);
ADIT_SPD_ASSERT(sizeof(void*) != 8 || offsetof(adit_rule_t, local) == 64);
ADIT_SPD_ASSERT(sizeof(void*) != 8 || offsetof(adit_rule_t, local_port) == 112);
ADIT_SPD_ASSERT(sizeof(adit_packet_t) == 64);
ADIT_SPD_ASSERT(offsetof(adit_packet_t, local) == 16);
ADIT_SPD_ASSERT(sizeof(void*) != 8 || sizeof(adit_event_t) == 48);
ADIT_SPD_ASSERT(sizeof(adit_position_t) == 40);
ADIT_SPD_ASSERT(sizeof(adit_missed_t) == 16);

#ifdef __cplusplus
}
#endif

#endif /* ADIT_ADIT_H */
