/*
 * PF_KEY version 2 as Adit speaks it (RFC 2367 and the SADB_X_ extensions of illumos), on a Unix SOCK_SEQPACKET socket,
 * <run dir>/pf_key.sock, one message a packet. Committed: a released number or layout never changes its meaning; what
 * is new gets new numbers. A client that knows nothing of Adit's own extensions acts on the global namespace.
 *
 * Byte order: the host's, but SPIs (in SA, PAIR and SPIRANGE extensions), ports and addresses are in network order.
 * Lengths count 64-bit words. Reserved fields are sent as zero and not looked at.
 * Every struct is a header; what follows it (addresses, keys, strings, lists) is padded with zeros to 64 bits.
 */
#ifndef ADIT_PFKEYV2_H
#define ADIT_PFKEYV2_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define ADIT_PFKEY_ASSERT(condition) static_assert(condition, #condition)
extern "C" {
#else
#define ADIT_PFKEY_ASSERT(condition) _Static_assert(condition, #condition)
#endif

#define PF_KEY_V2 2
#define PFKEYV2_REVISION 200109L

/* ---- the base message ------------------------------------------------------------------------------------------- */

struct sadb_msg {
  uint8_t sadb_msg_version;       /* PF_KEY_V2 */
  uint8_t sadb_msg_type;          /* SADB_ADD ... */
  uint8_t sadb_msg_errno;         /* 0, or why the request failed */
  uint8_t sadb_msg_satype;        /* SADB_SATYPE_ */
  uint16_t sadb_msg_len;          /* of the whole message, in 64-bit words */
  uint16_t sadb_x_msg_diagnostic; /* SADB_X_DIAGNOSTIC_; the RFC's reserved field */
  uint32_t sadb_msg_seq;
  uint32_t sadb_msg_pid;
};

#define SADB_RESERVED 0
#define SADB_GETSPI 1
#define SADB_UPDATE 2
#define SADB_ADD 3
#define SADB_DELETE 4
#define SADB_GET 5
#define SADB_ACQUIRE 6
#define SADB_REGISTER 7
#define SADB_EXPIRE 8
#define SADB_FLUSH 9
#define SADB_DUMP 10
#define SADB_X_PROMISC 11
#define SADB_X_INVERSE_ACQUIRE 12
#define SADB_X_UPDATEPAIR 13
#define SADB_X_DELPAIR 14
#define SADB_X_DELPAIR_STATE 15
#define SADB_MAX 15

#define SADB_SATYPE_UNSPEC 0
#define SADB_SATYPE_AH 2
#define SADB_SATYPE_ESP 3
#define SADB_X_SATYPE_TCPSIG 4
#define SADB_SATYPE_RSVP 5
#define SADB_SATYPE_OSPFV2 6
#define SADB_SATYPE_RIPV2 7
#define SADB_SATYPE_MIP 8

/* ---- extensions ------------------------------------------------------------------------------------------------- */

struct sadb_ext {
  uint16_t sadb_ext_len;  /* 64-bit words, this header included */
  uint16_t sadb_ext_type; /* SADB_EXT_ */
};

#define SADB_EXT_RESERVED 0
#define SADB_EXT_SA 1
#define SADB_EXT_LIFETIME_CURRENT 2
#define SADB_EXT_LIFETIME_HARD 3
#define SADB_EXT_LIFETIME_SOFT 4
#define SADB_EXT_ADDRESS_SRC 5
#define SADB_EXT_ADDRESS_DST 6
#define SADB_X_EXT_ADDRESS_INNER_SRC 7
#define SADB_EXT_ADDRESS_PROXY SADB_X_EXT_ADDRESS_INNER_SRC
#define SADB_EXT_KEY_AUTH 8
#define SADB_EXT_KEY_ENCRYPT 9
#define SADB_EXT_IDENTITY_SRC 10
#define SADB_EXT_IDENTITY_DST 11
#define SADB_EXT_SENSITIVITY 12
#define SADB_EXT_PROPOSAL 13
#define SADB_EXT_SUPPORTED_AUTH 14
#define SADB_EXT_SUPPORTED_ENCRYPT 15
#define SADB_EXT_SPIRANGE 16
#define SADB_X_EXT_EREG 17
#define SADB_X_EXT_EPROP 18
#define SADB_X_EXT_KM_COOKIE 19
#define SADB_X_EXT_ADDRESS_NATT_LOC 20
#define SADB_X_EXT_ADDRESS_NATT_REM 21
#define SADB_X_EXT_ADDRESS_INNER_DST 22
#define SADB_X_EXT_PAIR 23
#define SADB_X_EXT_REPLAY_VALUE 24
#define SADB_X_EXT_EDUMP 25
#define SADB_X_EXT_LIFETIME_IDLE 26
#define SADB_X_EXT_OUTER_SENS 27
#define SADB_X_EXT_STR_AUTH 28
/* Adit's own begin at 200. */
#define SADB_X_EXT_NAMESPACE 200
#define SADB_X_EXT_REPLAY_WINDOW 201
#define SADB_X_EXT_DIAGNOSTIC 202

struct sadb_sa {
  uint16_t sadb_sa_len;
  uint16_t sadb_sa_exttype;
  uint32_t sadb_sa_spi;    /* network order */
  uint8_t sadb_sa_replay;  /* window in packets; 255 with a wider one in SADB_X_EXT_REPLAY_WINDOW. In a request 0
                              without SADB_SAFLAGS_NOREPLAY means the engine's default, 1024 */
  uint8_t sadb_sa_state;   /* SADB_SASTATE_ */
  uint8_t sadb_sa_auth;    /* SADB_AALG_ */
  uint8_t sadb_sa_encrypt; /* SADB_EALG_ */
  uint32_t sadb_sa_flags;  /* SADB_SAFLAGS_, SADB_X_SAFLAGS_ */
};

struct sadb_lifetime { /* zero: no limit */
  uint16_t sadb_lifetime_len;
  uint16_t sadb_lifetime_exttype;
  uint32_t sadb_lifetime_allocations; /* packets */
  uint64_t sadb_lifetime_bytes;
  uint64_t sadb_lifetime_addtime; /* seconds; CURRENT: since 1970 */
  uint64_t sadb_lifetime_usetime; /* seconds; CURRENT: since 1970, 0: not used yet */
};

struct sadb_address { /* a struct sockaddr_in or sockaddr_in6 follows */
  uint16_t sadb_address_len;
  uint16_t sadb_address_exttype;
  uint8_t sadb_address_proto; /* IP protocol; 0: any */
  uint8_t sadb_address_prefixlen;
  uint16_t sadb_address_reserved;
};

struct sadb_key { /* the key follows, its salt (combined and counter modes) at its end */
  uint16_t sadb_key_len;
  uint16_t sadb_key_exttype;
  uint16_t sadb_key_bits;     /* key and salt */
  uint16_t sadb_key_reserved; /* bits of the salt, or 0 */
};

struct sadb_ident { /* a NUL-terminated string follows (DN, GN: DER) */
  uint16_t sadb_ident_len;
  uint16_t sadb_ident_exttype;
  uint16_t sadb_ident_type; /* SADB_IDENTTYPE_ */
  uint16_t sadb_ident_reserved;
  uint64_t sadb_ident_id;
};

struct sadb_sens { /* two bitmaps of 64-bit words follow */
  uint16_t sadb_sens_len;
  uint16_t sadb_sens_exttype;
  uint32_t sadb_sens_dpd;
  uint8_t sadb_sens_sens_level;
  uint8_t sadb_sens_sens_len;
  uint8_t sadb_sens_integ_level;
  uint8_t sadb_sens_integ_len;
  uint32_t sadb_x_sens_flags;
};

struct sadb_prop { /* struct sadb_comb follow; or, as EPROP, extended combinations */
  uint16_t sadb_prop_len;
  uint16_t sadb_prop_exttype;
  uint8_t sadb_prop_replay;
  uint8_t sadb_x_prop_ereserved;
  uint16_t sadb_x_prop_numecombs; /* EPROP only */
};

struct sadb_comb {
  uint8_t sadb_comb_auth;
  uint8_t sadb_comb_encrypt;
  uint16_t sadb_comb_flags;
  uint16_t sadb_comb_auth_minbits;
  uint16_t sadb_comb_auth_maxbits;
  uint16_t sadb_comb_encrypt_minbits;
  uint16_t sadb_comb_encrypt_maxbits;
  uint8_t sadb_x_comb_encrypt_saltbits;
  uint8_t sadb_comb_reserved[3];
  uint32_t sadb_comb_soft_allocations;
  uint32_t sadb_comb_hard_allocations;
  uint64_t sadb_comb_soft_bytes;
  uint64_t sadb_comb_hard_bytes;
  uint64_t sadb_comb_soft_addtime;
  uint64_t sadb_comb_hard_addtime;
  uint64_t sadb_comb_soft_usetime;
  uint64_t sadb_comb_hard_usetime;
};

struct sadb_x_ecomb { /* that many struct sadb_x_algdesc follow */
  uint8_t sadb_x_ecomb_numalgs;
  uint8_t sadb_x_ecomb_reserved;
  uint16_t sadb_x_ecomb_flags;
  uint32_t sadb_x_ecomb_reserved2;
  uint32_t sadb_x_ecomb_soft_allocations;
  uint32_t sadb_x_ecomb_hard_allocations;
  uint64_t sadb_x_ecomb_soft_bytes;
  uint64_t sadb_x_ecomb_hard_bytes;
  uint64_t sadb_x_ecomb_soft_addtime;
  uint64_t sadb_x_ecomb_hard_addtime;
  uint64_t sadb_x_ecomb_soft_usetime;
  uint64_t sadb_x_ecomb_hard_usetime;
};

struct sadb_x_algdesc {
  uint8_t sadb_x_algdesc_satype;
  uint8_t sadb_x_algdesc_algtype; /* SADB_X_ALGTYPE_ */
  uint8_t sadb_x_algdesc_alg;
  uint8_t sadb_x_algdesc_reserved; /* bits of the salt */
  uint16_t sadb_x_algdesc_minbits;
  uint16_t sadb_x_algdesc_maxbits;
};

#define SADB_X_ALGTYPE_NONE 0
#define SADB_X_ALGTYPE_AUTH 1
#define SADB_X_ALGTYPE_CRYPT 2
#define SADB_X_ALGTYPE_COMPRESS 3

struct sadb_supported { /* struct sadb_alg follow */
  uint16_t sadb_supported_len;
  uint16_t sadb_supported_exttype;
  uint32_t sadb_supported_reserved;
};

struct sadb_alg {
  uint8_t sadb_alg_id;
  uint8_t sadb_alg_ivlen; /* bytes */
  uint16_t sadb_alg_minbits;
  uint16_t sadb_alg_maxbits;
  uint8_t sadb_x_alg_increment; /* bits */
  uint8_t sadb_x_alg_saltbits;
};

struct sadb_spirange { /* both ends included; network order; 256 and above */
  uint16_t sadb_spirange_len;
  uint16_t sadb_spirange_exttype;
  uint32_t sadb_spirange_min;
  uint32_t sadb_spirange_max;
  uint32_t sadb_spirange_reserved;
};

struct sadb_x_ereg { /* SA types, ended by a zero */
  uint16_t sadb_x_ereg_len;
  uint16_t sadb_x_ereg_exttype;
  uint8_t sadb_x_ereg_satypes[4];
};

struct sadb_x_kmc {
  uint16_t sadb_x_kmc_len;
  uint16_t sadb_x_kmc_exttype;
  uint8_t sadb_x_kmc_proto; /* SADB_X_KMP_ */
  uint8_t sadb_x_kmc_reserved[3];
  uint64_t sadb_x_kmc_cookie;
};

#define SADB_X_KMP_MANUAL 0
#define SADB_X_KMP_IKE 1
#define SADB_X_KMP_KINK 2
#define SADB_X_KMP_IKEV2 3

struct sadb_x_pair {
  uint16_t sadb_x_pair_len;
  uint16_t sadb_x_pair_exttype;
  uint32_t sadb_x_pair_spi; /* network order */
};

struct sadb_x_replay_ctr {
  uint16_t sadb_x_rc_len;
  uint16_t sadb_x_rc_exttype;
  uint32_t sadb_x_rc_replay32;
  uint64_t sadb_x_rc_replay64; /* SAs with extended sequence numbers; else 0 or the same */
};

struct sadb_x_edump {
  uint16_t sadb_x_edump_len;
  uint16_t sadb_x_edump_exttype;
  uint32_t sadb_x_edump_reserved;
  uint64_t sadb_x_edump_timeout; /* only SAs that were not used for so many seconds */
};

/* Adit's own. */

struct sadb_x_namespace { /* the name follows: up to 255 bytes, NUL-terminated */
  uint16_t sadb_x_namespace_len;
  uint16_t sadb_x_namespace_exttype;
  uint16_t sadb_x_namespace_flags; /* SADB_X_NAMESPACE_ */
  uint16_t sadb_x_namespace_reserved;
};
/* Records of other namespaces too: delete, update and get reach them, flush and dump take all. Needs privilege. */
#define SADB_X_NAMESPACE_OVERRIDE 1

struct sadb_x_replay_window {
  uint16_t sadb_x_rw_len;
  uint16_t sadb_x_rw_exttype;
  uint32_t sadb_x_rw_packets; /* 0 to 4096 */
};

struct sadb_x_diagnostic { /* a text follows, NUL-terminated; in a request an empty one: send me sentences */
  uint16_t sadb_x_diagnostic_len;
  uint16_t sadb_x_diagnostic_exttype;
  uint32_t sadb_x_diagnostic_reserved;
};

/* ---- values ----------------------------------------------------------------------------------------------------- */

#define SADB_SASTATE_LARVAL 0
#define SADB_SASTATE_MATURE 1
#define SADB_SASTATE_DYING 2
#define SADB_SASTATE_DEAD 3
#define SADB_X_SASTATE_ACTIVE_ELSEWHERE 4
#define SADB_X_SASTATE_IDLE 5
#define SADB_X_SASTATE_ACTIVE 6

#define SADB_SAFLAGS_PFS 0x00000001u
#define SADB_SAFLAGS_NOREPLAY 0x00000002u
#define SADB_X_SAFLAGS_ESN 0x00000100u /* Adit's own: extended sequence numbers (RFC 4303 2.2.1) */
#define SADB_X_SAFLAGS_NATTED 0x00001000u
#define SADB_X_SAFLAGS_TCPSIG 0x00002000u
#define SADB_X_SAFLAGS_INBOUND 0x00004000u
#define SADB_X_SAFLAGS_OUTBOUND 0x00008000u
#define SADB_X_SAFLAGS_PAIRED 0x00010000u
#define SADB_X_SAFLAGS_TUNNEL 0x00020000u
#define SADB_X_SAFLAGS_KRES2 0x00040000u
#define SADB_X_SAFLAGS_NATT_REM 0x00080000u
#define SADB_X_SAFLAGS_NATT_LOC 0x00100000u
#define SADB_X_SAFLAGS_KRES1 0x00200000u
#define SADB_X_SAFLAGS_KM4 0x00400000u
#define SADB_X_SAFLAGS_KM3 0x00800000u
#define SADB_X_SAFLAGS_KM2 0x01000000u
#define SADB_X_SAFLAGS_KM1 0x02000000u
#define SADB_X_SAFLAGS_EALG2 0x04000000u
#define SADB_X_SAFLAGS_EALG1 0x08000000u
#define SADB_X_SAFLAGS_AALG2 0x10000000u
#define SADB_X_SAFLAGS_AALG1 0x20000000u
#define SADB_X_SAFLAGS_UNIQUE 0x40000000u
#define SADB_X_SAFLAGS_USED 0x80000000u

#define SADB_AALG_NONE 0
#define SADB_X_AALG_MD5 1 /* TCP signatures only */
#define SADB_AALG_MD5HMAC 2
#define SADB_AALG_SHA1HMAC 3
#define SADB_AALG_SHA256HMAC 5
#define SADB_AALG_SHA384HMAC 6
#define SADB_AALG_SHA512HMAC 7
#define SADB_AALG_MAX 7

#define SADB_EALG_NONE 0
#define SADB_EALG_DESCBC 2
#define SADB_EALG_3DESCBC 3
#define SADB_EALG_BLOWFISH 7
#define SADB_EALG_NULL 11
#define SADB_EALG_AES 12
#define SADB_X_EALG_AES_CTR 13 /* Adit's own use of the number: RFC 3686 */
#define SADB_EALG_AES_CCM_8 14
#define SADB_EALG_AES_CCM_12 15
#define SADB_EALG_AES_CCM_16 16
#define SADB_EALG_AES_GCM_8 18
#define SADB_EALG_AES_GCM_12 19
#define SADB_EALG_AES_GCM_16 20
#define SADB_X_EALG_AES_GMAC 23          /* Adit's own: RFC 4543 */
#define SADB_X_EALG_CHACHA20_POLY1305 28 /* Adit's own: RFC 7634 */
#define SADB_EALG_MAX 28

#define SADB_IDENTTYPE_RESERVED 0
#define SADB_IDENTTYPE_PREFIX 1
#define SADB_IDENTTYPE_FQDN 2
#define SADB_IDENTTYPE_USER_FQDN 3
#define SADB_X_IDENTTYPE_DN 4
#define SADB_X_IDENTTYPE_GN 5
#define SADB_X_IDENTTYPE_KEY_ID 6
#define SADB_X_IDENTTYPE_ADDR_RANGE 7

/* ---- diagnostics: why errno is not 0 ---------------------------------------------------------------------------- */

#define SADB_X_DIAGNOSTIC_NONE 0
#define SADB_X_DIAGNOSTIC_UNKNOWN_MSG 1
#define SADB_X_DIAGNOSTIC_UNKNOWN_EXT 2
#define SADB_X_DIAGNOSTIC_BAD_EXTLEN 3
#define SADB_X_DIAGNOSTIC_UNKNOWN_SATYPE 4
#define SADB_X_DIAGNOSTIC_SATYPE_NEEDED 5
#define SADB_X_DIAGNOSTIC_NO_SADBS 6
#define SADB_X_DIAGNOSTIC_NO_EXT 7
#define SADB_X_DIAGNOSTIC_BAD_SRC_AF 8
#define SADB_X_DIAGNOSTIC_BAD_DST_AF 9
#define SADB_X_DIAGNOSTIC_BAD_INNER_SRC_AF 10
#define SADB_X_DIAGNOSTIC_AF_MISMATCH 11
#define SADB_X_DIAGNOSTIC_BAD_SRC 12
#define SADB_X_DIAGNOSTIC_BAD_DST 13
#define SADB_X_DIAGNOSTIC_ALLOC_HSERR 14
#define SADB_X_DIAGNOSTIC_BYTES_HSERR 15
#define SADB_X_DIAGNOSTIC_ADDTIME_HSERR 16
#define SADB_X_DIAGNOSTIC_USETIME_HSERR 17
#define SADB_X_DIAGNOSTIC_MISSING_SRC 18
#define SADB_X_DIAGNOSTIC_MISSING_DST 19
#define SADB_X_DIAGNOSTIC_MISSING_SA 20
#define SADB_X_DIAGNOSTIC_MISSING_EKEY 21
#define SADB_X_DIAGNOSTIC_MISSING_AKEY 22
#define SADB_X_DIAGNOSTIC_MISSING_RANGE 23
#define SADB_X_DIAGNOSTIC_DUPLICATE_SRC 24
#define SADB_X_DIAGNOSTIC_DUPLICATE_DST 25
#define SADB_X_DIAGNOSTIC_DUPLICATE_SA 26
#define SADB_X_DIAGNOSTIC_DUPLICATE_EKEY 27
#define SADB_X_DIAGNOSTIC_DUPLICATE_AKEY 28
#define SADB_X_DIAGNOSTIC_DUPLICATE_RANGE 29
#define SADB_X_DIAGNOSTIC_MALFORMED_SRC 30
#define SADB_X_DIAGNOSTIC_MALFORMED_DST 31
#define SADB_X_DIAGNOSTIC_MALFORMED_SA 32
#define SADB_X_DIAGNOSTIC_MALFORMED_EKEY 33
#define SADB_X_DIAGNOSTIC_MALFORMED_AKEY 34
#define SADB_X_DIAGNOSTIC_MALFORMED_RANGE 35
#define SADB_X_DIAGNOSTIC_AKEY_PRESENT 36
#define SADB_X_DIAGNOSTIC_EKEY_PRESENT 37
#define SADB_X_DIAGNOSTIC_PROP_PRESENT 38
#define SADB_X_DIAGNOSTIC_SUPP_PRESENT 39
#define SADB_X_DIAGNOSTIC_BAD_AALG 40
#define SADB_X_DIAGNOSTIC_BAD_EALG 41
#define SADB_X_DIAGNOSTIC_BAD_SAFLAGS 42
#define SADB_X_DIAGNOSTIC_BAD_SASTATE 43
#define SADB_X_DIAGNOSTIC_BAD_AKEYBITS 44
#define SADB_X_DIAGNOSTIC_BAD_EKEYBITS 45
#define SADB_X_DIAGNOSTIC_ENCR_NOTSUPP 46
#define SADB_X_DIAGNOSTIC_WEAK_EKEY 47
#define SADB_X_DIAGNOSTIC_WEAK_AKEY 48
#define SADB_X_DIAGNOSTIC_DUPLICATE_KMP 49
#define SADB_X_DIAGNOSTIC_DUPLICATE_KMC 50
#define SADB_X_DIAGNOSTIC_MISSING_NATT_LOC 51
#define SADB_X_DIAGNOSTIC_MISSING_NATT_REM 52
#define SADB_X_DIAGNOSTIC_DUPLICATE_NATT_LOC 53
#define SADB_X_DIAGNOSTIC_DUPLICATE_NATT_REM 54
#define SADB_X_DIAGNOSTIC_MALFORMED_NATT_LOC 55
#define SADB_X_DIAGNOSTIC_MALFORMED_NATT_REM 56
#define SADB_X_DIAGNOSTIC_DUPLICATE_NATT_PORTS 57
#define SADB_X_DIAGNOSTIC_MISSING_INNER_SRC 58
#define SADB_X_DIAGNOSTIC_MISSING_INNER_DST 59
#define SADB_X_DIAGNOSTIC_DUPLICATE_INNER_SRC 60
#define SADB_X_DIAGNOSTIC_DUPLICATE_INNER_DST 61
#define SADB_X_DIAGNOSTIC_MALFORMED_INNER_SRC 62
#define SADB_X_DIAGNOSTIC_MALFORMED_INNER_DST 63
#define SADB_X_DIAGNOSTIC_PREFIX_INNER_SRC 64
#define SADB_X_DIAGNOSTIC_PREFIX_INNER_DST 65
#define SADB_X_DIAGNOSTIC_BAD_INNER_DST_AF 66
#define SADB_X_DIAGNOSTIC_INNER_AF_MISMATCH 67
#define SADB_X_DIAGNOSTIC_BAD_NATT_REM_AF 68
#define SADB_X_DIAGNOSTIC_BAD_NATT_LOC_AF 69
#define SADB_X_DIAGNOSTIC_PROTO_MISMATCH 70
#define SADB_X_DIAGNOSTIC_INNER_PROTO_MISMATCH 71
#define SADB_X_DIAGNOSTIC_DUAL_PORT_SETS 72
#define SADB_X_DIAGNOSTIC_PAIR_INAPPROPRIATE 73
#define SADB_X_DIAGNOSTIC_PAIR_ADD_MISMATCH 74
#define SADB_X_DIAGNOSTIC_PAIR_ALREADY 75
#define SADB_X_DIAGNOSTIC_PAIR_SA_NOTFOUND 76
#define SADB_X_DIAGNOSTIC_BAD_SA_DIRECTION 77
#define SADB_X_DIAGNOSTIC_SA_NOTFOUND 78
#define SADB_X_DIAGNOSTIC_SA_EXPIRED 79
#define SADB_X_DIAGNOSTIC_BAD_CTX 80
#define SADB_X_DIAGNOSTIC_INVALID_REPLAY 81
#define SADB_X_DIAGNOSTIC_MISSING_LIFETIME 82
#define SADB_X_DIAGNOSTIC_BAD_LABEL 83
#define SADB_X_DIAGNOSTIC_MISSING_ASTR 84
#define SADB_X_DIAGNOSTIC_DUPLICATE_ASTR 85
#define SADB_X_DIAGNOSTIC_MALFORMED_ASTR 86
/* Adit's own begin at 200. */
#define SADB_X_DIAGNOSTIC_OTHER_NAMESPACE 200
#define SADB_X_DIAGNOSTIC_DUPLICATE_EXT 201
#define SADB_X_DIAGNOSTIC_MALFORMED_EXT 202
#define SADB_X_DIAGNOSTIC_EXT_NOT_FOR_MSG 203
#define SADB_X_DIAGNOSTIC_MALFORMED_NAMESPACE 204
#define SADB_X_DIAGNOSTIC_RESERVED_SPI 205
#define SADB_X_DIAGNOSTIC_TOO_MANY 206
#define SADB_X_DIAGNOSTIC_BAD_REPLAY_WINDOW 207
#define SADB_X_DIAGNOSTIC_BAD_VERSION 208
#define SADB_X_DIAGNOSTIC_NOT_PERMITTED 209
#define SADB_X_DIAGNOSTIC_QUOTA 210
#define SADB_X_DIAGNOSTIC_NO_KEY_MEMORY 211
#define SADB_X_DIAGNOSTIC_NOT_REMEMBERED 212

/* ---- the layout, held ------------------------------------------------------------------------------------------- */

ADIT_PFKEY_ASSERT(sizeof(struct sadb_msg) == 16);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_msg, sadb_msg_len) == 4);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_msg, sadb_x_msg_diagnostic) == 6);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_msg, sadb_msg_seq) == 8);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_msg, sadb_msg_pid) == 12);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_ext) == 4);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_sa) == 16);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_sa, sadb_sa_spi) == 4);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_sa, sadb_sa_replay) == 8);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_sa, sadb_sa_encrypt) == 11);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_sa, sadb_sa_flags) == 12);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_lifetime) == 32);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_lifetime, sadb_lifetime_bytes) == 8);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_lifetime, sadb_lifetime_usetime) == 24);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_address) == 8);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_address, sadb_address_prefixlen) == 5);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_key) == 8);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_key, sadb_key_reserved) == 6);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_ident) == 16);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_ident, sadb_ident_id) == 8);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_sens) == 16);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_prop) == 8);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_prop, sadb_x_prop_numecombs) == 6);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_comb) == 72);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_comb, sadb_comb_soft_bytes) == 24);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_x_ecomb) == 64);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_x_ecomb, sadb_x_ecomb_soft_bytes) == 16);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_x_algdesc) == 8);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_supported) == 8);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_alg) == 8);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_alg, sadb_x_alg_saltbits) == 7);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_spirange) == 16);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_x_ereg) == 8);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_x_kmc) == 16);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_x_kmc, sadb_x_kmc_cookie) == 8);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_x_pair) == 8);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_x_replay_ctr) == 16);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_x_replay_ctr, sadb_x_rc_replay64) == 8);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_x_edump) == 16);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_x_edump, sadb_x_edump_timeout) == 8);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_x_namespace) == 8);
ADIT_PFKEY_ASSERT(offsetof(struct sadb_x_namespace, sadb_x_namespace_flags) == 4);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_x_diagnostic) == 8);
ADIT_PFKEY_ASSERT(sizeof(struct sadb_x_replay_window) == 8);

#ifdef __cplusplus
}
#endif
#endif
