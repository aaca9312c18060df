// Rules of different namespaces in one head: whose decision would another's rule take away?
#pragma once

#include "spd/rule.h"

namespace adit::spd {

// Some packet matches both: the same direction and family, no selector that keeps them apart, and neither waits for a
// name.
bool overlap(const Rule& a, const Rule& b);

// Every packet of `inner` that matches `with` too also matches `outer`.
bool covers(const Rule& outer, const Rule& inner, const Rule& with);

// `coming`, of another namespace, would decide packets that `standing` decides: they overlap and its priority is not
// lower. Equal priorities count, because which of two was there first may change with every reload. Two rules that
// both drop, or both let pass, take nothing from each other. Nor do two of the host's that only cross (a local port
// here, a remote one there) and of which none lies within the other: only root writes there, and priorities say what it
// means.
bool takes_from(const Rule& coming, const Rule& standing, bool of_host);

}  // namespace adit::spd
