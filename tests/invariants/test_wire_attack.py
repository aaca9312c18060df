"""A peer who has the keys, and a stranger, on the wire: whatever they send is let in by the policy or has a reason, and harms nobody."""
import json
import subprocess
import time

import guide
from breaking import status
from lab import CANARY, Capture, describe

SPI = 0x3003      # of the attacker's own: the good peer's numbers stay his
PROLOGUE = f"""
import hashlib, hmac, logging, random, socket, struct, sys, time
logging.getLogger('scapy.runtime').setLevel(logging.ERROR)
from scapy.all import *
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
ENCR, AUTH = bytes.fromhex('{guide.KEYS['bob-to-alice'][0]}'), bytes.fromhex('{(guide.KEYS['bob-to-alice'][1] * 2)[:128]}')
C = b'adit-canary-' * 4
rng = random.Random(7)
wire = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
last = 0
def put(packet):
    packet = bytes(packet)
    wire.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
def seal(inner, nh=None, seq=None, pad=None):
    global last
    inner = bytes(inner)
    if seq is None: last = seq = last + 1
    if nh is None: nh = 41 if inner and inner[0] >> 4 == 6 else 4
    if pad is None: pad = bytes(range(1, -(len(inner) + 2) % 16 + 1))
    iv = rng.randbytes(16)
    engine = Cipher(algorithms.AES(ENCR), modes.CBC(iv)).encryptor()
    body = struct.pack('!II', {SPI}, seq) + iv + engine.update(inner + pad + bytes([len(pad), nh])) + engine.finalize()
    return body + hmac.new(AUTH, body, hashlib.sha512).digest()[:32]
def outer(body, proto=50, src='5.6.7.8', dst='1.2.3.4', **more): return bytes(IP(src=src, dst=dst, proto=proto, **more) / body)
def say(inner, **more): put(outer(seal(inner, **more)))
def u4(src='10.0.1.2', dst='10.0.0.2', load=C, **more): return IP(src=src, dst=dst, **more) / UDP(sport=1, dport=9) / load
def u6(src='2001:470:24:c67::2', dst='2001:470:24:c66::2', load=C, **more): return IPv6(src=src, dst=dst, **more) / UDP(sport=1, dport=9) / load
"""
COUNTER = "table inet attack { counter n { }; chain c { type filter hook input priority 500; iifname net0 meta l4proto { 4, 41, 50, 51 } counter name n; }; }"


def attacked(world):
    encr, auth = guide.KEYS["bob-to-alice"]
    world.alice.adit("ipseckey -f -", input=f"add esp spi {SPI:#x} src 5.6.7.8 dst 1.2.3.4 encr_alg aes encrkey {encr} "
                     f"auth_alg sha512 authkey {(auth * 2)[:128]}\n")
    world.alice.sh("nft -f -", input=COUNTER)
    return world


def sums(host):
    """What came by the wire; what was let in; what was dropped, by reason."""
    answer = json.loads(host.sh("nft -j list counter inet attack n").stdout)
    came = next(entry["counter"]["packets"] for entry in answer["nftables"] if "counter" in entry)
    statistics = json.loads(host.adit("adit netstat -s --json").stdout)
    let_in = sum(row["ipackets"] for row in statistics["links"] if row["name"] == host.tunnel)
    return came, let_in, {drop["reason"]: drop["in"] for drop in statistics["drops"]}


def agreeing(host, before):
    """The sums, once what came is what was let in and what was dropped: a packet of the tunnel's own may come between two readings."""
    for _ in range(20):
        after = sums(host)
        came, let_in = after[0] - before[0], after[1] - before[1]
        dropped = {reason: after[2][reason] - before[2][reason] for reason in after[2] if after[2][reason] != before[2][reason]}
        if came == let_in + sum(dropped.values()):
            return came, let_in, dropped
        time.sleep(0.2)
    raise AssertionError((came, let_in, dropped))


def attack(world, script, settle=1.0, beside=None):
    """(came, let in, drops by reason, what reached the private side). The daemon lives, the sums agree, the good peer is served.
    `beside`: pings of alice-host that run meanwhile, all of which must be answered."""
    before = sums(world.alice)
    good = beside and world.alice_host.popen(f"ping -n -q -c {beside} -i 0.02 -W 2 10.0.1.2", stdout=subprocess.PIPE, text=True)
    capture = Capture(world.alice, ("net1",), snaplen=2000)
    done = subprocess.run(world.transit.argv(["/usr/bin/python3", "-c", PROLOGUE + script]), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert good is None or f" {beside} received" in good.communicate(timeout=60)[0]
    time.sleep(settle)
    came, let_in, dropped = agreeing(world.alice, before)
    arrived = [packet for packet in capture.stop() if CANARY in packet and describe(packet)[2] in ("10.0.0.2", "2001:470:24:c66::2")]
    assert world.alice.daemon.poll() is None and world.alice.guardian_pid()
    assert world.bob_host.ping("10.0.0.2", count=5) == 5 and world.alice_host.ping("10.0.1.2", count=5) == 5
    return came, let_in, dropped, arrived


def test_every_malformed_packet_has_a_reason(up):
    """ESP and AH of every length and with every bit turned; every next header, every pad length."""
    came, let_in, dropped, arrived = attack(attacked(up), """
good = seal(u4())
for n in range(len(good)): put(outer(good[:n])); put(outer(good[:n], proto=51))
for i in range(len(good) * 8): flipped = bytearray(good); flipped[i // 8] ^= 1 << i % 8; put(outer(flipped))
for nh in range(256): say(u4(), nh=nh)
for n in range(256): say(u4(load=C + bytes(-(28 + len(C) + n + 2) % 16)), pad=bytes((i + 1) & 255 for i in range(n)))
for k in range(1, 28): say(bytes(u4())[:k])
""")
    assert came > 1700 and dropped["bad_icv"] > 900 and dropped["nested_protocol"] > 250 and dropped["dummy"] == 1
    assert let_in >= len(arrived) == 1 + 256           # the pads, and next header 4


def test_a_storm_of_errors_and_of_rubbish_costs_the_good_peer_nothing(up):
    """Spoofed ICMP errors about our own outer packets (each leaves an error in the socket), and forged ESP."""
    came, let_in, dropped, arrived = attack(attacked(up), """
quoted = bytes(IP(src='1.2.3.4', dst='5.6.7.8', proto=50, flags='DF', len=1000) / struct.pack('!II', 0x2001, 7))
forged = [outer(struct.pack('!II', spi, 0x7fffffff) + rng.randbytes(608)) for spi in (0x2002, 0x7777)]
for k in range(200):
    for kind, code in ((3, 0), (3, 1), (3, 2), (3, 3), (3, 13), (4, 0), (5, 1), (11, 0), (12, 0)):
        put(IP(src='1.2.3.1', dst='1.2.3.4') / ICMP(type=kind, code=code) / quoted)
    for packet in forged: put(packet)
    time.sleep(0.01)
""", beside=150)
    assert let_in >= 150 and dropped == {"bad_icv": 200, "unknown_spi": 200}
    # None of it is put down to the peer as proved.
    row = next(row for row in status(up.alice)["tunnels"] if row["name"] == up.alice.tunnel)
    assert row["state"] == "up" and (row["why_down"] == "" or "forges" in row["why_down"]), row


PORTS = "".join("{{tunnel {tunnel} negotiate tunnel ulp %s}} ipsec {{encr_algs aes encr_auth_algs sha512 sa shared}}\n" % what
                for what in ("udp {side} 9", "icmp"))


def test_hostile_fragments_under_a_rule_with_ports(up):
    """None shows a forbidden port past the rule; a flood that fills the places ends, and good fragments come after it."""
    for host, side in ((up.alice, "lport"), (up.bob, "rport")):
        host.write("/etc/inet/ipsecinit.conf", PORTS.format(tunnel=host.tunnel, side=side))
        host.adit("svcadm refresh ipsec/policy")
    came, let_in, dropped, arrived = attack(attacked(up), """
def piece(i, at, data, more): say(IP(src='10.0.1.2', dst='10.0.0.2', proto=17, id=i, frag=at // 8, flags=1 if more else 0) / data)
def head(port, length=1008): return struct.pack('!HHHH', 1, port, length, 0)
piece(1, 0, head(10) + C, True); piece(1, 56, C, False)                                        # forbidden
piece(2, 0, head(9) + C, True); piece(2, 0, head(10) + C, True); piece(2, 56, C, False)        # overlapped by a forbidden one
piece(3, 56, C, False); piece(3, 0, head(10) + C, True)                                        # the last one first
piece(4, 65528, C, False); piece(4, 0, head(9) + C, True)                                      # past 65,535
for at in range(0, 8 * 140, 8): piece(5, at, head(9) if at == 0 else bytes(8), True)           # too many
for i in range(300): piece(1000 + i, 0, head(9) + C * 20, True)                                # never whole
for i in range(10): piece(9000 + i, 0, head(9) + C, True); piece(9000 + i, 56, C, False)
""", settle=7)
    assert len(arrived) == 20 and all(packet[6:8] != b"\x20\x00" or packet[22:24] == b"\x00\x09" for packet in arrived)
    assert dropped["no_inbound_rule"] >= 4 and dropped["reassembly_overlap"] >= 2 and dropped["reassembly_limit"] > 200, dropped
