/* The JSON of the event stream, read in place. Not installed. */
#ifndef ADIT_LIBADIT_EVENT_JSON_H
#define ADIT_LIBADIT_EVENT_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "names.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A value's text, from its first character up to behind its last. */
struct json {
  char *from, *to;
};

/* The value of the whole text; 0: it is no JSON. Depth is bounded. */
int json_value(char* text, size_t size, struct json* value);
/* A member of an object; 0: it is no object, or has none of that name. */
int json_member(struct json object, const char* name, struct json* value);
/* A number that is not negative and has no fraction. 0: it is none, or too large. */
int json_number(struct json value, uint64_t* number);
int json_is_true(struct json value);
/* Decodes the string where it stands and ends it with a NUL; the value's text is gone with it. NULL: it is none, or has
   a NUL in it. */
char* json_string(struct json value);

#ifdef __cplusplus
}
#endif

#endif
