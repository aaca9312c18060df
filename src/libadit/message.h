/* PF_POLICY messages as bytes, as libadit needs them. Not installed. */
#ifndef ADIT_LIBADIT_MESSAGE_H
#define ADIT_LIBADIT_MESSAGE_H

#include <adit/adit.h>

#include "names.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A message being written. `full`: something did not fit; then it is not to be sent. */
struct outgoing {
  uint8_t bytes[SPD_MAX_MESSAGE];
  size_t size;
  int full;
};

void begin_message(struct outgoing* to, uint8_t type, uint8_t spdid);
/* Room for an extension of `size` bytes in all, zeroed, its header written, the length rounded up; NULL: no room. */
void* put_extension(struct outgoing* to, uint16_t type, size_t size);
/* `at`: where the text begins in the extension. */
void put_text(struct outgoing* to, uint16_t type, size_t at, uint32_t number, const char* text);
void put_rule(struct outgoing* to, const adit_rule_t* rule, int with_actions);
void put_selectors(struct outgoing* to, const adit_rule_t* rule);
/* Writes the length, the sequence number and the process id. */
void finish_message(struct outgoing* to, uint32_t seq);

/* A message that came. The pointers lead into its bytes; extensions that this library does not know are passed over. */
struct incoming {
  spd_msg_t header;
  const uint8_t* extension[SPD_EXT_MAX + 1];
  size_t size[SPD_EXT_MAX + 1];
};

/* 0, or EPROTO: it is not as long as it says, an extension leaves it, is too short for its type, or a text does not
   end. */
int read_message(struct incoming* to, const uint8_t* bytes, size_t size);
/* The text of an extension that has one; NULL: it is not there. */
const char* text_of(const struct incoming* from, uint16_t type);

/* The rule of an answer, its strings and `actions` leading into the message and into what it allocates; `actions` is
   grown with realloc as needed. EPROTO: it lacks what a rule has. ENOMEM. */
struct actions {
  adit_action_t* list;
  size_t room;
};
int read_rule(adit_rule_t* to, const struct incoming* from, struct actions* actions);

/* Fills `error`, if there is one, and returns `code`. */
int failed(adit_error_t* error, int code, uint16_t diagnostic, const char* format, ...)
    __attribute__((format(printf, 4, 5)));

#ifdef __cplusplus
}
#endif

#endif
