/*
 * PF_POLICY version 1: IPsec policy as messages. Committed: what this header says stays; additions get new numbers.
 *
 * A client connects a SOCK_SEQPACKET Unix socket to <run directory>/pf_policy.sock and sends one message a packet; each
 * answer is one packet. Integers are in the byte order of the host, addresses and ports in network order; lengths count
 * 64-bit words. The layouts and numbers up to extension 10 and diagnostic 45 are those of illumos, so that code written
 * for its net/pfpolicy.h compiles; what Adit adds is marked. pf_policy(4) says the rest.
 */
#ifndef ADIT_PFPOLICY_H
#define ADIT_PFPOLICY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PF_POLICY_V1 1
#define PF_POLICY_REVISION 200304L

/* The longest message that is taken, in bytes (Adit). */
#define SPD_MAX_MESSAGE 65536

/* ---- Every message begins with this. */
typedef struct spd_msg {
  uint8_t spd_msg_version;     /* PF_POLICY_V1 */
  uint8_t spd_msg_type;        /* SPD_FLUSH ... */
  uint8_t spd_msg_errno;       /* in answers: 0, or why not */
  uint8_t spd_msg_spdid;       /* SPD_ACTIVE or SPD_STANDBY */
  uint16_t spd_msg_len;        /* 64-bit words, this header included */
  uint16_t spd_msg_diagnostic; /* SPD_DIAGNOSTIC_... */
  uint32_t spd_msg_seq;        /* the sender's; answers repeat it */
  uint32_t spd_msg_pid;
} spd_msg_t;

#define SPD_ACTIVE 0
#define SPD_STANDBY 1 /* the connection's own draft of its namespace */

#define SPD_RESERVED 0
#define SPD_MIN 1
#define SPD_FLUSH 1
#define SPD_ADDRULE 2
#define SPD_DELETERULE 3
#define SPD_FLIP 4
#define SPD_LOOKUP 5 /* which rule decides the packet that the selectors describe */
#define SPD_DUMP 6
#define SPD_CLONE 7
#define SPD_ALGLIST 8
#define SPD_DUMPALGS 9
#define SPD_UPDATEALGS 10
#define SPD_MAX 10

/* ---- Extensions follow, in any order, each at most once, each a multiple of 8 bytes. */
typedef struct spd_ext {
  uint16_t spd_ext_len; /* 64-bit words */
  uint16_t spd_ext_type;
} spd_ext_t;

#define SPD_EXT_LCLPORT 1
#define SPD_EXT_REMPORT 2
#define SPD_EXT_PROTO 3
#define SPD_EXT_LCLADDR 4
#define SPD_EXT_REMADDR 5
#define SPD_EXT_ACTION 6
#define SPD_EXT_RULE 7
#define SPD_EXT_RULESET 8
#define SPD_EXT_ICMP_TYPECODE 9
#define SPD_EXT_TUN_NAME 10
#define SPD_EXT_NAMESPACE 11   /* Adit */
#define SPD_EXT_ORIGIN 12      /* Adit */
#define SPD_EXT_DIAGNOSTIC 13  /* Adit */
#define SPD_EXT_TRANSACTION 14 /* Adit */
#define SPD_EXT_MAX 14

typedef struct spd_rule {
  uint16_t spd_rule_len;
  uint16_t spd_rule_type;
  uint32_t spd_rule_priority; /* the highest that matches decides */
  uint32_t spd_rule_flags;
  uint32_t spd_rule_unused;
  uint64_t spd_rule_index; /* 0 in SPD_ADDRULE; its answer has the last one given */
} spd_rule_t;

#define SPD_RULE_FLAG_INBOUND 1
#define SPD_RULE_FLAG_OUTBOUND 2
#define SPD_RULE_FLAG_TUNNEL 4 /* negotiate tunnel */

typedef struct spd_ruleset_ext {
  uint16_t spd_ruleset_len;
  uint16_t spd_ruleset_type;
  uint32_t spd_ruleset_count;
  uint64_t spd_ruleset_version;
} spd_ruleset_ext_t;

typedef struct spd_portrange {
  uint16_t spd_ports_len;
  uint16_t spd_ports_exttype;
  uint16_t spd_ports_minport; /* network order; the only one looked at */
  uint16_t spd_ports_maxport;
} spd_portrange_t;

typedef struct spd_proto {
  uint16_t spd_proto_len;
  uint16_t spd_proto_exttype;
  uint8_t spd_proto_number;
  uint8_t spd_proto_reserved1;
  uint16_t spd_proto_reserved2;
} spd_proto_t;

typedef struct spd_address { /* 4 or 16 bytes of address follow; an IPv4 one is padded to 16 in all */
  uint16_t spd_address_len;
  uint16_t spd_address_exttype;
  uint8_t spd_address_af; /* AF_INET, AF_INET6 of this system */
  uint8_t spd_address_prefixlen;
  uint16_t spd_address_reserved2;
} spd_address_t;

typedef struct spd_typecode {
  uint16_t spd_typecode_len;
  uint16_t spd_typecode_exttype;
  uint8_t spd_typecode_type;
  uint8_t spd_typecode_type_end;
  uint8_t spd_typecode_code; /* 255: any */
  uint8_t spd_typecode_code_end;
} spd_typecode_t;

/* Absent: the host's policy. A name: that tunnel's, whether it exists or not. Empty: all (FLUSH, DUMP, FLIP, CLONE
 * only). */
typedef struct spd_if {
  uint16_t spd_if_len;
  uint16_t spd_if_exttype;
  char spd_if_name[4]; /* ends with a NUL; goes on beyond this struct */
} spd_if_t;

typedef struct spd_ext_actions { /* attributes follow */
  uint16_t spd_actions_len;
  uint16_t spd_actions_exttype;
  uint16_t spd_actions_count;
  uint16_t spd_actions_reserved;
} spd_ext_actions_t;

typedef struct spd_attribute {
  uint32_t spd_attr_tag;
  uint32_t spd_attr_value;
} spd_attribute_t;

/* Adit. In a request: whose records it is about; absent, the global namespace's (the empty name). A DUMP request that
   carries it is answered with it and SPD_EXT_ORIGIN on each rule. */
typedef struct spd_namespace {
  uint16_t spd_namespace_len;
  uint16_t spd_namespace_exttype;
  uint32_t spd_namespace_flags;
  char spd_namespace_name[8]; /* up to 255 bytes and a NUL; goes on beyond this struct */
} spd_namespace_t;

#define SPD_NAMESPACE_ALL 1      /* DUMP, LOOKUP: the rules of every namespace */
#define SPD_NAMESPACE_OVERRIDE 2 /* touch the records of others; needs privilege */
#define SPD_NAMESPACE_MAXLEN 255

/* Adit. Where a rule was written. */
typedef struct spd_origin {
  uint16_t spd_origin_len;
  uint16_t spd_origin_exttype;
  uint32_t spd_origin_line; /* 0: unknown */
  char spd_origin_file[8];  /* ends with a NUL; goes on beyond this struct */
} spd_origin_t;

/* Adit. In a request, with an empty text: "I read sentences"; then an answer with an errno carries it too, and one
   without when a tunnel passes clear text or is shut by what was done: a sentence a line. */
typedef struct spd_diagnostic_text {
  uint16_t spd_diagnostic_len;
  uint16_t spd_diagnostic_exttype;
  uint32_t spd_diagnostic_reserved;
  char spd_diagnostic_text[8]; /* UTF-8, ends with a NUL; goes on beyond this struct */
} spd_diagnostic_text_t;

/* Adit. In FLIP: how. In the answers to CLONE and FLIP, when the request carried it: the namespace's generation. */
typedef struct spd_transaction {
  uint16_t spd_transaction_len;
  uint16_t spd_transaction_exttype;
  uint32_t spd_transaction_flags;
  uint64_t spd_transaction_generation;
  uint32_t spd_transaction_confirm; /* FLIP: undone after so many seconds unless confirmed; 0: stands */
  uint32_t spd_transaction_reserved;
} spd_transaction_t;

#define SPD_TRANSACTION_FORCE 1   /* FLIP although the namespace changed since the clone */
#define SPD_TRANSACTION_CONFIRM 2 /* the FLIP that waits for it stands; nothing is flipped */
#define SPD_TRANSACTION_UNDO 4    /* the FLIP that waits is undone now */

/* ---- Attributes of SPD_EXT_ACTION. */
#define SPD_ATTR_NOP 0
#define SPD_ATTR_END 1   /* the last action is complete */
#define SPD_ATTR_EMPTY 2 /* begin with nothing */
#define SPD_ATTR_NEXT 3  /* an action is complete; begins with nothing again */
#define SPD_ATTR_TYPE 0x100
#define SPD_ATTR_FLAGS 0x101
#define SPD_ATTR_AH_AUTH 0x102
#define SPD_ATTR_ESP_ENCR 0x103
#define SPD_ATTR_ESP_AUTH 0x104
#define SPD_ATTR_ENCR_MINBITS 0x105
#define SPD_ATTR_ENCR_MAXBITS 0x106
#define SPD_ATTR_AH_MINBITS 0x107
#define SPD_ATTR_AH_MAXBITS 0x108
#define SPD_ATTR_LIFE_SOFT_TIME 0x109
#define SPD_ATTR_LIFE_HARD_TIME 0x10a
#define SPD_ATTR_LIFE_SOFT_BYTES 0x10b
#define SPD_ATTR_LIFE_HARD_BYTES 0x10c
#define SPD_ATTR_KM_PROTO 0x10d
#define SPD_ATTR_KM_COOKIE 0x10e
#define SPD_ATTR_REPLAY_DEPTH 0x10f
#define SPD_ATTR_ESPA_MINBITS 0x110
#define SPD_ATTR_ESPA_MAXBITS 0x111
#define SPD_ATTR_ENCR_DEFBITS 0x112
#define SPD_ATTR_ENCR_INCRBITS 0x113
#define SPD_ATTR_AH_DEFBITS 0x114
#define SPD_ATTR_AH_INCRBITS 0x115
#define SPD_ATTR_ESPA_DEFBITS 0x116
#define SPD_ATTR_ESPA_INCRBITS 0x117
#define SPD_ATTR_ALG_ID 0x118
#define SPD_ATTR_ALG_PROTO 0x119
#define SPD_ATTR_ALG_INCRBITS 0x11a
#define SPD_ATTR_ALG_NKEYSIZES 0x11b
#define SPD_ATTR_ALG_KEYSIZE 0x11c
#define SPD_ATTR_ALG_NBLOCKSIZES 0x11d
#define SPD_ATTR_ALG_BLOCKSIZE 0x11e
#define SPD_ATTR_ALG_MECHNAME 0x11f /* value 32; the name's 32 bytes stand where four attributes would */
#define SPD_ATTR_PROTO_ID 0x120
#define SPD_ATTR_PROTO_EXEC_MODE 0x121
#define SPD_ATTR_ALG_NPARAMS 0x122
#define SPD_ATTR_ALG_PARAMS 0x123
#define SPD_ATTR_ALG_FLAGS 0x124

#define SPD_MAX_MAXBITS 0xffff /* key length: no upper bound */
#define SPD_MECHNAME_LEN 32

#define SPD_ACTTYPE_DROP 1
#define SPD_ACTTYPE_PASS 2
#define SPD_ACTTYPE_IPSEC 3

#define SPD_APPLY_AH 0x01
#define SPD_APPLY_ESP 0x02
#define SPD_APPLY_SE 0x04
#define SPD_APPLY_COMP 0x08
#define SPD_APPLY_UNIQUE 0x10
#define SPD_APPLY_BYPASS 0x20
#define SPD_APPLY_ESPA 0x40

#define SPD_ALG_EXEC_MODE_SYNC 1
#define SPD_ALG_EXEC_MODE_ASYNC 2

/* ---- Diagnostics. */
#define SPD_DIAGNOSTIC_NONE 0
#define SPD_DIAGNOSTIC_UNKNOWN_EXT 1
#define SPD_DIAGNOSTIC_BAD_EXTLEN 2
#define SPD_DIAGNOSTIC_NO_RULE_EXT 3
#define SPD_DIAGNOSTIC_BAD_ADDR_LEN 4
#define SPD_DIAGNOSTIC_MIXED_AF 5
#define SPD_DIAGNOSTIC_ADD_NO_MEM 6
#define SPD_DIAGNOSTIC_ADD_WRONG_ACT_COUNT 7
#define SPD_DIAGNOSTIC_ADD_BAD_TYPE 8
#define SPD_DIAGNOSTIC_ADD_BAD_FLAGS 9
#define SPD_DIAGNOSTIC_ADD_INCON_FLAGS 10
#define SPD_DIAGNOSTIC_MALFORMED_LCLPORT 11
#define SPD_DIAGNOSTIC_DUPLICATE_LCLPORT 12
#define SPD_DIAGNOSTIC_MALFORMED_REMPORT 13
#define SPD_DIAGNOSTIC_DUPLICATE_REMPORT 14
#define SPD_DIAGNOSTIC_MALFORMED_PROTO 15
#define SPD_DIAGNOSTIC_DUPLICATE_PROTO 16
#define SPD_DIAGNOSTIC_MALFORMED_LCLADDR 17
#define SPD_DIAGNOSTIC_DUPLICATE_LCLADDR 18
#define SPD_DIAGNOSTIC_MALFORMED_REMADDR 19
#define SPD_DIAGNOSTIC_DUPLICATE_REMADDR 20
#define SPD_DIAGNOSTIC_MALFORMED_ACTION 21
#define SPD_DIAGNOSTIC_DUPLICATE_ACTION 22
#define SPD_DIAGNOSTIC_MALFORMED_RULE 23
#define SPD_DIAGNOSTIC_DUPLICATE_RULE 24
#define SPD_DIAGNOSTIC_MALFORMED_RULESET 25
#define SPD_DIAGNOSTIC_DUPLICATE_RULESET 26
#define SPD_DIAGNOSTIC_INVALID_RULE_INDEX 27
#define SPD_DIAGNOSTIC_BAD_SPDID 28
#define SPD_DIAGNOSTIC_BAD_MSG_TYPE 29
#define SPD_DIAGNOSTIC_UNSUPP_AH_ALG 30
#define SPD_DIAGNOSTIC_UNSUPP_ESP_ENCR_ALG 31
#define SPD_DIAGNOSTIC_UNSUPP_ESP_AUTH_ALG 32
#define SPD_DIAGNOSTIC_UNSUPP_AH_KEYSIZE 33
#define SPD_DIAGNOSTIC_UNSUPP_ESP_ENCR_KEYSIZE 34
#define SPD_DIAGNOSTIC_UNSUPP_ESP_AUTH_KEYSIZE 35
#define SPD_DIAGNOSTIC_NO_ACTION_EXT 36
#define SPD_DIAGNOSTIC_ALG_ID_RANGE 37
#define SPD_DIAGNOSTIC_ALG_NUM_KEY_SIZES 38
#define SPD_DIAGNOSTIC_ALG_NUM_BLOCK_SIZES 39
#define SPD_DIAGNOSTIC_ALG_MECH_NAME_LEN 40
#define SPD_DIAGNOSTIC_NOT_LOADED 41
#define SPD_DIAGNOSTIC_MALFORMED_ICMP_TYPECODE 42
#define SPD_DIAGNOSTIC_DUPLICATE_ICMP_TYPECODE 43
#define SPD_DIAGNOSTIC_NOT_GLOBAL_OP 44
#define SPD_DIAGNOSTIC_NO_TUN_SELECTORS 45
#define SPD_DIAGNOSTIC_NOT_PERMITTED 46  /* Adit: another namespace's, or not delegated */
#define SPD_DIAGNOSTIC_OUTDATED_DRAFT 47 /* Adit: FLIP, EAGAIN */
#define SPD_DIAGNOSTIC_LIMIT 48          /* Adit: EDQUOT */
#define SPD_DIAGNOSTIC_HOST_IPSEC 49     /* Adit: an IPsec action without SPD_EXT_TUN_NAME */
#define SPD_DIAGNOSTIC_MALFORMED_TUN_NAME 50
#define SPD_DIAGNOSTIC_DUPLICATE_TUN_NAME 51
#define SPD_DIAGNOSTIC_MALFORMED_NAMESPACE 52
#define SPD_DIAGNOSTIC_DUPLICATE_NAMESPACE 53
#define SPD_DIAGNOSTIC_MALFORMED_ORIGIN 54
#define SPD_DIAGNOSTIC_DUPLICATE_ORIGIN 55
#define SPD_DIAGNOSTIC_MALFORMED_TEXT 56
#define SPD_DIAGNOSTIC_DUPLICATE_TEXT 57
#define SPD_DIAGNOSTIC_MALFORMED_TRANSACTION 58
#define SPD_DIAGNOSTIC_DUPLICATE_TRANSACTION 59
#define SPD_DIAGNOSTIC_BAD_VERSION 60 /* Adit: spd_msg_version */

/* ---- The layout is the contract: it must come out the same from every compiler. */
#ifdef __cplusplus
#define ADIT_SPD_ASSERT(condition) static_assert(condition, #condition)
#else
#define ADIT_SPD_ASSERT(condition) _Static_assert(condition, #condition)
#endif

ADIT_SPD_ASSERT(sizeof(spd_msg_t) == 16);
ADIT_SPD_ASSERT(offsetof(spd_msg_t, spd_msg_type) == 1);
ADIT_SPD_ASSERT(offsetof(spd_msg_t, spd_msg_errno) == 2);
ADIT_SPD_ASSERT(offsetof(spd_msg_t, spd_msg_spdid) == 3);
ADIT_SPD_ASSERT(offsetof(spd_msg_t, spd_msg_len) == 4);
ADIT_SPD_ASSERT(offsetof(spd_msg_t, spd_msg_diagnostic) == 6);
ADIT_SPD_ASSERT(offsetof(spd_msg_t, spd_msg_seq) == 8);
ADIT_SPD_ASSERT(offsetof(spd_msg_t, spd_msg_pid) == 12);
ADIT_SPD_ASSERT(sizeof(spd_ext_t) == 4);
ADIT_SPD_ASSERT(offsetof(spd_ext_t, spd_ext_type) == 2);
ADIT_SPD_ASSERT(sizeof(spd_rule_t) == 24);
ADIT_SPD_ASSERT(offsetof(spd_rule_t, spd_rule_priority) == 4);
ADIT_SPD_ASSERT(offsetof(spd_rule_t, spd_rule_flags) == 8);
ADIT_SPD_ASSERT(offsetof(spd_rule_t, spd_rule_index) == 16);
ADIT_SPD_ASSERT(sizeof(spd_ruleset_ext_t) == 16);
ADIT_SPD_ASSERT(offsetof(spd_ruleset_ext_t, spd_ruleset_count) == 4);
ADIT_SPD_ASSERT(offsetof(spd_ruleset_ext_t, spd_ruleset_version) == 8);
ADIT_SPD_ASSERT(sizeof(spd_portrange_t) == 8);
ADIT_SPD_ASSERT(offsetof(spd_portrange_t, spd_ports_minport) == 4);
ADIT_SPD_ASSERT(offsetof(spd_portrange_t, spd_ports_maxport) == 6);
ADIT_SPD_ASSERT(sizeof(spd_proto_t) == 8);
ADIT_SPD_ASSERT(offsetof(spd_proto_t, spd_proto_number) == 4);
ADIT_SPD_ASSERT(sizeof(spd_address_t) == 8);
ADIT_SPD_ASSERT(offsetof(spd_address_t, spd_address_af) == 4);
ADIT_SPD_ASSERT(offsetof(spd_address_t, spd_address_prefixlen) == 5);
ADIT_SPD_ASSERT(sizeof(spd_typecode_t) == 8);
ADIT_SPD_ASSERT(offsetof(spd_typecode_t, spd_typecode_type) == 4);
ADIT_SPD_ASSERT(offsetof(spd_typecode_t, spd_typecode_type_end) == 5);
ADIT_SPD_ASSERT(offsetof(spd_typecode_t, spd_typecode_code) == 6);
ADIT_SPD_ASSERT(offsetof(spd_typecode_t, spd_typecode_code_end) == 7);
ADIT_SPD_ASSERT(sizeof(spd_if_t) == 8);
ADIT_SPD_ASSERT(offsetof(spd_if_t, spd_if_name) == 4);
ADIT_SPD_ASSERT(sizeof(spd_ext_actions_t) == 8);
ADIT_SPD_ASSERT(offsetof(spd_ext_actions_t, spd_actions_count) == 4);
ADIT_SPD_ASSERT(sizeof(spd_attribute_t) == 8);
ADIT_SPD_ASSERT(offsetof(spd_attribute_t, spd_attr_value) == 4);
ADIT_SPD_ASSERT(sizeof(spd_namespace_t) == 16);
ADIT_SPD_ASSERT(offsetof(spd_namespace_t, spd_namespace_flags) == 4);
ADIT_SPD_ASSERT(offsetof(spd_namespace_t, spd_namespace_name) == 8);
ADIT_SPD_ASSERT(sizeof(spd_origin_t) == 16);
ADIT_SPD_ASSERT(offsetof(spd_origin_t, spd_origin_line) == 4);
ADIT_SPD_ASSERT(offsetof(spd_origin_t, spd_origin_file) == 8);
ADIT_SPD_ASSERT(sizeof(spd_diagnostic_text_t) == 16);
ADIT_SPD_ASSERT(offsetof(spd_diagnostic_text_t, spd_diagnostic_text) == 8);
ADIT_SPD_ASSERT(sizeof(spd_transaction_t) == 24);
ADIT_SPD_ASSERT(offsetof(spd_transaction_t, spd_transaction_flags) == 4);
ADIT_SPD_ASSERT(offsetof(spd_transaction_t, spd_transaction_generation) == 8);
ADIT_SPD_ASSERT(offsetof(spd_transaction_t, spd_transaction_confirm) == 16);

#ifdef __cplusplus
}
#endif

#endif /* ADIT_PFPOLICY_H */
