/* The public headers are C11 by themselves, and their layouts come out as they say. */
#include <adit/adit.h>
#include <adit/pfkeyv2.h>
#include <adit/pfpolicy.h>

int adit_headers_are_c(void);
int adit_headers_are_c(void) {
  return ADIT_API_VERSION;
}
