"""What tries to get out: a steady stream of every kind of packet, each naming its kind, and a count of the tries.

The sockets on alice are those of an ordinary user (nobody) with CAP_NET_RAW, which is what SO_MARK asks for."""
import json
import subprocess

KINDS = {                    # kind -> (host, address, way)
    "forwarded4": ("alice_host", "10.0.1.2", "plain"),
    "forwarded6": ("alice_host", "2001:470:24:c67::2", "plain"),
    "nested4": ("alice_host", "10.0.1.130", "plain"),
    "local4": ("alice", "10.0.1.2", "plain"),
    "local6": ("alice", "2001:470:24:c67::2", "plain"),
    "bound4": ("alice", "10.0.1.2", "device"),
    "bound6": ("alice", "2001:470:24:c67::2", "device"),
    "pktinfo4": ("alice", "10.0.1.2", "pktinfo"),
    "pktinfo6": ("alice", "2001:470:24:c67::2", "pktinfo"),
    "multicast4": ("alice", "239.1.2.3", "multicast"),
    "multicast6": ("alice", "ff05::1:77", "multicast"),
    "marked4": ("alice", "10.0.1.2", "mark"),
    "marked6": ("alice", "2001:470:24:c67::2", "mark"),
}
EVERYWHERE = {               # where all is guarded
    "internet4": ("alice_host", "198.51.100.9", "plain"),
    "internet4-local": ("alice", "198.51.100.9", "plain"),
    "internet4-bound": ("alice", "198.51.100.9", "device"),
    "internet4-marked": ("alice", "198.51.100.9", "mark"),
}
MARK = 0xad17
PORT = 4000

PROGRAM = r"""
import json, os, select, socket, struct, sys, time
kinds, mark, port, gap = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
tried = dict.fromkeys(kinds, 0)
refused = dict.fromkeys(kinds, 0)

def index():
    try:
        return socket.if_nametoindex('net0')
    except OSError:
        raise OSError(19, 'net0 bears another name, or is gone')

def prepared(address, way):
    six = ':' in address
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    s.setblocking(False)
    if way == 'device':
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'net0')
    if way == 'mark':
        s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    if way == 'multicast' and six:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index())
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 8)
    if way == 'multicast' and not six:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack('=4s4si', bytes(4), bytes(4), index()))
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 8)
    return s

def send(s, payload, address, way):
    if way != 'pktinfo':
        return s.sendto(payload, (address, port))
    if ':' in address:
        told = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, struct.pack('=16si', bytes(16), index()))
    else:
        told = (socket.IPPROTO_IP, 8, struct.pack('=i4s4s', index(), bytes(4), bytes(4)))
    return s.sendmsg([payload], [told], 0, (address, port))

sockets = {}
print('ready', flush=True)
while True:
    for kind, (_, address, way) in kinds.items():
        tried[kind] += 1
        try:
            if kind not in sockets:
                sockets[kind] = prepared(address, way)
            send(sockets[kind], b'adit-canary-' + kind.encode().ljust(20) + b'.' * 40, address, way)
        except BlockingIOError:
            pass
        except OSError as error:
            refused[kind] += 1
            if error.errno in (6, 19):        # the device went: another socket, bound to the next of that name
                sockets.pop(kind, None)
    if select.select([sys.stdin], [], [], gap)[0]:
        if not sys.stdin.readline():
            break
        print(json.dumps([tried, refused]), flush=True)
"""


# Takes what arrives, and answers nothing.
SINK = r"""
import select, socket, sys
takes = [socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6)]
takes[1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
for one, any in zip(takes, ('0.0.0.0', '::')):
    one.bind((any, int(sys.argv[1])))
print('ready', flush=True)
while True:
    for one in select.select(takes, [], [])[0]:
        one.recv(2000)
"""


class Senders:
    def __init__(self, world, kinds, gap=0.006):
        self.kinds, self.processes = kinds, []
        for name, as_user in (("alice_host", []), ("alice", ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all,+net_raw",
                                                             "--ambient-caps=-all,+net_raw"])):
            mine = {kind: what for kind, what in kinds.items() if what[0] == name}
            process = getattr(world, name).popen([*as_user, "/usr/bin/python3", "-c", PROGRAM, json.dumps(mine), MARK, PORT, gap],
                                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
            assert process.stdout.readline() == "ready\n", f"the senders of {name} did not start"
            self.processes.append(process)

    def counts(self):
        """kind -> packets that tried so far"""
        found = {}
        for process in self.processes:
            process.stdin.write("count\n")
        for process in self.processes:
            found.update(json.loads(process.stdout.readline())[0])
        return found

    def stop(self):
        for process in self.processes:
            process.stdin.close()
            process.wait(timeout=20)
