/* Rules as extensions, and back. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "message.h"

int adit_parse_prefix(adit_prefix_t* out, const char* text) {
  char address[INET6_ADDRSTRLEN];
  const char* slash = strchr(text, '/');
  const size_t length = slash == NULL ? strlen(text) : (size_t)(slash - text);
  if (length >= sizeof address) return EINVAL;
  memcpy(address, text, length);
  address[length] = '\0';
  adit_prefix_t made;
  memset(&made, 0, sizeof made);
  made.family = strchr(address, ':') == NULL ? AF_INET : AF_INET6;
  if (inet_pton(made.family, address, made.address) != 1) return EINVAL;
  const unsigned most = made.family == AF_INET ? 32 : 128;
  made.length = (uint8_t)most;
  if (slash != NULL) {
    char* end;
    if (slash[1] < '0' || slash[1] > '9') return EINVAL;
    const unsigned long bits = strtoul(slash + 1, &end, 10);
    if (*end != '\0' || bits > most) return EINVAL;
    made.length = (uint8_t)bits;
  }
  *out = made;
  return 0;
}

/* ---- to extensions */

static void put_prefix(struct outgoing* to, uint16_t type, const adit_prefix_t* prefix) {
  if (prefix->family == 0) return;
  const size_t bytes = prefix->family == AF_INET ? 4 : 16;
  uint8_t* extension = put_extension(to, type, sizeof(spd_address_t) + bytes);
  if (extension == NULL) return;
  extension[offsetof(spd_address_t, spd_address_af)] = prefix->family;
  extension[offsetof(spd_address_t, spd_address_prefixlen)] = prefix->length;
  memcpy(extension + sizeof(spd_address_t), prefix->address, bytes);
}

static void put_port(struct outgoing* to, uint16_t type, uint16_t port) {
  uint8_t* extension = port == 0 ? NULL : put_extension(to, type, sizeof(spd_portrange_t));
  if (extension == NULL) return;
  const uint16_t wire = htons(port);
  memcpy(extension + offsetof(spd_portrange_t, spd_ports_minport), &wire, sizeof wire);
  memcpy(extension + offsetof(spd_portrange_t, spd_ports_maxport), &wire, sizeof wire);
}

void put_selectors(struct outgoing* to, const adit_rule_t* rule) {
  if (rule->protocol != 0) {
    uint8_t* extension = put_extension(to, SPD_EXT_PROTO, sizeof(spd_proto_t));
    if (extension != NULL) extension[offsetof(spd_proto_t, spd_proto_number)] = rule->protocol;
  }
  put_port(to, SPD_EXT_LCLPORT, rule->local_port);
  put_port(to, SPD_EXT_REMPORT, rule->remote_port);
  put_prefix(to, SPD_EXT_REMADDR, &rule->remote);
  put_prefix(to, SPD_EXT_LCLADDR, &rule->local);
  if (rule->has_icmp == 0) return;
  uint8_t* extension = put_extension(to, SPD_EXT_ICMP_TYPECODE, sizeof(spd_typecode_t));
  if (extension == NULL) return;
  extension[offsetof(spd_typecode_t, spd_typecode_type)] = rule->icmp_type;
  extension[offsetof(spd_typecode_t, spd_typecode_type_end)] = rule->icmp_type_end;
  extension[offsetof(spd_typecode_t, spd_typecode_code)] = rule->icmp_code;
  extension[offsetof(spd_typecode_t, spd_typecode_code_end)] = rule->icmp_code_end;
}

/* Writes attributes into an ACTION extension that has room for them. */
struct attributes {
  uint8_t* at;
};

static void put_attribute(struct attributes* to, uint32_t tag, uint32_t value) {
  const spd_attribute_t attribute = {tag, value};
  memcpy(to->at, &attribute, sizeof attribute);
  to->at += sizeof attribute;
}

static void put_algorithm(struct attributes* to, const adit_algorithm_t* algorithm, uint32_t tag, uint32_t min,
                          uint32_t max) {
  put_attribute(to, tag, algorithm->number);
  put_attribute(to, min, algorithm->min_bits);
  put_attribute(to, max, algorithm->max_bits == 0 ? SPD_MAX_MAXBITS : algorithm->max_bits);
}

static size_t attributes_of(const adit_action_t* action) {
  return 4 + ((action->flags & SPD_APPLY_ESP) != 0 ? 3u : 0u) + ((action->flags & SPD_APPLY_ESPA) != 0 ? 3u : 0u) +
         ((action->flags & SPD_APPLY_AH) != 0 ? 3u : 0u);
}

static void put_actions(struct outgoing* to, const adit_rule_t* rule) {
  size_t count = 0;
  for (size_t i = 0; i < rule->action_count && count <= SPD_MAX_MESSAGE; ++i) count += attributes_of(&rule->actions[i]);
  uint8_t* extension = put_extension(to, SPD_EXT_ACTION, sizeof(spd_ext_actions_t) + count * sizeof(spd_attribute_t));
  if (extension == NULL) return;
  const uint16_t actions = (uint16_t)rule->action_count;
  memcpy(extension + offsetof(spd_ext_actions_t, spd_actions_count), &actions, sizeof actions);
  struct attributes list = {extension + sizeof(spd_ext_actions_t)};
  for (size_t i = 0; i < rule->action_count; ++i) {
    const adit_action_t* action = &rule->actions[i];
    put_attribute(&list, SPD_ATTR_EMPTY, 0);
    put_attribute(&list, SPD_ATTR_TYPE, action->type);
    put_attribute(&list, SPD_ATTR_FLAGS, action->flags);
    if ((action->flags & SPD_APPLY_ESP) != 0)
      put_algorithm(&list, &action->cipher, SPD_ATTR_ESP_ENCR, SPD_ATTR_ENCR_MINBITS, SPD_ATTR_ENCR_MAXBITS);
    if ((action->flags & SPD_APPLY_ESPA) != 0)
      put_algorithm(&list, &action->integrity, SPD_ATTR_ESP_AUTH, SPD_ATTR_ESPA_MINBITS, SPD_ATTR_ESPA_MAXBITS);
    if ((action->flags & SPD_APPLY_AH) != 0)
      put_algorithm(&list, &action->ah, SPD_ATTR_AH_AUTH, SPD_ATTR_AH_MINBITS, SPD_ATTR_AH_MAXBITS);
    put_attribute(&list, i + 1 == rule->action_count ? SPD_ATTR_END : SPD_ATTR_NEXT, 0);
  }
}

void put_rule(struct outgoing* to, const adit_rule_t* rule, int with_actions) {
  uint8_t* extension = put_extension(to, SPD_EXT_RULE, sizeof(spd_rule_t));
  if (extension != NULL) {
    const spd_rule_t wire = {.spd_rule_len = sizeof(spd_rule_t) / 8,
                             .spd_rule_type = SPD_EXT_RULE,
                             .spd_rule_priority = rule->priority,
                             .spd_rule_flags = rule->flags,
                             .spd_rule_index = rule->index};
    memcpy(extension, &wire, sizeof wire);
  }
  if (rule->tunnel != NULL && rule->tunnel[0] != '\0') put_text(to, SPD_EXT_TUN_NAME, 4, 0, rule->tunnel);
  put_selectors(to, rule);
  if (!with_actions) return;
  put_actions(to, rule);
  if (rule->origin_file != NULL) put_text(to, SPD_EXT_ORIGIN, 8, rule->origin_line, rule->origin_file);
}

/* ---- from extensions */

static int read_prefix(adit_prefix_t* to, const struct incoming* from, uint16_t type) {
  const uint8_t* extension = from->extension[type];
  if (extension == NULL) return 0;
  to->family = extension[offsetof(spd_address_t, spd_address_af)];
  to->length = extension[offsetof(spd_address_t, spd_address_prefixlen)];
  const size_t bytes = to->family == AF_INET ? 4 : 16;
  if ((to->family != AF_INET && to->family != AF_INET6) || from->size[type] < sizeof(spd_address_t) + bytes)
    return EPROTO;
  memcpy(to->address, extension + sizeof(spd_address_t), bytes);
  return 0;
}

static uint16_t port_of(const struct incoming* from, uint16_t type) {
  uint16_t wire = 0;
  if (from->extension[type] != NULL)
    memcpy(&wire, from->extension[type] + offsetof(spd_portrange_t, spd_ports_minport), sizeof wire);
  return ntohs(wire);
}

static adit_action_t* next_action(struct actions* actions, size_t at) {
  if (at == actions->room) {
    const size_t room = actions->room == 0 ? 8 : actions->room * 2;
    adit_action_t* list = realloc(actions->list, room * sizeof *list);
    if (list == NULL) return NULL;
    actions->list = list;
    actions->room = room;
  }
  memset(&actions->list[at], 0, sizeof actions->list[at]);
  return &actions->list[at];
}

static void take_attribute(adit_action_t* action, uint32_t tag, uint32_t value) {
  switch (tag) {
    case SPD_ATTR_TYPE:
      action->type = value;
      break;
    case SPD_ATTR_FLAGS:
      action->flags = value;
      break;
    case SPD_ATTR_AH_AUTH:
      action->ah.number = (uint16_t)value;
      break;
    case SPD_ATTR_AH_MINBITS:
      action->ah.min_bits = (uint16_t)value;
      break;
    case SPD_ATTR_AH_MAXBITS:
      action->ah.max_bits = (uint16_t)value;
      break;
    case SPD_ATTR_ESP_ENCR:
      action->cipher.number = (uint16_t)value;
      break;
    case SPD_ATTR_ENCR_MINBITS:
      action->cipher.min_bits = (uint16_t)value;
      break;
    case SPD_ATTR_ENCR_MAXBITS:
      action->cipher.max_bits = (uint16_t)value;
      break;
    case SPD_ATTR_ESP_AUTH:
      action->integrity.number = (uint16_t)value;
      break;
    case SPD_ATTR_ESPA_MINBITS:
      action->integrity.min_bits = (uint16_t)value;
      break;
    case SPD_ATTR_ESPA_MAXBITS:
      action->integrity.max_bits = (uint16_t)value;
      break;
    default:
      break; /* what a later daemon says besides */
  }
}

static int read_actions(adit_rule_t* to, const struct incoming* from, struct actions* actions) {
  const uint8_t* extension = from->extension[SPD_EXT_ACTION];
  const size_t size = from->size[SPD_EXT_ACTION];
  adit_action_t* current = NULL;
  for (size_t at = sizeof(spd_ext_actions_t); at + sizeof(spd_attribute_t) <= size; at += sizeof(spd_attribute_t)) {
    spd_attribute_t attribute;
    memcpy(&attribute, extension + at, sizeof attribute);
    if (current == NULL) current = next_action(actions, to->action_count);
    if (current == NULL) return ENOMEM;
    if (attribute.spd_attr_tag == SPD_ATTR_EMPTY) {
      memset(current, 0, sizeof *current);
    } else if (attribute.spd_attr_tag == SPD_ATTR_NEXT || attribute.spd_attr_tag == SPD_ATTR_END) {
      ++to->action_count;
      current = NULL;
      if (attribute.spd_attr_tag == SPD_ATTR_END) break;
    } else {
      take_attribute(current, attribute.spd_attr_tag, attribute.spd_attr_value);
    }
  }
  to->actions = actions->list;
  return 0;
}

int read_rule(adit_rule_t* to, const struct incoming* from, struct actions* actions) {
  memset(to, 0, sizeof *to);
  if (from->extension[SPD_EXT_RULE] == NULL || from->extension[SPD_EXT_ACTION] == NULL) return EPROTO;
  spd_rule_t wire;
  memcpy(&wire, from->extension[SPD_EXT_RULE], sizeof wire);
  to->index = wire.spd_rule_index;
  to->priority = wire.spd_rule_priority;
  to->flags = wire.spd_rule_flags;
  to->tunnel = text_of(from, SPD_EXT_TUN_NAME);
  to->name_space = text_of(from, SPD_EXT_NAMESPACE);
  to->origin_file = text_of(from, SPD_EXT_ORIGIN);
  if (to->tunnel == NULL) to->tunnel = "";
  if (to->name_space == NULL) to->name_space = "";
  if (to->origin_file != NULL)
    memcpy(&to->origin_line, from->extension[SPD_EXT_ORIGIN] + offsetof(spd_origin_t, spd_origin_line), 4);
  if (from->extension[SPD_EXT_PROTO] != NULL)
    to->protocol = from->extension[SPD_EXT_PROTO][offsetof(spd_proto_t, spd_proto_number)];
  to->local_port = port_of(from, SPD_EXT_LCLPORT);
  to->remote_port = port_of(from, SPD_EXT_REMPORT);
  const uint8_t* icmp = from->extension[SPD_EXT_ICMP_TYPECODE];
  if (icmp != NULL) {
    to->has_icmp = 1;
    to->icmp_type = icmp[offsetof(spd_typecode_t, spd_typecode_type)];
    to->icmp_type_end = icmp[offsetof(spd_typecode_t, spd_typecode_type_end)];
    to->icmp_code = icmp[offsetof(spd_typecode_t, spd_typecode_code)];
    to->icmp_code_end = icmp[offsetof(spd_typecode_t, spd_typecode_code_end)];
  }
  int done = read_prefix(&to->local, from, SPD_EXT_LCLADDR);
  if (done == 0) done = read_prefix(&to->remote, from, SPD_EXT_REMADDR);
  return done != 0 ? done : read_actions(to, from, actions);
}
