#!/usr/bin/python3
"""Writes the seeds of the pf_key and ipseckey targets to corpus/NAME/ (standard library; run once, the files are kept)."""
import pathlib
import socket
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"
KEY = bytes(range(1, 17))


def write(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def ext(number, body):
    body += b"\0" * (-(len(body) + 4) % 8)
    return struct.pack("=HH", (len(body) + 4) // 8, number) + body


def message(kind, satype, *extensions, seq=1, errno=0):
    body = b"".join(extensions)
    return struct.pack("=BBBBHHII", 2, kind, errno, satype, 2 + len(body) // 8, 0, seq, 42) + body


def sa(spi, auth=0, encr=0, flags=0, replay=0, state=1):
    return ext(1, struct.pack("!I", spi) + struct.pack("=BBBBI", replay, state, auth, encr, flags))


def address(number, text, prefix=0, proto=0, port=0):
    if ":" in text:
        sockaddr = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0) + socket.inet_pton(socket.AF_INET6, text) + b"\0" * 8
    else:
        sockaddr = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(text) + b"\0" * 8
    return ext(number, struct.pack("=BBH", proto, prefix, 0) + sockaddr)


def lifetime(number, allocations=0, octets=0, add=0, use=0):
    return ext(number, struct.pack("=IQQQ", allocations, octets, add, use))


def key(number, data):
    return ext(number, struct.pack("=HH", len(data) * 8, 0) + data)


OUTER = address(5, "1.2.3.4", proto=4), address(6, "5.6.7.8", proto=4)
BACK = address(5, "5.6.7.8", proto=4), address(6, "1.2.3.4", proto=4)
INNER = address(7, "10.0.0.0", 24), address(22, "10.0.1.0", 24)


def add(spi, *more, addresses=OUTER, flags=0):
    return message(3, 3, sa(spi, 5, 12, flags), *addresses, key(8, KEY * 2), key(9, KEY), *more)


def pf_key():
    pair = ext(23, struct.pack("!I", 0x2001))
    seeds = {
        "add": add(0x2001),
        "add_tunnel_lifetimes": add(0x2001, *INNER, lifetime(3, 10, 20, 30, 40), lifetime(4, 1, 2, 3, 4), lifetime(26, 0, 0, 5, 6), flags=0x20000),
        "add_v6_nat_namespace": add(0x2002, address(20, "2001:db8::1", port=4500), address(21, "2001:db8::2", port=4500),
                                    ext(200, struct.pack("=HH", 0, 0) + b"svc:/vpn\0"), ext(201, struct.pack("=I", 2048)),
                                    addresses=(address(5, "2001:db8::1"), address(6, "2001:db8::2")), flags=0x180000),
        "add_mapped_inner": add(0x2003, address(7, "::ffff:10.0.0.0", 120), address(22, "::", 0), flags=0x20000),
        "add_identities_cookie": add(0x2004, ext(10, struct.pack("=HHQ", 2, 0, 0)[0:12] + b"alice\0"), ext(19, struct.pack("=BBBBQ", 1, 0, 0, 0, 7)),
                                     ext(24, struct.pack("=IQ", 9, 0))),
        "pair_then_update_then_delete": add(0x2001, flags=0x8000) + add(0x3001, pair, addresses=BACK, flags=0x4000)
                                        + message(13, 3, sa(0x2001), *OUTER, lifetime(3, 0, 100, 0, 0)) + message(14, 3, sa(0x2001), *OUTER),
        "getspi_update": message(1, 3, *BACK, ext(16, struct.pack("!II", 0x500, 0x500) + b"\0" * 4))
                         + message(2, 3, sa(0x500, 5, 12), *BACK, key(8, KEY * 2), key(9, KEY)),
        "dump_get_flush": add(0x2001) + message(10, 0, ext(25, struct.pack("=IQ", 0, 1))) + message(5, 3, sa(0x2001), *OUTER) + message(9, 0),
        "register_extended": message(7, 0, ext(17, b"\2\3\0\0")) + message(7, 3),
        "acquire_failed": message(6, 3, seq=0x80000000, errno=111),
        "inverse_acquire": message(12, 0, *OUTER, *INNER),
        "delpair_state": message(15, 0, sa(0, state=2)),
        "promisc": message(11, 1),
        "eprop": message(6, 3, *OUTER, ext(18, struct.pack("=BBH", 64, 0, 1) + struct.pack("=BBHIII", 1, 0, 0, 0, 0, 0) + struct.pack("=6Q", *range(6))
                                           + struct.pack("=BBBBHH", 3, 2, 20, 32, 128, 256))),
        "duplicate": message(4, 3, sa(0x2001), sa(0x2001), *OUTER),
        "short_extension": message(4, 3, sa(0x2001)) + b"\1\0\6\0\0\0\0\0",
    }
    for name, data in seeds.items():
        write("pf_key", name, data)


def ipseckey():
    aes, sha, gcm = KEY.hex(), KEY.hex() * 4, (KEY + b"salt").hex()
    seeds = {
        "esp": f"add esp spi 0x2001 src 1.2.3.4 dst 5.6.7.8 encr_alg aes encrkey {aes} auth_alg sha512 authkey {sha}\n",
        "tunnel": f"# a site\nadd esp \\\n spi 0x2002 src6 2001:db8::1 dst6 2001:db8::2 \\\n isrc 10.0.0.0/24 idst \"10.0.1.0/24\" iproto 17 idport 53 encr_alg aes-gcm encrkey 0x{gcm}/160 esn outbound\n",
        "ah_lifetimes": f"add ah spi 0400 dst 5.6.7.8 auth_alg 5 authkey {aes}{aes} soft_bytes 1 hard_bytes 2 hard_addtime 0x10 idle_usetime 5 replay 64 state mature\n",
        "nat_pair": f"add esp spi 300 src 5.6.7.8 dst 1.2.3.4 encap udp nat_loc 1.2.3.4 nat_rport 4501 pair-spi 0x2001 inbound srcidtype fqdn a.b encr_alg 12 encrkey {aes}\n",
        "others": "flush\nflush esp\ndump ah\nget esp spi 256 dst ::1\ndelete esp spi 256 dst 1.1.1.1\nupdate esp spi 256 dst 1.1.1.1 hard_bytes 5\nupdate-pair esp spi 256 dst 1.1.1.1\nsave all /tmp/x\nmonitor\npmonitor\n?\nquit\n",
        "errors": f"add esp spi 0\nadd esp spi\nadd vpn\nadd esp spi 256 dst 5.6.7.8 encrkey {aes}z\nadd esp \"open\nflush now then\n\\\n#\n",
    }
    for name, text in seeds.items():
        write("ipseckey", name, text.encode())


pf_key()
ipseckey()
