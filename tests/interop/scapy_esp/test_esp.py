"""Every cipher x integrity x {tunnel, transport} x {IPv4, IPv6 outside} x ESN x {plain, UDP}, both ways against Scapy, with both
engines. What Scapy lacks is built independently: short GCM ICVs and GMAC (independent.py), and with ESN a separate MAC (Scapy
then encrypts, and Python's hmac authenticates)."""
import itertools
import random
import warnings

import pytest

warnings.filterwarnings("ignore")                # python3-cryptography says that DES and Blowfish are weak

from scapy.layers.inet import IP, TCP, UDP       # noqa: E402
from scapy.layers.inet6 import IPv6              # noqa: E402
from scapy.layers.ipsec import ESP, SecurityAssociation   # noqa: E402
from scapy.packet import Raw, raw                # noqa: E402

import independent                               # noqa: E402
from suites import MACS, SUITES                  # noqa: E402

SPI = 0x1234abcd
COMBINATIONS = list(itertools.product(["tunnel", "transport"], [4, 6], [False, True], [False, True]))


def outer(version):
    return IP(src="1.2.3.4", dst="5.6.7.8", ttl=61) if version == 4 else IPv6(src="2001:db8::1", dst="2001:db8::2")


def inner_packet(mode, version, generator):
    """What is protected: in tunnel mode any family, in transport mode the outer packet itself."""
    upper = TCP(sport=1, dport=2, seq=3) / Raw(generator.randbytes(generator.randrange(0, 300)))
    if mode == "transport":
        packet = outer(version) / upper
    elif generator.random() < 0.5:
        packet = IP(src="10.0.0.2", dst="10.0.1.2") / upper
    else:
        packet = IPv6(src="2001:db8:1::2", dst="2001:db8:2::2") / upper
    return packet.__class__(raw(packet))


def protected(mode, packet):
    """(payload, next header) of ESP."""
    if mode == "tunnel":
        return raw(packet), 4 if packet.version == 4 else 41
    return raw(packet.payload), 6


def scapy_sa(suite, mode, version, esn, sequence, udp):
    separate = suite.auth and not esn
    return SecurityAssociation(
        ESP, spi=SPI, seq_num=sequence & 0xffffffff, crypt_algo=suite.scapy_name, crypt_key=(suite.key + suite.salt) or None,
        crypt_icv_size=None if suite.auth else suite.icv_bytes,
        auth_algo=MACS[suite.auth][0] if separate else None, auth_key=suite.auth_key if separate else None,
        tunnel_header=outer(version) if mode == "tunnel" else None,
        nat_t_header=UDP(sport=4500, dport=61000) if udp else None, esn_en=esn, esn=sequence >> 32)


def sealed_by_peer(suite, mode, version, esn, udp, sequence, packet):
    """What stands behind the outer IP header."""
    if suite.scapy_name is None:
        esp = independent.seal(suite, SPI, sequence, esn, *protected(mode, packet))
        return raw(UDP(sport=4500, dport=61000, chksum=0) / Raw(esp)) if udp else esp
    wire = raw(scapy_sa(suite, mode, version, esn, sequence, udp).encrypt(packet.copy()))
    behind = wire[20 if version == 4 else 40:]
    if suite.auth and esn:
        behind += suite.mac(behind[8 if udp else 0:], sequence)
    return behind


def opened_by_peer(suite, mode, version, esn, udp, sequence, behind):
    """The packet that was protected, from what stands behind the outer IP header."""
    if udp:
        header = UDP(behind[:8])
        assert (header.sport, header.dport, header.len) == (4500, 61000, len(behind))
        behind = behind[8:]
    if suite.scapy_name is None:
        payload, next_header = independent.open_(suite, sequence, esn, behind)
        if mode == "tunnel":
            return payload
        rebuilt = outer(version)
        rebuilt.payload = Raw(payload)
        setattr(rebuilt, "proto" if version == 4 else "nh", next_header)
        return raw(rebuilt)
    if suite.auth and esn:
        esp, icv = behind[:-suite.icv_bytes], behind[-suite.icv_bytes:]
        assert icv == suite.mac(esp, sequence)
        behind = esp
    packet = outer(version)
    setattr(packet, "proto" if version == 4 else "nh", 50)
    packet = packet.__class__(raw(packet / Raw(behind)))
    return raw(scapy_sa(suite, mode, version, esn, sequence, False).decrypt(packet))


@pytest.mark.parametrize("suite", SUITES, ids=str)
def test_both_ways(tool, suite):
    generator = random.Random(str(suite))
    for (mode, version, esn, udp), engine in itertools.product(COMBINATIONS, ["best", "openssl"]):
        sequence = generator.randrange(1 << 32, 1 << 40) if esn else generator.randrange(1, 1 << 32)
        packet = inner_packet(mode, version, generator)
        payload, next_header = protected(mode, packet)
        values = suite.adit(engine=engine, spi=hex(SPI), seq=sequence, esn=int(esn), protocol=next_header)
        if udp:
            values["udp"] = "4500,61000"
        what = f"{mode}, IPv{version} outside, esn={esn}, udp={udp}, {engine}"

        ours = tool.ask("seal", payload, **values)[2]
        assert opened_by_peer(suite, mode, version, esn, udp, sequence, ours) == raw(packet), f"sealed here: {what}"
        theirs = sealed_by_peer(suite, mode, version, esn, udp, sequence, packet)
        assert tool.ask("open", theirs, **values) == (next_header, sequence, payload), f"opened here: {what}"
