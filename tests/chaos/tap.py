"""What gets out: every packet that the transit router receives, on whatever device, looked at as it comes."""
import json
import subprocess

PROGRAM = r"""
import json, select, socket, struct, sys
SOL_PACKET, STATISTICS, OUTGOING = 263, 6, 4
tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
tap.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
tap.setblocking(False)
readable, samples, protected, lost = {}, [], 0, 0

def readable_kind(packet):
    at = packet.find(b'adit-canary-')
    if at >= 0:
        return packet[at + 12:at + 32].decode(errors='replace').strip()
    if packet[0] >> 4 == 4:
        ours = packet[12:15] == b'\x0a\0\1' or packet[16:19] == b'\x0a\0\1' or packet[12:15] == b'\x0a\0\0' or packet[16:19] == b'\x0a\0\0'
        return 'address' if ours and packet[9] not in (2, 50, 51) else None          # IGMP stays on its link
    prefix = bytes.fromhex('2001047000240c')
    ours = packet[8:15] == prefix or packet[24:31] == prefix
    link_only = packet[24] == 0xff or packet[7] == 255                               # ND, MLD
    return 'address' if ours and not link_only else None

def look():
    global protected
    while True:
        try:
            packet, (device, kind, direction, *_) = tap.recvfrom(400)
        except BlockingIOError:
            return
        if direction == OUTGOING or len(packet) < 40 or kind not in (0x800, 0x86dd):
            continue
        found = readable_kind(packet)
        if found:
            readable[found] = readable.get(found, 0) + 1
            if len(samples) < 20:
                samples.append(f'{found} on {device}: {packet[:80].hex()}')
        elif packet[9] in (50, 51) or (packet[9] == 17 and b'\x11\x94' in packet[20:24]):
            protected += 1

print('ready', flush=True)
while True:
    ready = select.select([tap, sys.stdin], [], [])[0]
    look()
    if sys.stdin not in ready:
        continue
    if not sys.stdin.readline():
        break
    look()
    lost += struct.unpack('II', tap.getsockopt(SOL_PACKET, STATISTICS, 8))[1]
    print(json.dumps([readable, protected, lost, samples]), flush=True)
    samples.clear()
"""


class Tap:
    def __init__(self, transit):
        self.process = transit.popen(["/usr/bin/python3", "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        assert self.process.stdout.readline() == "ready\n", "the tap did not start"

    def look(self):
        """({kind: readable packets so far}, protected so far, first samples since the last look). A tap that lost packets proves nothing."""
        self.process.stdin.write("count\n")
        readable, protected, lost, samples = json.loads(self.process.stdout.readline())
        assert lost == 0, f"the tap lost {lost} packets"
        return readable, protected, samples
