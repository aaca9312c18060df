#include "event_json.h"

#include <string.h>

#define DEEPEST 16

static char* skip_value(char* at, const char* end, int depth);

static char* skip_blanks(char* at, const char* end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) ++at;
  return at;
}

/* Behind the closing quote; NULL: there is none. */
static char* skip_string(char* at, const char* end) {
  int escaped = 0;
  for (++at; at < end; ++at) {
    if (*at == '"' && !escaped) return at + 1;
    escaped = *at == '\\' && !escaped;
  }
  return NULL;
}

/* Behind a member's name and its colon; NULL: they are not there. */
static char* skip_name(char* at, const char* end) {
  at = skip_blanks(at, end);
  if (at >= end || *at != '"') return NULL;
  at = skip_string(at, end);
  if (at == NULL) return NULL;
  at = skip_blanks(at, end);
  return at < end && *at == ':' ? at + 1 : NULL;
}

static char* skip_members(char* at, const char* end, char close, int depth) {
  at = skip_blanks(at + 1, end);
  if (at < end && *at == close) return at + 1;
  for (;;) {
    if (close == '}') at = skip_name(at, end);
    if (at != NULL) at = skip_value(at, end, depth);
    if (at == NULL) return NULL;
    at = skip_blanks(at, end);
    if (at >= end) return NULL;
    if (*at == close) return at + 1;
    if (*at++ != ',') return NULL;
  }
}

/* Behind the value; NULL: there is none. */
static char* skip_value(char* at, const char* end, int depth) {
  at = skip_blanks(at, end);
  if (at >= end || depth > DEEPEST) return NULL;
  if (*at == '{') return skip_members(at, end, '}', depth + 1);
  if (*at == '[') return skip_members(at, end, ']', depth + 1);
  if (*at == '"') return skip_string(at, end);
  char* const from = at;
  while (at < end && ((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || *at == '-' || *at == '+' ||
                      *at == '.' || *at == 'E'))
    ++at;
  return at == from ? NULL : at;
}

int json_value(char* text, size_t size, struct json* value) {
  if (size == 0) return 0; /* there may be no text at all */
  char* const end = text + size;
  char* const behind = skip_value(text, end, 0);
  if (behind == NULL || skip_blanks(behind, end) != end) return 0;
  value->from = skip_blanks(text, end);
  value->to = behind;
  return 1;
}

/* The object was walked over as a whole before, so its parts are well formed. */
int json_member(struct json object, const char* name, struct json* value) {
  const size_t length = strlen(name);
  if (object.from >= object.to || *object.from != '{') return 0;
  for (char* at = object.from + 1; at < object.to;) {
    at = skip_blanks(at, object.to);
    if (at >= object.to || *at != '"') return 0;
    char* const key = at + 1;
    at = skip_string(at, object.to);
    if (at == NULL) return 0;
    const int found = (size_t)(at - 1 - key) == length && memcmp(key, name, length) == 0;
    at = skip_blanks(at, object.to);
    if (at >= object.to || *at != ':') return 0;
    value->from = skip_blanks(at + 1, object.to);
    at = skip_value(value->from, object.to, 0);
    if (at == NULL) return 0;
    value->to = at;
    if (found) return 1;
    at = skip_blanks(at, object.to);
    if (at >= object.to || *at != ',') return 0;
    ++at;
  }
  return 0;
}

int json_number(struct json value, uint64_t* number) {
  uint64_t sum = 0;
  if (value.from >= value.to) return 0;
  for (const char* at = value.from; at < value.to; ++at) {
    if (*at < '0' || *at > '9' || sum > (UINT64_MAX - 9) / 10) return 0;
    sum = sum * 10 + (uint64_t)(*at - '0');
  }
  *number = sum;
  return 1;
}

int json_is_true(struct json value) {
  return value.to - value.from == 4 && memcmp(value.from, "true", 4) == 0;
}

static int hex_digit(char from) {
  if (from >= '0' && from <= '9') return from - '0';
  if (from >= 'a' && from <= 'f') return from - 'a' + 10;
  if (from >= 'A' && from <= 'F') return from - 'A' + 10;
  return -1;
}

/* Four digits at `at`; negative: they are not there. */
static long code_unit(const char* at, const char* end) {
  long unit = 0;
  if (end - at < 4) return -1;
  for (int i = 0; i < 4; ++i) {
    const int digit = hex_digit(at[i]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

/* \uXXXX, or two of them, at `*at` behind the u; as UTF-8 to `to`. */
static char* put_code_point(char* to, const char** at, const char* end) {
  long code = code_unit(*at, end);
  if (code <= 0) return NULL;
  *at += 4;
  if (code >= 0xd800 && code < 0xdc00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
    const long low = code_unit(*at + 2, end);
    if (low >= 0xdc00 && low < 0xe000) {
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      *at += 6;
    }
  }
  if (code >= 0xd800 && code < 0xe000) code = 0xfffd; /* half a pair */
  if (code < 0x80) {
    *to++ = (char)code;
  } else if (code < 0x800) {
    *to++ = (char)(0xc0 | (code >> 6));
    *to++ = (char)(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    *to++ = (char)(0xe0 | (code >> 12));
    *to++ = (char)(0x80 | ((code >> 6) & 0x3f));
    *to++ = (char)(0x80 | (code & 0x3f));
  } else {
    *to++ = (char)(0xf0 | (code >> 18));
    *to++ = (char)(0x80 | ((code >> 12) & 0x3f));
    *to++ = (char)(0x80 | ((code >> 6) & 0x3f));
    *to++ = (char)(0x80 | (code & 0x3f));
  }
  return to;
}

/* What is decoded is never longer than what it was written as. */
char* json_string(struct json value) {
  if (value.to - value.from < 2 || *value.from != '"') return NULL;
  const char *at = value.from + 1, *const end = value.to - 1;
  char* to = value.from;
  while (at < end) {
    if (*at == '\0') return NULL;
    if (*at != '\\') {
      *to++ = *at++;
      continue;
    }
    if (++at == end) return NULL;
    const char kind = *at++;
    static const char names[] = "bfnrt", meant[] = "\b\f\n\r\t";
    const char* const known = strchr(names, kind);
    if (kind == 'u') {
      to = put_code_point(to, &at, end);
      if (to == NULL) return NULL;
    } else if (known != NULL && kind != '\0') {
      *to++ = meant[known - names];
    } else if (kind == '"' || kind == '\\' || kind == '/') {
      *to++ = kind;
    } else {
      return NULL;
    }
  }
  *to = '\0';
  return value.from;
}
