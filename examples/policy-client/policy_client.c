/*
 * A service that keeps policy of its own in Adit, over libadit: its rules belong to its namespace, come and go in
 * transactions, and nobody else's reload touches them.
 *
 *     policy-client apply NAMESPACE TUNNEL SECONDS NETWORK...   protect these networks and no others (SECONDS not 0:
 *                                                               undone after so many unless confirmed)
 *     policy-client confirm|undo NAMESPACE
 *     policy-client list NAMESPACE
 *     policy-client lookup TUNNEL in|out LOCAL REMOTE PROTOCOL LOCAL-PORT REMOTE-PORT
 *     policy-client watch COUNT [INSTANCE:SEQUENCE]
 *
 * cc policy_client.c $(pkg-config --cflags --libs libadit)
 */
#include <adit/adit.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int sorry(const char* what, const adit_error_t* error) {
  fprintf(stderr, "policy-client: %s: %s (errno %d, diagnostic %d)\n", what, error->text, error->code,
          error->diagnostic);
  return 1;
}

/* ---- apply: what is in force afterwards is this and nothing else, from one packet to the next */

static int add_network(adit_transaction_t* transaction, const char* tunnel, const char* network, uint32_t place,
                       adit_error_t* error) {
  adit_action_t action = {.type = SPD_ACTTYPE_IPSEC, .flags = SPD_APPLY_ESP};
  action.cipher.number = 20; /* AES-GCM with a 16-byte ICV: ipsecalgs(8) lists the numbers */
  action.cipher.min_bits = action.cipher.max_bits = 256;
  adit_rule_t rule;
  memset(&rule, 0, sizeof rule);
  rule.tunnel = tunnel;
  rule.priority = 0x4fffff - place; /* the highest that matches decides */
  rule.flags = SPD_RULE_FLAG_INBOUND | SPD_RULE_FLAG_OUTBOUND | SPD_RULE_FLAG_TUNNEL;
  rule.actions = &action;
  rule.action_count = 1;
  rule.origin_file = "policy-client";
  rule.origin_line = place + 1;
  if (adit_parse_prefix(&rule.remote, network) != 0) {
    snprintf(error->text, sizeof error->text, "%s is no network", network);
    return error->code = EINVAL;
  }
  return adit_add(transaction, &rule, NULL, error);
}

static int apply(adit_t* adit, char** words, int count) {
  adit_error_t error = {0};
  adit_transaction_t* transaction;
  for (;;) {
    if (adit_begin(adit, ADIT_BEGIN_EMPTY, &transaction, &error) != 0) return sorry("cannot begin", &error);
    for (int i = 2; i < count; ++i) {
      if (add_network(transaction, words[0], words[i], (uint32_t)i - 2, &error) == 0) continue;
      adit_rollback(transaction);
      return sorry(words[i], &error);
    }
    uint64_t generation;
    const int done = adit_commit(transaction, 0, (uint32_t)strtoul(words[1], NULL, 10), &generation, &error);
    if (done == 0) {
      printf("in force as generation %llu\n", (unsigned long long)generation);
      return 0;
    }
    adit_rollback(transaction);
    if (done != EAGAIN) return sorry("nothing was changed", &error);
  }
}

/* ---- list and lookup */

static void print_prefix(const char* name, const adit_prefix_t* prefix) {
  char text[INET6_ADDRSTRLEN];
  if (prefix->family != 0)
    printf(" %s %s/%u", name, inet_ntop(prefix->family, prefix->address, text, sizeof text), prefix->length);
}

static int print_rule(void* context, const adit_rule_t* rule) {
  static const char* const types[] = {"?", "drop", "pass", "ipsec"};
  (void)context;
  printf("%s,%llu dir %s", rule->tunnel[0] == '\0' ? "host" : rule->tunnel, (unsigned long long)rule->index,
         (rule->flags & SPD_RULE_FLAG_OUTBOUND) != 0 ? "out" : "in");
  print_prefix("laddr", &rule->local);
  print_prefix("raddr", &rule->remote);
  for (size_t i = 0; i < rule->action_count; ++i) {
    const adit_action_t* action = &rule->actions[i];
    printf("%s %s", i == 0 ? "" : " or", types[action->type < 4 ? action->type : 0]);
    if ((action->flags & SPD_APPLY_ESP) != 0)
      printf(" encr %u(%u..%u)", action->cipher.number, action->cipher.min_bits, action->cipher.max_bits);
  }
  printf(" namespace %s\n", rule->name_space);
  return 0;
}

static int list(adit_t* adit) {
  adit_error_t error;
  const int done = adit_dump(adit, NULL, 0, print_rule, NULL, NULL, &error);
  if (done == EAGAIN) fprintf(stderr, "policy-client: the rules have changed meanwhile\n");
  return done == 0 || done == EAGAIN ? 0 : sorry("cannot list", &error);
}

static int lookup(adit_t* adit, char** words) {
  adit_error_t error;
  adit_packet_t packet;
  memset(&packet, 0, sizeof packet);
  packet.direction = strcmp(words[1], "in") == 0 ? SPD_RULE_FLAG_INBOUND : SPD_RULE_FLAG_OUTBOUND;
  packet.protocol = (uint8_t)atoi(words[4]);
  packet.has_ports = 1;
  packet.local_port = (uint16_t)atoi(words[5]);
  packet.remote_port = (uint16_t)atoi(words[6]);
  if (adit_parse_prefix(&packet.local, words[2]) != 0 || adit_parse_prefix(&packet.remote, words[3]) != 0) {
    fprintf(stderr, "policy-client: an address is none\n");
    return 1;
  }
  return adit_lookup(adit, words[0], &packet, print_rule, NULL, &error) == 0 ? 0 : sorry("lookup", &error);
}

/* ---- watch: COUNT events, then the position to go on from */

static int watch(int count, const char* from) {
  adit_error_t error;
  adit_position_t position = {{0}, 0};
  adit_missed_t missed;
  adit_events_t* events;
  if (from != NULL) {
    const char* colon = strchr(from, ':');
    if (colon == NULL || (size_t)(colon - from) >= sizeof position.instance) return 2;
    memcpy(position.instance, from, (size_t)(colon - from));
    position.sequence = strtoull(colon + 1, NULL, 10);
  }
  if (adit_events_open(&events, NULL, from == NULL ? NULL : &position, &missed, &error) != 0)
    return sorry("cannot watch", &error);
  printf("watching\n");
  if (missed.restarted != 0) printf("aditd was restarted\n");
  if (missed.events != 0) printf("missed %llu\n", (unsigned long long)missed.events);
  fflush(stdout);
  int done = 0;
  while (done == 0 && count-- > 0) {
    adit_event_t event;
    if ((done = adit_events_next(events, &event, -1, &error)) != 0) break;
    printf("%llu %s %s: %s\n", (unsigned long long)event.sequence, event.kind, event.subject, event.text);
    fflush(stdout);
  }
  adit_events_position(events, &position);
  printf("go on from %s:%llu\n", position.instance, (unsigned long long)position.sequence);
  adit_events_close(events);
  return done == 0 ? 0 : sorry("no more events", &error);
}

static int usage(void) {
  fprintf(stderr,
          "usage: policy-client apply NAMESPACE TUNNEL SECONDS NETWORK...\n"
          "       policy-client confirm|undo|list NAMESPACE\n"
          "       policy-client lookup TUNNEL in|out LOCAL REMOTE PROTOCOL LOCAL-PORT REMOTE-PORT\n"
          "       policy-client watch COUNT [INSTANCE:SEQUENCE]\n");
  return 2;
}

static int run(adit_t* adit, int count, char** words) {
  adit_error_t error;
  const char* command = words[1];
  if (strcmp(command, "lookup") == 0) return count == 9 ? lookup(adit, words + 2) : usage();
  if (adit_set_namespace(adit, words[2], 0, &error) != 0) return sorry(words[2], &error);
  if (strcmp(command, "apply") == 0 && count >= 5) return apply(adit, words + 3, count - 3);
  if (strcmp(command, "list") == 0) return list(adit);
  if (strcmp(command, "confirm") == 0) return adit_confirm(adit, &error) == 0 ? 0 : sorry("confirm", &error);
  if (strcmp(command, "undo") == 0) return adit_undo(adit, &error) == 0 ? 0 : sorry("undo", &error);
  return usage();
}

int main(int count, char** words) {
  adit_error_t error;
  adit_t* adit;
  if (count < 3) return usage();
  if (strcmp(words[1], "watch") == 0) return watch(atoi(words[2]), count > 3 ? words[3] : NULL);
  if (adit_open(&adit, NULL, &error) != 0) return sorry("cannot connect", &error);
  const int status = run(adit, count, words);
  adit_close(adit);
  return status;
}
