/* The guard of one network, N, against everybody: DESIGN's layers, the book and the one door out of it, aditd, the guardian, the operator at the
 * console, a delegated user, a routing daemon, and the acts of others.
 *
 *   spin -a -DRULES guard.pml && cc -O2 -DSAFETY -o pan pan.c && ./pan -m900000
 *
 * Slices (what others do, any number of times, in any order): -DRULES -DDEVICE -DBOOK -DUSER -DSEEN -DBOOT -DCONSOLE; without one, only kills,
 * stops and nft flush ruleset.
 * -DPACED: others act only when what they broke before is put back; then no packet leaves in the clear at all, whatever its kind.
 * Variants that must fail: README.md.
 *
 * -DSTEPS: a simulation (spin -T -nSEED -u2000), or a trail, prints the steps that an engine would log, for tests/model/trace_checker.py.
 *
 * A packet of every kind may come between any two steps: so what must never happen to one is a condition on states, and a process that can
 * only move in a state where it happens. `timeout` is SPIN's word for: nothing else can move.
 */

#ifdef NO_LWT
#define LWT false                            /* net.netfilter.nf_hooks_lwtunnel=0: forward and postrouting do not see what SRv6 wraps */
#else
#define LWT true
#endif
#ifdef OUTPUT_CHECK
#define OUTPUT_VERDICT true                  /* a chain at output judges by the device that was chosen before DNAT */
#else
#define OUTPUT_VERDICT false
#endif
#ifdef NAME_PROOF
#define BY_NAME true                         /* the guard lets devices pass by name */
#else
#define BY_NAME false
#endif
#ifdef MARK_ALONE
#define MARK_PASSES true                     /* the mark is enough, whoever set it */
#else
#define MARK_PASSES false
#endif
#ifdef NO_LINK_RULES
#define LINK_RULES false                     /* nothing said about DHCP, ND, 224.0.0/24 … */
#else
#define LINK_RULES true
#endif

#define ALIVE 0
#define HANGS 1                              /* its table stands; it puts nothing back and answers nobody */
#define DEAD 2                               /* its table went with it */
#define NONE 0
#define OURS 1                               /* the secured tunnel's device */
#define PLAIN 2                              /* an unsecured tunnel of the same name */
#define NOTHING 0
#ifdef PREF5
#define PRIORITY_FRONT true                  /* ours has a priority, 5: a rule without one lands at 4 */
#else
#define PRIORITY_FRONT false                 /* ours is at 0: it lands behind */
#endif
#define FROM 1                               /* ip rule add from …: nft's fib comes to the same answer */
#define IIF 2                                /* … iif, fwmark: it cannot */

/* disk */     bool d_op, d_usr;             /* the book as Adit wrote it last: the operator's entry for N, the delegated user's */
               bool r_op, r_usr;             /* records in it: this entry may leave */
               bool lost;                    /* the file is gone, cut or of an earlier generation (told by the tables' comment and the copy) */
               bool copy;                    /* the second copy says that N is closed */
               bool conf = true;             /* datalink.conf names the tunnel */
/* kernel */   bool rule, unreach, nexthop, thrown, route, lasting;         /* table 174: unreachable, blackhole nexthop, throw PEER, the tunnel's route */
               byte dev = NONE; bool up, plain_route;
               bool net_up = true;
/* others */   byte foreign = NOTHING; bool front, seg6, local_route;      /* their rule; before ours; its table wraps in SRv6; a unicast route in table local */
               bool fails, threw;            /* a put-back fails (a route in its place, disable_ipv6, no memory); others deleted the throw */
/* aditd */    bool a_alive, a_ready, m_op, m_usr, broken;                  /* broken: it cannot start */
/* guardian */ byte g = DEAD; bool g_n, away;                               /* the owned table has N; away: nobody starts it again (masked, no file) */
/* seen */     bool s_route, s_closed, s_named;                             /* another network, which others route into the tunnel; in a prefix the operator named */
/* promise */  bool promised;                /* a route into the tunnel stood by command, and no record has ended it */
               bool asked, opened;           /* the operator at the console wants N open */
               bool world = true, damaged;

/* what a failed assertion says */
hidden byte leak_beside_a_layer = 1, leak = 1, outer_packet_stopped = 1, dhcp_or_nd_stopped = 1, dnat_stopped = 1, entry_left_without_record = 1,
            acted_before_record = 1, kernel_believed_beside_book = 1, operator_locked_out = 1, seen_route_closes_for_good = 1, layer_not_put_back = 1,
            all_copies_lost = 1;
#define NEVER(what) assert(!what)
#ifdef PACKETS_ONLY                          /* the door is not watched: does a packet show it? */
#define DOOR_SHUT(condition, what) skip
#else
#define DOOR_SHUT(condition, what) if :: condition -> skip :: else -> NEVER(what) fi
#endif

#define WANTED   ((d_op && !r_op) || (d_usr && !r_usr))
#define REMEMBERED (m_op || m_usr)

/* ---- the layers, as they are */
#define OWNED    (g != DEAD && g_n)
#define LOOKED   (rule && !front && !local_route)                           /* an unbound look-up comes to table 174 first */
#define TUNNELLED (LOOKED && route && dev == OURS && up)                    /* the engine protects or drops */
#define WRAPPED  (seg6 && !LWT)
#define BY_PLAIN (BY_NAME && plain_route && dev == PLAIN && up)

/* ---- what becomes of a packet: does something stop it? */
#define STOPPED_UNBOUND ((LOOKED && (route && dev == OURS && up || unreach)) || STOPPED_TABLES)
#define STOPPED_FORWARD (STOPPED_UNBOUND || (OWNED && foreign == FROM))     /* the owned table asks fib at prerouting, too */
#define STOPPED_TABLES  ((OWNED || lasting) && !WRAPPED)
#define CLEAR_FORWARD   (net_up && (!STOPPED_FORWARD || BY_PLAIN))
#define CLEAR_LOCAL     (net_up && (!STOPPED_UNBOUND || BY_PLAIN))
#define CLEAR_BOUND4    (net_up && !(OWNED || lasting))                     /* no answer of routing holds it; nor multicast */
#define CLEAR_BOUND6    (net_up && !((LOOKED && nexthop) || OWNED || lasting))
#define CLEAR_FOREIGN   (net_up && (!STOPPED_UNBOUND || BY_PLAIN || MARK_PASSES))
#define CLEAR_ANY       (CLEAR_FORWARD || CLEAR_LOCAL || CLEAR_BOUND4 || CLEAR_BOUND6 || CLEAR_FOREIGN)

/* ---- which layers stand, as Adit makes them and `adit status` counts them */
#ifdef PREF5
#define RULE_STANDS  (rule && unreach && !local_route)                      /* at its priority, 5; nobody asks what is at 4 */
#else
#define RULE_STANDS  (rule && unreach && !local_route && !front)            /* the first one at priority 0 */
#endif
#define STANDS_UNBOUND (RULE_STANDS || OWNED || lasting || TUNNELLED)
#define STANDS_BOUND4  (OWNED || lasting)
#define STANDS_BOUND6  ((RULE_STANDS && nexthop) || OWNED || lasting)

#define WHOLE (g == ALIVE && a_ready && !broken && !away && !fails && !local_route && !threw && \
               (!WANTED || (rule && !front && unreach && nexthop && thrown && lasting && g_n)))

#ifdef PACED
#define ACT (world && !damaged)
#else
#define ACT world
#endif

/* ---- what an engine would log */
#ifdef STEPS
bool op_kept;                                /* the operator's entry is of source kept */
#define SAY(text) printf(text); printf("\n")
#define SAY_OP(text, rest) printf(text); if :: op_kept -> printf(" NET bob0 operator kept") :: else -> printf(" NET bob0 operator route") fi; SAY(rest)
#define SAY_USR(text, rest) printf(text); printf(" NET bob0 user:vpn policy"); SAY(rest)
#define SAY_IF(condition, text) if :: condition -> SAY(text) :: else fi
#define KEPT(what) op_kept = what
#else
#define SAY(text) skip
#define SAY_OP(text, rest) skip
#define SAY_USR(text, rest) skip
#define SAY_IF(condition, text) skip
#define KEPT(what) skip
#endif

/* ---- the door */
inline leave_op()  { DOOR_SHUT(r_op, entry_left_without_record);  d_op = false;  m_op = false;  r_op = false;  SAY_OP("aditd book-", " record=op") }     /* no entry leaves the book without a record */
inline leave_usr() { DOOR_SHUT(r_usr, entry_left_without_record); d_usr = false; m_usr = false; r_usr = false; SAY_USR("aditd book-", " record=usr") }
inline leave()     { if :: r_op -> leave_op() :: else fi; if :: r_usr -> leave_usr() :: else fi }
inline opens()     { DOOR_SHUT(!WANTED, acted_before_record) }              /* no layer is let go before that */
inline owned_gone()   { opens(); SAY_IF(d_op || d_usr, "aditd layer owned opens NET"); g_n = false }
inline lasting_gone() { opens(); SAY_IF(d_op || d_usr, "aditd layer lasting opens NET"); lasting = false }
inline in_book()   { lost = false; d_op = m_op; d_usr = m_usr; copy = REMEMBERED }   /* written whole, both copies */

/* what stands in the kernel, or the copy: believed when the book is lost */
#define FOUND (copy || lasting || unreach || OWNED)
/* and when there is nothing left either, nobody can know; no single act comes to that */
inline nothing_left() {
#ifdef PACED
  if :: WANTED -> NEVER(all_copies_lost) :: else fi;
#endif
  d_op = false; d_usr = false; r_op = false; r_usr = false; promised = false
}

inline first() {                             /* one pass over the rules at priority 0: a copy of theirs behind ours, then theirs deleted */
#if !defined(PREF5) && !defined(NO_REORDER)
  front = false
#else
  skip
#endif
}
inline routing_up() {                        /* throw before unreachable: outer packets find their way at every instant */
#ifndef THROW_LAST
  thrown = true; threw = false;
#endif
  unreach = true; nexthop = true; rule = true; first()
}
inline routing_gone() {
  opens(); SAY_IF(route, "aditd route- NET bob0"); SAY_IF(d_op || d_usr, "aditd layer rule opens NET");
  route = false; unreach = false; nexthop = false; thrown = false; threw = false; rule = false; front = (foreign != NOTHING)
}

#define STEP(what) atomic { if :: a_alive -> what :: else -> goto again fi }

active proctype Aditd() {
  bool user;
again:
end:
  do
  :: atomic { !a_alive && !broken && net_up -> a_alive = true; a_ready = false; user = false; SAY("aditd start") }
  :: a_alive && !a_ready ->                                                 /* start */
     atomic { if
     :: a_alive && !lost -> m_op = d_op; m_usr = d_usr; SAY("aditd book intact");
        if :: d_op -> SAY_OP("aditd loaded", "") :: else fi;
        if :: d_usr -> SAY_USR("aditd loaded", "") :: else fi;
#ifdef ADOPT_ALWAYS
        if
        :: lasting && !d_op -> SAY("aditd adopted NET"); DOOR_SHUT(d_usr, kernel_believed_beside_book); m_op = true; KEPT(true); in_book();
           SAY_OP("aditd book+", "")
        :: else
        fi;     /* the kernel believed beside an intact book */
#endif
        SAY("aditd started")
#ifdef BELIEVES_LOST
     :: a_alive && lost -> SAY("aditd book missing"); SAY("aditd started"); if :: d_op -> leave_op() :: else fi              /* no file, nothing closed */
#else
     :: a_alive && lost && FOUND -> m_op = true; m_usr = false; r_op = false; r_usr = false; in_book(); KEPT(true);      /* kept, with an alert */
        SAY("aditd book missing"); SAY("aditd adopted NET"); SAY_OP("aditd book+", ""); SAY("aditd started")
     :: a_alive && lost && !FOUND -> nothing_left(); m_op = false; m_usr = false; in_book(); SAY("aditd book missing"); SAY("aditd started")
#endif
     :: else -> goto again
     fi };
#ifdef START_OPENS
     STEP(if :: !conf && m_op -> leave_op() :: else fi);                    /* no tunnel of that name: its entries are forgotten */
#endif
     STEP(if :: REMEMBERED && WANTED && !fails -> routing_up(); SAY("aditd layer rule up") :: else -> SAY("aditd layer rule down") fi);
#ifdef THROW_LAST
     STEP(thrown = true; threw = false);
#endif
     STEP(if :: REMEMBERED && WANTED && !fails -> lasting = true; SAY("aditd layer lasting up") :: else -> SAY("aditd layer lasting down") fi);
     STEP(a_ready = true)

  :: atomic { world && a_ready && !m_op && !d_op -> user = false }; goto closing       /* route add … over the secured tunnel */
  :: atomic { world && a_ready && m_op && !r_op -> user = false }; goto releasing      /* route delete */
#ifdef USER
  :: atomic { world && a_ready && !m_usr && !d_usr -> user = true }; goto closing      /* a rule of a delegated user, in its prefix */
  :: atomic { world && a_ready && m_usr && !r_usr -> user = true }; goto releasing
#endif
#ifdef DEVICE
  :: atomic { world && a_ready && dev == OURS -> dev = NONE; up = false; route = false; conf = false; SAY("aditd device- bob0 7") }     /* delete-iptun -r -k: the entry stays */
  :: atomic { world && a_ready && dev == NONE && !conf -> dev = PLAIN; up = true; plain_route = true; SAY("aditd device+ bob0 8 plain");
       SAY_IF(BY_NAME, "aditd pass+ bob0 8") }                              /* create-iptun of that name, no -S; route add */
  :: atomic { world && a_ready && dev == PLAIN -> dev = NONE; up = false; plain_route = false; conf = true; SAY("aditd device- bob0 8") }
#endif

  /* put back */
  :: atomic { a_ready && conf && dev == NONE -> dev = OURS; up = true; SAY("aditd device+ bob0 7 secured"); SAY("aditd pass+ bob0 7") }
  :: atomic { a_ready && dev == OURS && !up -> up = true }
  :: atomic { a_ready && m_op && !r_op && dev == OURS && up && !route && rule && unreach && !fails -> route = true; SAY("aditd route+ NET bob0") }
#ifdef PUTBACK_OPENS
  :: a_ready && m_op && dev == OURS && up && !route && fails -> STEP(leave_op())       /* it fails: the hold is given back */
#endif
  :: atomic { a_ready && !REMEMBERED && !WANTED && (unreach || lasting) -> routing_gone(); lasting_gone() }            /* strays: no entry names N */
  :: atomic { a_ready && g == ALIVE && g_n != WANTED -> g_n = WANTED; SAY("aditd layer owned up") }      /* what it has not heard while it was away or hung */
  :: atomic { a_ready && g == DEAD && WANTED && !fails && !(rule && !front && unreach && nexthop && thrown) -> routing_up() }
  :: atomic { a_ready && g == DEAD && WANTED && !fails && !lasting -> lasting = true }
  :: atomic { a_ready && (lost || (REMEMBERED && !copy)) -> in_book() }
#ifdef SEEN
  :: atomic { a_ready && s_route && !s_closed -> s_closed = true }
#ifndef SEEN_FOREVER
  :: atomic { a_ready && s_closed && !s_route && !s_named -> s_closed = false }        /* withdrawn by those who made it: their record */
#endif
#endif
  :: atomic { a_ready && g != HANGS && (r_op || r_usr) -> user = !r_op }; goto opening /* a record is final, whoever wrote it */
  od;

closing:                                     /* book, rule, lasting table, guardian's word, route */
  STEP(if :: user -> m_usr = true :: else -> m_op = true; KEPT(false) fi; in_book();
       if :: user -> SAY_USR("aditd book+", "") :: else -> SAY_OP("aditd book+", "") fi);
#ifdef ROUTE_FIRST
  STEP(if :: dev == OURS && up && !user -> route = true; promised = true; SAY("aditd route+ NET bob0") :: else fi);
#endif
  STEP(if :: fails -> goto undo :: else -> routing_up(); SAY("aditd layer rule up NET") fi);
#ifdef THROW_LAST
  STEP(thrown = true; threw = false);
#endif
  STEP(if :: fails -> goto undo :: else -> lasting = true; SAY("aditd layer lasting up NET") fi);
  STEP(if :: g == ALIVE -> g_n = true; SAY("aditd layer owned up NET") :: else -> SAY("aditd layer owned down"); goto undo fi);      /* no answer: nothing new */
  STEP(if :: !user && m_op && !r_op && dev == OURS && up -> promised = true; route = true; SAY("aditd route+ NET bob0") :: else fi);
  goto again;

undo:
  STEP(if
       :: user && m_usr -> r_usr = true; SAY("aditd record usr undo NET bob0 user:vpn policy")
       :: !user && m_op -> r_op = true; promised = false; SAY("aditd record op undo NET bob0 operator route")
       :: else fi);
  goto again;

releasing:
  STEP(if :: !user -> route = false; SAY("aditd route- NET bob0") :: else fi);               /* the route goes first */
  STEP(if :: g != ALIVE -> SAY("aditd layer owned down"); goto again :: else -> SAY("aditd layer owned up") fi);        /* nothing is released while it is away */
#ifndef ACT_BEFORE_RECORD
  STEP(if
       :: user && m_usr -> r_usr = true; SAY("aditd record usr release NET bob0 user:vpn *")
       :: !user && m_op -> r_op = true; promised = false; SAY("aditd record op release NET bob0 operator *")
       :: else -> goto again fi);
#ifdef DELEGATE_OPENS
  STEP(if :: user && m_op -> leave_op() :: else fi);                        /* what the user's rule named opens, whoever else holds it */
#endif
#endif

opening:                                     /* the guardian first */
#ifdef ACT_BEFORE_RECORD
  STEP(owned_gone());
#endif
  STEP(if :: WANTED -> leave(); in_book(); goto again :: else fi);          /* another entry holds N */
  STEP(if :: g != HANGS && !WANTED -> owned_gone() :: else -> goto again fi);
  STEP(if :: !WANTED -> routing_gone() :: else -> goto again fi);
  STEP(if :: !WANTED -> lasting_gone() :: else -> goto again fi);
  STEP(if :: g != HANGS && !OWNED -> leave(); in_book() :: else fi);
  goto again
}

active proctype Guardian() {
end:
  do
  :: atomic { g == DEAD && !away && net_up -> g = ALIVE;
       if
       :: !lost -> g_n = WANTED; SAY("guardian start"); SAY("guardian book intact");
          if :: d_op -> SAY_OP("guardian loaded", "") :: else fi; if :: d_usr -> SAY_USR("guardian loaded", "") :: else fi;
          SAY("guardian started")
       :: lost && FOUND -> g_n = true; SAY("guardian start"); SAY("guardian book missing"); SAY("guardian adopted NET"); SAY("guardian started")
       :: lost && !FOUND -> g_n = false; SAY("guardian start"); SAY("guardian book missing"); SAY("guardian started"); if :: !a_ready -> nothing_left() :: else fi
       fi }
  /* put back: throw, unreachable, nexthop; the rule, wherever it lands; then its place */
  :: atomic { g == ALIVE && g_n && WANTED && !fails && !(unreach && nexthop && (thrown || !rule)) ->
#ifndef THROW_LAST
       thrown = true; threw = false;
#endif
       unreach = true; nexthop = true }
  :: atomic { g == ALIVE && g_n && WANTED && !thrown && !fails -> thrown = true; threw = false }
  :: atomic { g == ALIVE && g_n && WANTED && !fails && !rule && thrown && unreach -> rule = true }
#if !defined(PREF5) && !defined(NO_REORDER)
  :: atomic { g == ALIVE && g_n && WANTED && !fails && rule && front -> front = false }
#endif
  :: atomic { g == ALIVE && g_n && WANTED && !fails && !lasting -> lasting = true }
  :: atomic { g == ALIVE && !fails && local_route -> local_route = false }
  od
}

/* ---- others: any of them, any number of times */
#define BREAKS(what) atomic { ACT -> what; damaged = true }                  /* a layer, or who keeps it */
#define OTHER(what)  atomic { world -> what }                               /* or what breaks none */

active proctype World() {
end:
progress:                                    /* a cycle without others in it would be Adit against itself (pan -l) */
  do
  :: BREAKS(SAY_IF(a_alive, "aditd crash"); a_alive = false; a_ready = false)          /* SIGKILL, OOM */
  :: BREAKS(SAY_IF(g != DEAD, "guardian crash"); g = DEAD; g_n = false)
  :: BREAKS(if :: g == ALIVE -> g = HANGS :: else fi)                       /* SIGSTOP */
  :: OTHER(if :: g == HANGS -> g = ALIVE :: else fi)
  :: BREAKS(away = true; g = DEAD; g_n = false)                             /* systemctl stop, masked, its file gone */
  :: OTHER(away = false)
  :: BREAKS(lasting = false)                                                /* nft flush ruleset, dormant, an accept in front */
#ifdef RULES
  :: BREAKS(foreign = FROM; front = (PRIORITY_FRONT || !rule))              /* ip rule add, without a priority */
  :: BREAKS(foreign = IIF; front = (PRIORITY_FRONT || !rule))
  :: BREAKS(rule = false; front = (foreign != NOTHING))                     /* ip rule del, flush */
  :: BREAKS(unreach = false; route = false; thrown = false)                 /* ip route flush table 174 */
  :: BREAKS(nexthop = false)                                                /* ip nexthop flush */
  :: BREAKS(thrown = false; threw = true)                                   /* ip route del throw … */
  :: BREAKS(seg6 = true)                                                    /* ip route add … encap seg6 in main, or their table */
  :: BREAKS(local_route = true)                                             /* … table local */
  :: OTHER(foreign = NOTHING; front = false)
  :: OTHER(seg6 = false)
#endif
#ifdef DEVICE
  :: BREAKS(up = false; route = false)                                      /* ip link set down */
  :: BREAKS(if :: dev == OURS -> dev = NONE; up = false; route = false :: else fi)
  :: BREAKS(route = false; fails = true)                                    /* ip route replace …; disable_ipv6 */
  :: OTHER(fails = false)
#endif
#ifdef BOOK
#ifdef PACED
  :: OTHER(if :: copy || !WANTED -> lost = true :: else fi)                 /* one of the two files, whatever else is broken */
  :: OTHER(if :: !lost -> copy = false :: else fi)
#else
  :: OTHER(lost = true)
  :: OTHER(copy = false)
#endif
  :: OTHER(conf = false)
  :: OTHER(if :: dev != PLAIN -> conf = true :: else fi)
  :: BREAKS(if :: !REMEMBERED && !WANTED -> lasting = true :: else fi)      /* a ruleset saved long ago is loaded */
#endif
#ifdef CONSOLE
  :: BREAKS(broken = true; SAY_IF(a_alive, "aditd crash"); a_alive = false; a_ready = false)                /* a bad file, an upgrade, seccomp */
  :: OTHER(broken = false)
#endif
#ifdef SEEN
  :: OTHER(s_route = true)                                                  /* 0.0.0.0/1 of a BGP peer behind the tunnel */
  :: OTHER(s_route = false)
#endif
#ifdef BOOT
  :: BREAKS(SAY("aditd boot"); a_alive = false; a_ready = false; g = DEAD; g_n = false; net_up = false;
            rule = false; unreach = false; nexthop = false; thrown = false; route = false; lasting = false; dev = NONE; up = false; plain_route = false;
            foreign = NOTHING; front = false; seg6 = false; local_route = false; threw = false)
  :: atomic { !net_up ->                                                    /* before network-pre.target, after other firewalls */
#ifndef NO_EARLY_GUARD
       if :: (WANTED && !lost) || (copy && lost) -> thrown = true; routing_up(); lasting = true :: else fi;
#endif
       net_up = true }
#endif
#ifndef STEPS
  :: atomic { net_up -> world = false; break }                              /* and then it is quiet for good */
#endif
  od
}

#ifdef CONSOLE
/* adit guard open NET, by the guardian's own socket or --offline: a record, then the acts, by whoever can */
#ifdef DOOR_BY_ADITD
#define DOOR a_ready
#else
#define DOOR true
#endif
active proctype Console() {
  if :: asked = true :: goto done fi;
end:
  do
  :: atomic { DOOR && WANTED -> lost = false; r_op = d_op; r_usr = d_usr; promised = false;
       SAY_IF(d_op, "console record op open NET bob0 operator *"); SAY_IF(d_usr, "console record usr open NET bob0 operator policy") }
  :: atomic { DOOR && !WANTED && g == HANGS -> g = DEAD; g_n = false }      /* the console can kill it */
  :: atomic { DOOR && !WANTED && g != HANGS && OWNED -> owned_gone() }
  :: atomic { DOOR && !WANTED && g != HANGS && !OWNED && unreach -> routing_gone() }
  :: atomic { DOOR && !WANTED && g != HANGS && !OWNED && lasting -> lasting_gone() }
  :: atomic { DOOR && !WANTED && !OWNED && !unreach && !lasting -> leave(); copy = false; opened = true; goto done }
  od;
done: skip
}
#endif

/* ---- what must never happen to a packet */
active proctype Packets() {
end:
  if
  /* in the clear, while a layer that is there for its kind stands */
  :: atomic { CLEAR_FORWARD && STANDS_UNBOUND -> NEVER(leak_beside_a_layer) }
  :: atomic { CLEAR_LOCAL && STANDS_UNBOUND -> NEVER(leak_beside_a_layer) }
  :: atomic { CLEAR_FOREIGN && STANDS_UNBOUND -> NEVER(leak_beside_a_layer) }
  :: atomic { CLEAR_BOUND4 && STANDS_BOUND4 -> NEVER(leak_beside_a_layer) }
  :: atomic { CLEAR_BOUND6 && STANDS_BOUND6 -> NEVER(leak_beside_a_layer) }
#ifdef PACED
  /* in the clear at all */
  :: atomic { promised && CLEAR_ANY -> NEVER(leak) }
#endif
  /* stopped, that should pass: Adit's own outer packets; DHCP, ND …; local traffic that is DNATed into the tunnel */
  :: atomic { LOOKED && unreach && !thrown && !threw -> NEVER(outer_packet_stopped) }
  :: atomic { !LINK_RULES && (OWNED || lasting) -> NEVER(dhcp_or_nd_stopped) }
  :: atomic { OUTPUT_VERDICT && OWNED && TUNNELLED -> NEVER(dnat_stopped) }
  fi
}

/* ---- when nothing moves any more */
active proctype Quiet() {
end:
  timeout ->
  if :: asked && !opened -> NEVER(operator_locked_out) :: else fi;          /* the operator at the console can always open */
  if :: a_ready && s_closed && !s_route && !s_named -> NEVER(seen_route_closes_for_good) :: else fi;
  if :: promised && WANTED && g == ALIVE && !fails && !(RULE_STANDS && nexthop && thrown && lasting && OWNED) -> NEVER(layer_not_put_back) :: else fi
}

#ifdef PACED
active proctype Pace() {
end:
  do
  :: atomic { damaged && WHOLE -> damaged = false }
  od
}
#endif

init {
  atomic { SAY("aditd allow user:vpn NET") };
#ifdef SEEN
  if :: s_named = true :: skip fi
#else
  skip
#endif
}
