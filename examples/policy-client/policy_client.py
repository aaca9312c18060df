#!/usr/bin/env python3
"""The same client as policy_client.c without libadit: PF_POLICY and the event stream over plain sockets, with nothing but the
standard library. pf_policy(4) says every byte; this is a program's worth of them.

    policy_client.py apply NAMESPACE TUNNEL SECONDS NETWORK...
    policy_client.py confirm|undo|list NAMESPACE
    policy_client.py lookup TUNNEL in|out LOCAL REMOTE PROTOCOL LOCAL-PORT REMOTE-PORT
    policy_client.py watch COUNT [INSTANCE:SEQUENCE]
"""
import errno
import ipaddress
import json
import os
import socket
import struct
import sys

ADDRULE, FLIP, LOOKUP, DUMP = 2, 4, 5, 6
ACTIVE, STANDBY = 0, 1
LCLPORT, REMPORT, PROTO, LCLADDR, REMADDR, ACTION, RULE, RULESET, TUN_NAME, NAMESPACE, ORIGIN, DIAGNOSTIC, TRANSACTION = \
    1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14
IN, OUT, TUNNEL = 1, 2, 4
EMPTY, NEXT, END, TYPE, FLAGS, ESP_ENCR, ENCR_MINBITS, ENCR_MAXBITS = 2, 3, 1, 0x100, 0x101, 0x103, 0x105, 0x106
DROP, PASS, IPSEC = 1, 2, 3
ESP, AES_GCM16 = 2, 20
CONFIRM, UNDO = 2, 4
ALL = 1


class Refused(Exception):
    def __init__(self, code, diagnostic, text):
        super().__init__(f"{text or os.strerror(code)} (errno {code}, diagnostic {diagnostic})")
        self.code = code


def extension(kind, body):
    """Length in 64-bit words, type, body, padding."""
    body += bytes(-(4 + len(body)) % 8)
    return struct.pack("=HH", (4 + len(body)) // 8, kind) + body


def text_extension(kind, text, number=None):
    return extension(kind, (b"" if number is None else struct.pack("=I", number)) + text.encode() + b"\0")


def prefix_extension(kind, text):
    network = ipaddress.ip_network(text, strict=False)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    return extension(kind, struct.pack("=BBH", family, network.prefixlen, 0) + network.network_address.packed)


def actions_extension(*actions):
    """Each a list of (tag, value); EMPTY before it, NEXT behind it, END behind the last."""
    pairs = []
    for at, attributes in enumerate(actions):
        pairs += [(EMPTY, 0), *attributes, (END if at + 1 == len(actions) else NEXT, 0)]
    return extension(ACTION, struct.pack("=HH", len(actions), 0) + b"".join(struct.pack("=II", *pair) for pair in pairs))


def read_extensions(message):
    found, at = {}, 16
    while at < len(message):
        words, kind = struct.unpack_from("=HH", message, at)
        found[kind] = message[at:at + words * 8]
        at += words * 8
    return found


def text_at(bytes_, at):
    return bytes_[at:].split(b"\0")[0].decode()


class Policy:
    """One connection; its drafts live as long as it."""

    def __init__(self, name_space):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(os.path.join(os.environ.get("ADIT_RUNDIR", "/run/adit"), "pf_policy.sock"))
        self.name_space, self.sequence = name_space, 0

    def send(self, command, spdid, *extensions, flags=0):
        self.sequence += 1
        body = b"".join(extensions) + text_extension(NAMESPACE, self.name_space, flags) + text_extension(DIAGNOSTIC, "", 0)
        self.socket.send(struct.pack("=BBBBHHII", 1, command, 0, spdid, (16 + len(body)) // 8, 0, self.sequence, os.getpid()) + body)

    def receive(self):
        message = self.socket.recv(131072)
        if not message:
            raise Refused(errno.EPIPE, 0, "aditd closed the connection")
        parts = read_extensions(message)
        if message[2] != 0 and RULESET not in parts:
            raise Refused(message[2], struct.unpack_from("=H", message, 6)[0], text_at(parts[DIAGNOSTIC], 8) if DIAGNOSTIC in parts else "")
        return message[2], parts

    def ask(self, command, spdid, *extensions, flags=0):
        self.send(command, spdid, *extensions, flags=flags)
        return self.receive()[1]

    def dump(self):
        """(the rules of one picture, whether it is still the newest)"""
        self.send(DUMP, ACTIVE, text_extension(TUN_NAME, ""))
        self.receive()                                              # the version
        rules = []
        while True:
            code, parts = self.receive()
            if RULESET in parts:                                    # the trailer
                assert struct.unpack_from("=I", parts[RULESET], 4)[0] == len(rules)
                return rules, code != errno.EAGAIN
            rules.append(parts)


def flip(policy, flags=0, seconds=0):
    parts = policy.ask(FLIP, ACTIVE, text_extension(TUN_NAME, ""),
                       extension(TRANSACTION, struct.pack("=IQII", flags, 0, seconds, 0)))
    return struct.unpack_from("=Q", parts[TRANSACTION], 8)[0]


def apply(name_space, tunnel, seconds, *networks):
    """A draft begins empty: what is flipped in is this and nothing else."""
    while True:
        policy = Policy(name_space)
        for place, network in enumerate(networks):
            policy.ask(ADDRULE, STANDBY, extension(RULE, struct.pack("=IIIQ", 0x4fffff - place, IN | OUT | TUNNEL, 0, 0)),
                       text_extension(TUN_NAME, tunnel), prefix_extension(REMADDR, network),
                       text_extension(ORIGIN, "policy_client.py", place + 1),
                       actions_extension([(TYPE, IPSEC), (FLAGS, ESP), (ESP_ENCR, AES_GCM16), (ENCR_MINBITS, 256), (ENCR_MAXBITS, 256)]))
        try:
            print("in force as generation", flip(policy, seconds=int(seconds)))
            return
        except Refused as refused:
            if refused.code != errno.EAGAIN:                        # somebody was faster: again
                raise


def printed(parts):
    priority, flags, _, index = struct.unpack_from("=IIIQ", parts[RULE], 4)
    text = f"{text_at(parts[TUN_NAME], 4) if TUN_NAME in parts else 'host'},{index} dir {'out' if flags & OUT else 'in'}"
    for kind, name in ((LCLADDR, "laddr"), (REMADDR, "raddr")):
        if kind in parts:
            family, length = parts[kind][4], parts[kind][5]
            text += f" {name} {socket.inet_ntop(family, parts[kind][8:12 if family == socket.AF_INET else 24])}/{length}"
    actions, current = [], {}
    for at in range(8, len(parts[ACTION]), 8):
        tag, value = struct.unpack_from("=II", parts[ACTION], at)
        if tag in (NEXT, END):
            encr = f" encr {current[ESP_ENCR]}({current[ENCR_MINBITS]}..{current[ENCR_MAXBITS]})" if ESP_ENCR in current else ""
            actions.append({DROP: "drop", PASS: "pass", IPSEC: "ipsec"}[current[TYPE]] + encr)
            current = {}
        elif tag != EMPTY:
            current[tag] = value
    return f"{text} {' or '.join(actions)} namespace {text_at(parts[NAMESPACE], 8)}"


def list_rules(name_space):
    rules, newest = Policy(name_space).dump()
    for rule in rules:
        print(printed(rule))
    if not newest:
        print("policy_client.py: the rules have changed meanwhile", file=sys.stderr)


def lookup(tunnel, direction, local, remote, protocol, local_port, remote_port):
    def port(kind, number):
        return extension(kind, struct.pack("!HH", int(number), int(number)))
    print(printed(Policy("").ask(
        LOOKUP, ACTIVE, extension(RULE, struct.pack("=IIIQ", 0, IN if direction == "in" else OUT, 0, 0)), text_extension(TUN_NAME, tunnel),
        prefix_extension(LCLADDR, local), prefix_extension(REMADDR, remote), extension(PROTO, bytes([int(protocol)])),
        port(LCLPORT, local_port), port(REMPORT, remote_port), flags=ALL)))


def messages(stream):
    """varlink: JSON, a NUL byte behind each."""
    held = b""
    while True:
        while b"\0" in held:
            one, held = held.split(b"\0", 1)
            yield json.loads(one)
        more = stream.recv(65536)
        if not more:
            raise Refused(errno.EPIPE, 0, "aditd closed the connection")
        held += more


def watch(count, position=None):
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(os.path.join(os.environ.get("ADIT_RUNDIR", "/run/adit"), "adit.sock"))
    parameters = {}
    if position:
        instance, sequence = position.split(":")
        parameters = {"instance": instance, "after": int(sequence)}
    stream.sendall(json.dumps({"method": "io.adit.events.Monitor", "more": True, "parameters": parameters}).encode() + b"\0")
    answers = messages(stream)
    begun = next(answers)["parameters"]
    last = parameters.get("after", begun["sequence"])
    print("watching")
    if begun["restarted"]:
        print("aditd was restarted")
    if begun["missed"]:
        print("missed", begun["missed"])
    sys.stdout.flush()
    left = int(count)
    while left > 0:
        event = next(answers)["parameters"].get("event")
        if event is None:                                           # what a later daemon says besides
            continue
        print(f"{event['sequence']} {event['kind']} {event['subject']}: {event['text']}", flush=True)
        last, left = event["sequence"], left - 1
    print(f"go on from {begun['instance']}:{last}")


COMMANDS = {"apply": apply, "list": list_rules, "lookup": lookup, "watch": watch,
            "confirm": lambda name_space: flip(Policy(name_space), CONFIRM), "undo": lambda name_space: flip(Policy(name_space), UNDO)}


def main(words):
    if len(words) < 2 or words[0] not in COMMANDS:
        sys.exit(__doc__)
    try:
        COMMANDS[words[0]](*words[1:])
    except (Refused, OSError) as why:
        sys.exit(f"policy_client.py: {why}")


if __name__ == "__main__":
    main(sys.argv[1:])
