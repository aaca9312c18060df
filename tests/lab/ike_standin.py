"""Stands in for in.iked: takes the sockets of IKE from aditd, as src/ike/door/handover.h has it, and speaks no IKE.

    KeyManager(host)     starts one in a host's network; `main()` below is what runs there
"""
import array
import collections
import json
import select
import socket
import struct
import subprocess
import sys
import time

REFUSED, UDP500_V4, UDP500_V6, PAIR = range(4)
HEADER = struct.Struct("!BBH16s16s")           # src/ike/door/frame.h
NAMES = {UDP500_V4: "500v4", UDP500_V6: "500v6", PAIR: "pair"}


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def frame(local, peer, port, message):
    return HEADER.pack(1, 6 if ":" in peer else 4, port, packed(local), packed(peer)) + message


def unframe(data):
    """(local, peer, port, message)"""
    version, family, port, local, peer = HEADER.unpack_from(data)
    assert version == 1 and family in (4, 6), data[:4]
    size, kind = (4, socket.AF_INET) if family == 4 else (16, socket.AF_INET6)
    assert not any(local[size:]) and not any(peer[size:])
    return socket.inet_ntop(kind, local[:size]), socket.inet_ntop(kind, peer[:size]), port, data[HEADER.size:]


def message(number, size=120):
    """As long as an IKE header at least, and with a number to know it by."""
    return b"IKEINITI" + b"\0" * 8 + struct.pack("!BBBBIII", 33, 0x20, 34, 8, 0, size, number) + b"k" * (size - 32)


def number_of(data):
    assert data[:8] == b"IKEINITI", f"not one of ours: {data[:16].hex()}"
    return struct.unpack_from("!I", data, 28)[0]


class KeyManager:
    """From the test's side. `handed`: the names of what it got; `refused`: the errno, or None."""

    def __init__(self, host, expect=3, user=None):
        command = ["/usr/bin/python3", "-E", __file__, host.run_dir / "ike.sock"]
        self.process = host.popen(["setpriv", f"--reuid={user}", "--clear-groups", *command] if user else command, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True, bufsize=1)
        self.handed, self.refused = {}, None
        while len(self.handed) < expect and self.refused is None:
            self.take_one()

    def take_one(self):
        """Waits for the next thing that is handed over."""
        told = self.read()
        if "refused" in told:
            self.refused = told["refused"]
        else:
            self.handed[told["handed"]] = told["name"]

    def read(self):
        line = self.process.stdout.readline()
        assert line, f"the stand-in has ended: {self.process.wait()}"
        return json.loads(line)

    def ask(self, **command):
        print(json.dumps(command), file=self.process.stdin, flush=True)
        return self.read()

    def send(self, via, local, peer, numbers, port=4500, size=120, gap=0.0):
        """How many were taken."""
        return self.ask(do="send", via=via, local=local, peer=peer, first=numbers.start, end=numbers.stop, port=port, size=size, gap=gap)["sent"]

    def heard(self):
        """What came, by the socket's name: {number: [local or None, peer, port]}."""
        return {via: {int(number): tuple(whence) for number, whence in came.items()} for via, came in self.ask(do="heard")["heard"].items()}

    def counts(self):
        return self.ask(do="counts")

    def wait_for(self, via, count, seconds=10):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            came = self.heard()[via]
            if len(came) >= count:
                return came
            time.sleep(0.05)
        return self.heard()[via]

    def end(self, how="terminate"):
        getattr(self.process, how)()
        self.process.wait()


class StandIn:
    """What runs in the host's network: one thread, commands as JSON lines on standard input."""

    def __init__(self, path):
        self.door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.door.connect(path)
        self.sockets, self.heard, self.total = {}, collections.defaultdict(dict), collections.Counter()
        self.wrong = 0

    def tell(self, **what):
        print(json.dumps(what), flush=True)

    def take_over(self):
        room = array.array("i", [0])
        data, controls, _, _ = self.door.recvmsg(16, socket.CMSG_SPACE(room.itemsize))
        if not data:
            self.tell(ended=True)
            sys.exit(3)
        version, what, error = struct.unpack("!BBH", data)
        assert version == 1
        if what == REFUSED:
            return self.tell(refused=error)
        (level, kind, fd), = controls
        assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        room.frombytes(fd)
        made = socket.socket(fileno=room[1])
        made.setblocking(False)
        self.sockets[NAMES[what]] = made
        name = made.getsockname()
        self.tell(handed=NAMES[what], name=[made.family, made.type, name[1] if isinstance(name, tuple) else 0])

    def receive(self, via):
        """All that is there."""
        for _ in range(256):
            try:
                if via == "pair":
                    data = self.sockets[via].recv(70000)
                    if not data:
                        self.sockets.pop(via).close()
                        return
                    local, peer, port, data = unframe(data)
                else:
                    data, name = self.sockets[via].recvfrom(70000)
                    local, (peer, port) = None, name[:2]
            except BlockingIOError:
                return
            self.total[via] += 1
            try:
                self.heard[via][number_of(data)] = (local, peer, port)
            except (AssertionError, struct.error):
                self.wrong += 1

    def send(self, via, local, peer, first, end, port, size, gap):
        sent = 0
        for number in range(first, end):
            data = message(number, size)
            try:
                if via == "pair":
                    self.sockets[via].setblocking(True)
                    self.sockets[via].send(frame(local, peer, port, data))
                    self.sockets[via].setblocking(False)
                else:
                    self.sockets[via].sendto(data, (peer, port))
                sent += 1
            except OSError:
                pass
            if gap:
                time.sleep(gap)
        self.tell(sent=sent)

    def obey(self, command):
        what = command.pop("do")
        if what == "send":
            self.send(**command)
        elif what == "heard":
            self.tell(heard={via: self.heard[via] for via in NAMES.values()})
        elif what == "counts":
            self.tell(total={via: self.total[via] for via in NAMES.values()}, wrong=self.wrong)
        elif what == "close":
            self.sockets.pop(command["via"]).close()
            self.tell(closed=True)

    def run(self):
        commands = sys.stdin.fileno()
        while True:
            waited = {self.door.fileno(): self.take_over, **{one.fileno(): None for one in self.sockets.values()}}
            ready, _, _ = select.select([*waited, commands], [], [])
            for via, one in list(self.sockets.items()):
                if one.fileno() in ready:
                    self.receive(via)
            if commands in ready:
                line = sys.stdin.readline()
                if not line:
                    return
                self.obey(json.loads(line))
            if self.door.fileno() in ready:
                self.take_over()


if __name__ == "__main__":
    StandIn(sys.argv[1]).run()
