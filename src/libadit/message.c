#include "message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int failed(adit_error_t* error, int code, uint16_t diagnostic, const char* format, ...) {
  if (error == NULL) return code;
  va_list words;
  memset(error, 0, sizeof *error);
  error->code = code;
  error->diagnostic = diagnostic;
  va_start(words, format);
  (void)vsnprintf(error->text, sizeof error->text, format, words);
  va_end(words);
  return code;
}

void begin_message(struct outgoing* to, uint8_t type, uint8_t spdid) {
  const spd_msg_t header = {.spd_msg_version = PF_POLICY_V1, .spd_msg_type = type, .spd_msg_spdid = spdid};
  memcpy(to->bytes, &header, sizeof header);
  to->size = sizeof header;
  to->full = 0;
}

void* put_extension(struct outgoing* to, uint16_t type, size_t size) {
  const size_t padded = (size + 7) / 8 * 8;
  if (to->full || padded > sizeof to->bytes - to->size) {
    to->full = 1;
    return NULL;
  }
  uint8_t* at = to->bytes + to->size;
  memset(at, 0, padded);
  const spd_ext_t header = {.spd_ext_len = (uint16_t)(padded / 8), .spd_ext_type = type};
  memcpy(at, &header, sizeof header);
  to->size += padded;
  return at;
}

void put_text(struct outgoing* to, uint16_t type, size_t at, uint32_t number, const char* text) {
  const size_t size = strlen(text) + 1;
  uint8_t* extension = put_extension(to, type, at + size);
  if (extension == NULL) return;
  if (at == 8) memcpy(extension + 4, &number, sizeof number);
  memcpy(extension + at, text, size);
}

void finish_message(struct outgoing* to, uint32_t seq) {
  const uint16_t words = (uint16_t)(to->size / 8);
  const uint32_t pid = (uint32_t)getpid();
  memcpy(to->bytes + offsetof(spd_msg_t, spd_msg_len), &words, sizeof words);
  memcpy(to->bytes + offsetof(spd_msg_t, spd_msg_seq), &seq, sizeof seq);
  memcpy(to->bytes + offsetof(spd_msg_t, spd_msg_pid), &pid, sizeof pid);
}

/* The shortest that an extension may be, by type. */
static const uint8_t least[SPD_EXT_MAX + 1] = {
    [SPD_EXT_LCLPORT] = 8,      [SPD_EXT_REMPORT] = 8,      [SPD_EXT_PROTO] = 8,   [SPD_EXT_LCLADDR] = 16,
    [SPD_EXT_REMADDR] = 16,     [SPD_EXT_ACTION] = 8,       [SPD_EXT_RULE] = 24,   [SPD_EXT_RULESET] = 16,
    [SPD_EXT_TUN_NAME] = 8,     [SPD_EXT_NAMESPACE] = 16,   [SPD_EXT_ORIGIN] = 16, [SPD_EXT_DIAGNOSTIC] = 16,
    [SPD_EXT_TRANSACTION] = 24, [SPD_EXT_ICMP_TYPECODE] = 8};

static size_t text_begins_at(uint16_t type) {
  switch (type) {
    case SPD_EXT_TUN_NAME:
      return 4;
    case SPD_EXT_NAMESPACE:
    case SPD_EXT_ORIGIN:
    case SPD_EXT_DIAGNOSTIC:
      return 8;
    default:
      return 0;
  }
}

int read_message(struct incoming* to, const uint8_t* bytes, size_t size) {
  memset(to, 0, sizeof *to);
  if (size < sizeof to->header) return EPROTO;
  memcpy(&to->header, bytes, sizeof to->header);
  if (to->header.spd_msg_version != PF_POLICY_V1 || (size_t)to->header.spd_msg_len * 8 != size) return EPROTO;
  for (size_t at = sizeof to->header; at < size;) {
    spd_ext_t header;
    if (size - at < 8) return EPROTO;
    memcpy(&header, bytes + at, sizeof header);
    const size_t length = (size_t)header.spd_ext_len * 8;
    if (length == 0 || length > size - at) return EPROTO;
    const uint16_t type = header.spd_ext_type;
    if (type <= SPD_EXT_MAX && least[type] != 0) {
      const size_t text = text_begins_at(type);
      if (length < least[type] || (text != 0 && memchr(bytes + at + text, 0, length - text) == NULL)) return EPROTO;
      to->extension[type] = bytes + at;
      to->size[type] = length;
    }
    at += length;
  }
  return 0;
}

const char* text_of(const struct incoming* from, uint16_t type) {
  return from->extension[type] == NULL ? NULL : (const char*)from->extension[type] + text_begins_at(type);
}
