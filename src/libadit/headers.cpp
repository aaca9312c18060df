// The public headers are C++ too, with the same layouts.
#include <adit/adit.h>
#include <adit/pfkeyv2.h>
#include <adit/pfpolicy.h>

static_assert(ADIT_API_VERSION == 1);
