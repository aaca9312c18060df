#!/usr/bin/python3
"""Writes the seeds of the IP, fragment, segment and coalesce targets to corpus/NAME/ (Scapy; run once, the files are kept).

The bytes are the same at every run, so that a changed seed shows as a change."""
import pathlib
import struct

from scapy.all import (AH, ICMP, IP, IPv6, TCP, UDP, ICMPv6PacketTooBig, ICMPv6EchoRequest, IPOption_Router_Alert,
                       IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, Raw, SCTP,
                       fragment, fragment6)

CORPUS = pathlib.Path(__file__).parent / "corpus"
V4 = dict(src="10.0.0.2", dst="10.0.1.2")
V6 = dict(src="2001:db8::2", dst="2001:db8:1::2")
PAYLOAD = bytes(range(256)) * 6
LIMIT = Raw(bytes([17, 0, 4, 1, 3, 1, 1, 0]))            # encapsulation limit 3, then UDP


def write(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(bytes(data))


def ip_headers():
    syn = TCP(sport=40000, dport=80, flags="S", options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None)])
    packets = {
        "v4_tcp_syn": IP(**V4) / syn,
        "v6_tcp_syn": IPv6(**V6) / syn,
        "v4_options_udp": IP(**V4, options=[IPOption_Router_Alert()]) / UDP(sport=1, dport=53) / b"query",
        "v4_fragment_first": fragment(IP(**V4) / UDP() / PAYLOAD, 800)[0],
        "v4_fragment_later": fragment(IP(**V4) / UDP() / PAYLOAD, 800)[1],
        "v4_icmp_error": IP(src="10.0.1.1", dst="10.0.0.2") / ICMP(type=3, code=4, nexthopmtu=1400) / IP(**V4) / TCP(dport=80),
        "v4_sctp": IP(**V4) / SCTP(sport=5, dport=6),
        "v4_large": IP(**V4, flags=0) / UDP(sport=5, dport=6) / PAYLOAD,
        "v4_in_v4": IP(src="1.2.3.4", dst="5.6.7.8") / IP(**V4) / UDP() / b"inner",
        "v6_in_v4_ce": IP(src="1.2.3.4", dst="5.6.7.8", tos=3) / IPv6(**V6, tc=2) / UDP() / b"inner",
        "v6_extensions": IPv6(**V6) / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / IPv6ExtHdrRouting(segleft=0) /
                         IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 4)]) / UDP(sport=1, dport=2) / b"x",
        "v6_ah": IPv6(**V6) / AH(nh=6, spi=1, seq=1, icv=b"\0" * 12) / TCP(dport=80),
        "v6_atomic_fragment": IPv6(**V6) / IPv6ExtHdrFragment(nh=17) / UDP(sport=1, dport=2),
        "v6_encap_limit": IPv6(**V6, nh=60) / LIMIT / UDP(sport=1, dport=2) / b"x",
        "v6_packet_too_big": IPv6(src="2001:db8:1::1", dst="2001:db8::2") / ICMPv6PacketTooBig(mtu=1280) / IPv6(**V6) / UDP(dport=53),
        "v6_echo": IPv6(**V6) / ICMPv6EchoRequest(data=b"ping"),
    }
    for name, packet in packets.items():
        write("ip_headers", name, bytes(packet))


def train(packets, step=None):
    """Each packet behind its length, and for the fragments a step in time."""
    out = b""
    for packet in packets:
        data = bytes(packet)
        out += struct.pack(">H", len(data)) + (b"" if step is None else bytes([step])) + data
    return out


def fragments():
    v4 = fragment(IP(**V4, id=7) / UDP() / PAYLOAD, 600)
    v6 = fragment6(IPv6(**V6) / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / IPv6ExtHdrFragment(id=9) / UDP() / Raw(PAYLOAD), 700)
    write("fragments", "v4_in_order", train(v4, 0))
    write("fragments", "v4_backwards", train(v4[::-1], 1))
    write("fragments", "v4_twice", train(v4[:2] + v4, 0))
    write("fragments", "v6_in_order", train(v6, 0))
    write("fragments", "both_interleaved", train([p for pair in zip(v4, v6) for p in pair], 0))
    over = IP(bytes(v4[1]))
    over.frag -= 1
    del over.chksum
    write("fragments", "v4_overlap", train([v4[0], over, v4[2]], 0))
    tiny = fragment(IP(**V4, id=8) / TCP(dport=80) / b"0123456789", 8)
    write("fragments", "v4_tiny", train(tiny, 0))
    write("fragments", "v4_late", train(v4, 101))


def segment():
    for name, kind, packet, start, offset in (
            ("tcp4", 1, IP(**V4) / TCP(dport=80, flags="PA", seq=2**32 - 700) / PAYLOAD, 20, 16),
            ("tcp6", 2, IPv6(**V6) / TCP(dport=80, flags="FAC") / PAYLOAD, 40, 16),
            ("udp4", 3, IP(**V4) / UDP(dport=80) / PAYLOAD, 20, 6),
            ("udp6", 3, IPv6(**V6) / UDP(dport=80) / PAYLOAD, 40, 6)):
        write("segment", name, struct.pack(">BBHHH", kind | 4, 0, 500, start, offset) + bytes(packet))
    write("segment", "partial_only", struct.pack(">BBHHH", 4, 0, 0, 20, 16) + bytes(IP(**V4) / TCP(dport=80) / b"hello"))


def coalesce():
    def flow(header, port, count, size, last="PA"):
        return [header / TCP(sport=port, dport=80, seq=1000 + size * i, flags="A" if i + 1 < count else last) / Raw(PAYLOAD[i:i + size])
                for i in range(count)]
    a, b = flow(IP(**V4, flags="DF"), 1, 5, 300), flow(IPv6(**V6), 2, 5, 200, "FA")
    write("coalesce", "one_flow", b"\0" + train(a))
    write("coalesce", "two_flows", b"\0" + train([p for pair in zip(a, b) for p in pair]))
    write("coalesce", "trusted", b"\1" + train(a + b))
    write("coalesce", "with_ack_between", b"\0" + train(a[:2] + [IP(**V4) / TCP(sport=1, dport=80, flags="A")] + a[2:]))
    write("coalesce", "udp_train", b"\2" + train([IP(**V4, flags="DF") / UDP(sport=1, dport=2) / Raw(PAYLOAD[i:i + 100]) for i in range(6)]))


if __name__ == "__main__":
    ip_headers()
    fragments()
    segment()
    coalesce()
