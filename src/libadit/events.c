/* The stream of io.adit.events.Monitor: JSON messages, each ended by a NUL byte. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "connection.h"
#include "event_json.h"

#define LONGEST_EVENT ((size_t)1 << 20)

struct adit_events {
  int fd;
  adit_position_t position;
  char* bytes;
  size_t size, begin, end; /* of bytes; what has come stands in [begin, end) */
  size_t scanned;          /* no NUL before here */
};

/* Only what the daemon itself gives out: it goes into a message. */
static int is_instance(const char* text) {
  const size_t length = strnlen(text, sizeof((adit_position_t*)0)->instance);
  return length < sizeof((adit_position_t*)0)->instance && strspn(text, "0123456789abcdef") == length;
}

static int send_call(int fd, const adit_position_t* after, adit_error_t* error) {
  char call[256];
  int length;
  if (after == NULL)
    length = snprintf(call, sizeof call, "{\"method\":\"io.adit.events.Monitor\",\"more\":true,\"parameters\":{}}");
  else
    length = snprintf(call, sizeof call,
                      "{\"method\":\"io.adit.events.Monitor\",\"more\":true,\"parameters\":{\"after\":%llu,"
                      "\"instance\":\"%s\"}}",
                      (unsigned long long)after->sequence, after->instance);
  for (size_t sent = 0; sent < (size_t)length + 1;) {
    const ssize_t done = send(fd, call + sent, (size_t)length + 1 - sent, MSG_NOSIGNAL);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return failed(error, errno, 0, "aditd closed the connection: %s", strerror(errno));
    sent += (size_t)done;
  }
  return 0;
}

static int make_room(adit_events_t* events) {
  if (events->begin > 0) {
    memmove(events->bytes, events->bytes + events->begin, events->end - events->begin);
    events->end -= events->begin;
    events->scanned -= events->begin;
    events->begin = 0;
  }
  if (events->end < events->size) return 0;
  if (events->size >= LONGEST_EVENT) return EPROTO;
  const size_t size = events->size == 0 ? 16384 : events->size * 2;
  char* bytes = realloc(events->bytes, size);
  if (bytes == NULL) return ENOMEM;
  events->bytes = bytes;
  events->size = size;
  return 0;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* More bytes. `deadline` negative: whenever they come. */
static int read_more(adit_events_t* events, int64_t deadline, adit_error_t* error) {
  const int room = make_room(events);
  if (room != 0) return failed(error, room, 0, "an event of aditd is too long, or there is no memory for it");
  for (;;) {
    const ssize_t got = recv(events->fd, events->bytes + events->end, events->size - events->end, MSG_DONTWAIT);
    if (got > 0) {
      events->end += (size_t)got;
      return 0;
    }
    if (got == 0) return failed(error, EPIPE, 0, "aditd closed the connection");
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return failed(error, EPIPE, 0, "no more from aditd: %s", strerror(errno));
    const int64_t left = deadline < 0 ? -1 : deadline - now_ms();
    if (deadline >= 0 && left <= 0) return failed(error, ETIMEDOUT, 0, "nothing came in time");
    struct pollfd wait = {.fd = events->fd, .events = POLLIN};
    if (poll(&wait, 1, (int)left) < 0 && errno != EINTR)
      return failed(error, errno, 0, "cannot wait: %s", strerror(errno));
  }
}

/* The parameters of the next message; the message is consumed, its bytes stay until the next call. */
static int next_parameters(adit_events_t* events, struct json* parameters, int64_t deadline, adit_error_t* error) {
  char* nul;
  while ((nul = memchr(events->bytes + events->scanned, 0, events->end - events->scanned)) == NULL) {
    events->scanned = events->end;
    const int done = read_more(events, deadline, error);
    if (done != 0) return done;
  }
  struct json message, why, part;
  char* const from = events->bytes + events->begin;
  const size_t length = (size_t)(nul - from);
  events->begin = events->scanned = (size_t)(nul + 1 - events->bytes);
  if (!json_value(from, length, &message)) return failed(error, EPROTO, 0, "aditd sent what is no event");
  if (json_member(message, "error", &why)) {
    uint64_t code = EPROTO;
    char* text = NULL;
    if (json_member(message, "parameters", parameters)) {
      if (json_member(*parameters, "code", &part)) (void)json_number(part, &code);
      if (json_member(*parameters, "text", &part)) text = json_string(part);
    }
    return failed(error, code == 0 || code > 4095 ? EPROTO : (int)code, 0, "%s",
                  text != NULL ? text : "aditd has no such events");
  }
  if (!json_member(message, "parameters", parameters)) return failed(error, EPROTO, 0, "aditd sent what is no event");
  return 0;
}

static int number_in(struct json object, const char* name, uint64_t* number) {
  struct json value;
  return json_member(object, name, &value) && json_number(value, number);
}

/* The first answer says where we are and what is missing. */
static int read_position(adit_events_t* events, const adit_position_t* after, adit_missed_t* missed,
                         adit_error_t* error) {
  struct json answer, value;
  uint64_t sequence = 0, gone = 0;
  const int done = next_parameters(events, &answer, -1, error);
  if (done != 0) return done;
  const int restarted = json_member(answer, "restarted", &value) && json_is_true(value);
  if (!number_in(answer, "sequence", &sequence) || !number_in(answer, "missed", &gone) ||
      !json_member(answer, "instance", &value))
    return failed(error, EPROTO, 0, "aditd began its events without a position");
  const char* const instance = json_string(value);
  if (instance == NULL || !is_instance(instance))
    return failed(error, EPROTO, 0, "aditd began its events without a position");
  memset(&events->position, 0, sizeof events->position);
  memcpy(events->position.instance, instance, strlen(instance));
  if (after == NULL)
    events->position.sequence = sequence;
  else
    events->position.sequence = after->sequence <= sequence ? after->sequence : 0; /* numbers began anew */
  if (missed != NULL) {
    memset(missed, 0, sizeof *missed);
    missed->events = gone;
    missed->restarted = restarted ? 1 : 0;
  }
  return 0;
}

int adit_events_open(adit_events_t** out, const char* run_dir, const adit_position_t* after, adit_missed_t* missed,
                     adit_error_t* error) {
  if (after != NULL && !is_instance(after->instance))
    return failed(error, EINVAL, 0, "the position has an instance that no aditd gave");
  adit_events_t* events = calloc(1, sizeof *events);
  if (events == NULL) return failed(error, ENOMEM, 0, "no memory");
  events->fd = connect_to(run_dir, "adit.sock", SOCK_STREAM, error);
  int done = events->fd < 0 ? -events->fd : make_room(events);
  if (done == 0) done = send_call(events->fd, after, error);
  if (done == 0) done = read_position(events, after, missed, error);
  if (done == 0)
    *out = events;
  else
    adit_events_close(events);
  return done;
}

int adit_events_fd(const adit_events_t* events) {
  return events->fd;
}

static uint32_t severity_of(const char* name) {
  if (name != NULL && strcmp(name, "info") == 0) return ADIT_EVENT_INFO;
  return name != NULL && strcmp(name, "warning") == 0 ? ADIT_EVENT_WARNING : ADIT_EVENT_ALERT;
}

/* Numbers first: decoding a string takes its text away. */
static int read_event(adit_event_t* out, struct json event) {
  struct json severity, kind, subject, text;
  memset(out, 0, sizeof *out);
  if (!number_in(event, "sequence", &out->sequence) || !number_in(event, "time", &out->time) ||
      !json_member(event, "severity", &severity) || !json_member(event, "kind", &kind) ||
      !json_member(event, "subject", &subject) || !json_member(event, "text", &text))
    return 0;
  out->severity = severity_of(json_string(severity));
  out->kind = json_string(kind);
  out->subject = json_string(subject);
  out->text = json_string(text);
  return out->kind != NULL && out->subject != NULL && out->text != NULL;
}

int adit_events_next(adit_events_t* events, adit_event_t* out, int timeout_ms, adit_error_t* error) {
  const int64_t deadline = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
  for (;;) {
    struct json parameters = {NULL, NULL}, event;
    const int done = next_parameters(events, &parameters, deadline, error);
    if (done != 0) return done;
    if (!json_member(parameters, "event", &event)) continue; /* what a later daemon says besides */
    if (!read_event(out, event)) return failed(error, EPROTO, 0, "aditd sent what is no event");
    events->position.sequence = out->sequence;
    return 0;
  }
}

void adit_events_position(const adit_events_t* events, adit_position_t* out) {
  *out = events->position;
}

void adit_events_close(adit_events_t* events) {
  if (events == NULL) return;
  if (events->fd >= 0) close(events->fd);
  free(events->bytes);
  free(events);
}
