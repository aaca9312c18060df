"""PF_POLICY and PF_KEY from Python, as a service would speak them: one socket each, as the user that is named.

Numbers and layouts are those of include/adit/pfpolicy.h and pfkeyv2.h. Standard library only.
"""
import contextlib
import os
import socket
import struct

ALL = object()                                   # every policy head
NOBODY = 65534

FLUSH, ADDRULE, DELETERULE, FLIP, LOOKUP, DUMP, CLONE, ALGLIST, DUMPALGS, UPDATEALGS = range(1, 11)
GETSPI, UPDATE, ADD, DELETE, GET, ACQUIRE, REGISTER, EXPIRE, KFLUSH, KDUMP, PROMISC, INVERSE = range(1, 13)
ACTIVE, STANDBY = 0, 1
IN, OUT, TUNNEL = 1, 2, 4
GCM_256 = ((2, 0), (0x100, 3), (0x101, 2), (0x103, 20), (0x105, 256), (0x106, 256), (1, 0))
DROP = ((2, 0), (0x100, 1), (0x101, 0), (1, 0))
BYPASS = ((2, 0), (0x100, 2), (0x101, 0x20), (1, 0))


@contextlib.contextmanager
def as_user(uid):
    """What is connected inside carries these credentials: the kernel notes them at connect()."""
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def words(body):
    return body + bytes(-len(body) % 8)


class Refused(Exception):
    def __init__(self, code, diagnostic, text):
        super().__init__(f"errno {code} diagnostic {diagnostic}: {text}")
        self.code, self.diagnostic, self.text = code, diagnostic, text


class Client:
    socket_name = None

    def __init__(self, host, namespace="", uid=0, flags=0):
        self.namespace, self.flags, self.seq = namespace, flags, 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(10)
        with as_user(uid):
            self.socket.connect(str(host.run_dir / self.socket_name))

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Policy(Client):
    socket_name = "pf_policy.sock"

    @staticmethod
    def ext(kind, body):
        body = words(bytes(4) + body)
        return struct.pack("=HH", len(body) // 8, kind) + body[4:]

    def send(self, command, spdid, *extensions):
        self.seq += 1
        body = b"".join(extensions) + self.ext(13, bytes(5))
        if self.namespace or self.flags:
            body += self.ext(11, struct.pack("=I", self.flags) + self.namespace.encode() + b"\0")
        self.socket.send(struct.pack("=BBBBHHII", 1, command, 0, spdid, (16 + len(body)) // 8, 0, self.seq, os.getpid()) + body)

    def receive(self):
        """(errno, diagnostic, {extension: body})"""
        answer = self.socket.recv(1 << 19)
        found, at = {}, 16
        while at < len(answer):
            length, kind = struct.unpack_from("=HH", answer, at)
            found[kind] = answer[at + 4:at + 8 * length]
            at += 8 * length
        return answer[2], struct.unpack_from("=H", answer, 6)[0], found

    def ask(self, command, spdid, *extensions):
        self.send(command, spdid, *extensions)
        code, diagnostic, found = self.receive()
        if code:
            raise Refused(code, diagnostic, found.get(13, b"")[4:].split(b"\0")[0].decode())
        return found

    def head(self, name):
        return b"" if name == "" else self.ext(10, b"\0" if name is ALL else name.encode() + b"\0")

    def action(self, attributes):
        return self.ext(6, struct.pack("=HH", 1, 0) + b"".join(struct.pack("=II", *one) for one in attributes))

    def selectors(self, remote=None, local=None, remote_port=None, protocol=None):
        made = b""
        for kind, network in ((4, local), (5, remote)):
            if network:
                address, _, length = network.partition("/")
                made += self.ext(kind, struct.pack("=BBH", socket.AF_INET, int(length or 32), 0) + socket.inet_aton(address))
        if protocol:
            made += self.ext(3, struct.pack("=Bxxx", protocol))
        if remote_port:
            made += self.ext(2, struct.pack("!HH", remote_port, 0))
        return made

    def add(self, head, action=GCM_256, spdid=ACTIVE, priority=0x4fffff, **selectors):
        flags = IN | OUT | (TUNNEL if head else 0)
        rule = self.ext(7, struct.pack("=IIIQ", priority, flags, 0, 0))
        found = self.ask(ADDRULE, spdid, rule, self.head(head), self.selectors(**selectors), self.action(action))
        return struct.unpack_from("=Q", found[7], 12)[0]

    def delete(self, head, index):
        return self.ask(DELETERULE, ACTIVE, self.ext(7, struct.pack("=IIIQ", 0, 0, 0, index)), self.head(head))

    def flush(self, head=ALL, spdid=ACTIVE):
        return self.ask(FLUSH, spdid, self.head(head))

    def clone(self, head=ALL):
        return self.ask(CLONE, ACTIVE, self.head(head))

    def flip(self, head=ALL):
        return self.ask(FLIP, ACTIVE, self.head(head))

    def lookup(self, head, source, destination):
        rule = self.ext(7, struct.pack("=IIIQ", 0, OUT, 0, 0))
        return self.ask(LOOKUP, ACTIVE, rule, self.head(head), self.selectors(remote=destination, local=source))

    def dump(self, head=ALL):
        """[(tunnel, namespace, index)]; starts again while the rules change."""
        while True:
            self.ask(DUMP, ACTIVE, self.head(head))
            rules = []
            while True:
                code, _, found = self.receive()
                if 8 in found:
                    break
                tunnel = found.get(10, b"\0").split(b"\0")[0].decode()
                space = found.get(11, bytes(5))[4:].split(b"\0")[0].decode()
                rules.append((tunnel, space, struct.unpack_from("=Q", found[7], 12)[0]))
            if code == 0:
                return rules


class Keys(Client):
    socket_name = "pf_key.sock"

    ext = staticmethod(Policy.ext)

    def send(self, kind, satype, *extensions, error=0):
        self.seq += 1
        body = b"".join(extensions) + self.ext(202, bytes(5))
        if self.namespace or self.flags:
            body += self.ext(200, struct.pack("=HH", self.flags, 0) + self.namespace.encode() + b"\0")
        self.socket.send(struct.pack("=BBBBHHII", 2, kind, error, satype, (16 + len(body)) // 8, 0, self.seq, os.getpid()) + body)

    def receive(self):
        """(type, errno, diagnostic, seq, {extension: body})"""
        answer = self.socket.recv(1 << 19)
        found, at = {}, 16
        while at < len(answer):
            length, kind = struct.unpack_from("=HH", answer, at)
            found[kind] = answer[at + 4:at + 8 * length]
            at += 8 * length
        return answer[1], answer[2], *struct.unpack_from("=HI", answer, 6), found

    def ask(self, kind, satype=3, *extensions, error=0):
        self.send(kind, satype, *extensions, error=error)
        while True:
            got, code, diagnostic, seq, found = self.receive()
            if (got, seq) != (kind, self.seq):
                continue                          # what others do
            if code and code != error:
                raise Refused(code, diagnostic, found.get(202, b"")[4:].split(b"\0")[0].decode())
            return found

    def address(self, kind, text):
        return self.ext(kind, struct.pack("=BBH", 0, 0, 0) + struct.pack("=HH", socket.AF_INET, 0) + socket.inet_aton(text) + bytes(8))

    def sa(self, spi, encr=20):
        return self.ext(1, struct.pack("!I", spi) + struct.pack("=BBBBI", 0, 1, 0, encr, 0))

    def named(self, spi, destination, source=None):
        return self.sa(spi) + (self.address(5, source) if source else b"") + self.address(6, destination)

    def add(self, spi, source, destination, key, kind=ADD):
        """AES-GCM with a 256-bit key; `key` is its 32 bytes and the 4 of the salt. Inner selectors: any."""
        encr = self.ext(9, struct.pack("=HH", 288, 0) + key)
        return self.ask(kind, 3, self.named(spi, destination, source), encr)

    def delete(self, spi, destination):
        return self.ask(DELETE, 3, self.named(spi, destination))

    def get(self, spi, destination):
        return self.ask(GET, 3, self.named(spi, destination))

    def flush(self):
        return self.ask(KFLUSH, 0)

    def dump(self):
        """[(SPI, namespace)]"""
        self.send(KDUMP, 0)
        sas = []
        while True:
            kind, code, diagnostic, seq, found = self.receive()
            if kind != KDUMP:
                continue
            if code:
                raise Refused(code, diagnostic, found.get(202, b"")[4:].split(b"\0")[0].decode())
            if seq == 0:
                return sas
            sas.append((struct.unpack_from("!I", found[1], 0)[0], found.get(200, bytes(5))[4:].split(b"\0")[0].decode()))

    def register(self):
        return self.ask(REGISTER, 3)
