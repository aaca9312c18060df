"""Adit against a real Linux kernel's IPsec: each case both ways, pings and UDP, by the kernel's own judgement of every packet.

    alice (aditd, 192.0.2.1, 10.0.0.1) === tap === guest kernel (192.0.2.2, 10.0.1.2)
"""
import hashlib
import os

import pytest
from guest import NO_JUDGE, Guest, NoJudge
from lab import Capture, Lab, Seen

ENCR = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627"
AUTH = "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"


class Case:
    """How both sides are told the same thing."""

    def __init__(self, name, kernel, keys, policy, protocol="esp", v6=False, esn=False, udp=False, mode="tunnel"):
        self.name, self.kernel, self.keys, self.policy, self.protocol = name, kernel, keys, policy, protocol
        self.v6, self.esn, self.udp, self.mode = v6, esn, udp, mode
        self.number = 0          # configure() gives a new one, since Adit goes on counting where a key stood

    @property
    def spis(self):
        """(out of the kernel, into it)."""
        return f"{0x3000 + self.number:#x}", f"{0x2000 + self.number:#x}"


def aead(name, kernel, alg, bits, salt_bits, icv, **more):
    key = ENCR[:(bits + salt_bits) // 4]
    return Case(name, f"aead '{kernel}' 0x{key} {icv}", f"encr_alg {alg} encrkey {key}", f"encr_algs {alg}({bits})", **more)


def cbc(name, kernel, alg, bits, auth="hmac-sha256", kernel_auth="hmac(sha256)", auth_bits=256, icv=128, **more):
    encr, key = ENCR[:bits // 4], AUTH[:auth_bits // 4]
    kernel_encr = f"enc '{kernel}' 0x{encr}" if bits else f"enc {kernel} ''"
    adit_encr = f"encr_alg {alg} encrkey {encr} " if bits else f"encr_alg {alg} "
    return Case(name, f"{kernel_encr} auth-trunc '{kernel_auth}' 0x{key} {icv}", f"{adit_encr}auth_alg {auth} authkey {key}",
                f"encr_algs {alg} encr_auth_algs {auth}", **more)


def ah(name, auth, kernel_auth, bits, icv, **more):
    key = AUTH[:bits // 4]
    return Case(name, f"auth-trunc '{kernel_auth}' 0x{key} {icv}", f"auth_alg {auth} authkey {key}", f"auth_algs {auth}", protocol="ah", **more)


CASES = [
    aead("gcm128", "rfc4106(gcm(aes))", "aes-gcm", 128, 32, 128),
    aead("gcm256", "rfc4106(gcm(aes))", "aes-gcm", 256, 32, 128),
    aead("gcm12", "rfc4106(gcm(aes))", "aes-gcm12", 192, 32, 96),
    aead("gcm8", "rfc4106(gcm(aes))", "aes-gcm8", 128, 32, 64),
    aead("ccm128", "rfc4309(ccm(aes))", "aes-ccm", 128, 24, 128),
    aead("ccm8_256", "rfc4309(ccm(aes))", "aes-ccm8", 256, 24, 64),
    aead("gmac128", "rfc4543(gcm(aes))", "aes-gmac", 128, 32, 128),
    aead("chacha20_poly1305", "rfc7539esp(chacha20,poly1305)", "chacha20-poly1305", 256, 32, 128),
    aead("gcm128_esn", "rfc4106(gcm(aes))", "aes-gcm", 128, 32, 128, esn=True),
    aead("gcm128_udp", "rfc4106(gcm(aes))", "aes-gcm", 128, 32, 128, udp=True),
    aead("gcm128_v6", "rfc4106(gcm(aes))", "aes-gcm", 128, 32, 128, v6=True),
    aead("gcm128_transport", "rfc4106(gcm(aes))", "aes-gcm", 128, 32, 128, mode="transport"),
    cbc("cbc128_sha1", "cbc(aes)", "aes-cbc", 128, "hmac-sha1", "hmac(sha1)", 160, 96),
    cbc("cbc256_sha256", "cbc(aes)", "aes-cbc", 256),
    cbc("cbc192_sha384", "cbc(aes)", "aes-cbc", 192, "hmac-sha384", "hmac(sha384)", 384, 192),
    cbc("cbc256_sha512", "cbc(aes)", "aes-cbc", 256, "hmac-sha512", "hmac(sha512)", 512, 256),
    cbc("cbc128_md5", "cbc(aes)", "aes-cbc", 128, "hmac-md5", "hmac(md5)", 128, 96),
    cbc("cbc256_sha512_esn", "cbc(aes)", "aes-cbc", 256, "hmac-sha512", "hmac(sha512)", 512, 256, esn=True),
    cbc("cbc256_sha256_v6", "cbc(aes)", "aes-cbc", 256, v6=True),
    cbc("3des_sha1", "cbc(des3_ede)", "3des", 192, "hmac-sha1", "hmac(sha1)", 160, 96),
    cbc("blowfish_sha1", "cbc(blowfish)", "blowfish", 128, "hmac-sha1", "hmac(sha1)", 160, 96),
    cbc("null_sha256", "ecb(cipher_null)", "null", 0),
    Case("ctr128_sha256", f"enc 'rfc3686(ctr(aes))' 0x{ENCR[:40]} auth-trunc 'hmac(sha256)' 0x{AUTH[:64]} 128",
         f"encr_alg aes-ctr encrkey {ENCR[:40]} auth_alg hmac-sha256 authkey {AUTH[:64]}", "encr_algs aes-ctr encr_auth_algs hmac-sha256"),
    ah("ah_sha256", "hmac-sha256", "hmac(sha256)", 256, 128),
    ah("ah_sha1_v6", "hmac-sha1", "hmac(sha1)", 160, 96, v6=True),
    ah("ah_sha512", "hmac-sha512", "hmac(sha512)", 512, 256),
    aead("gcm192", "rfc4106(gcm(aes))", "aes-gcm", 192, 32, 128),
    aead("gcm8_256", "rfc4106(gcm(aes))", "aes-gcm8", 256, 32, 64),
    aead("gcm256_v6_esn", "rfc4106(gcm(aes))", "aes-gcm", 256, 32, 128, v6=True, esn=True),
    aead("gcm128_v6_udp", "rfc4106(gcm(aes))", "aes-gcm", 128, 32, 128, v6=True, udp=True),
    aead("gcm128_v6_transport", "rfc4106(gcm(aes))", "aes-gcm", 128, 32, 128, v6=True, mode="transport"),
    aead("ccm192", "rfc4309(ccm(aes))", "aes-ccm", 192, 24, 128),
    aead("ccm12", "rfc4309(ccm(aes))", "aes-ccm12", 128, 24, 96),
    aead("ccm256_esn", "rfc4309(ccm(aes))", "aes-ccm", 256, 24, 128, esn=True),
    aead("gmac256_esn", "rfc4543(gcm(aes))", "aes-gmac", 256, 32, 128, esn=True),
    aead("gmac128_v6", "rfc4543(gcm(aes))", "aes-gmac", 128, 32, 128, v6=True),
    aead("chacha20_poly1305_esn", "rfc7539esp(chacha20,poly1305)", "chacha20-poly1305", 256, 32, 128, esn=True),
    aead("chacha20_poly1305_udp", "rfc7539esp(chacha20,poly1305)", "chacha20-poly1305", 256, 32, 128, udp=True),
    cbc("cbc128_sha256_udp", "cbc(aes)", "aes-cbc", 128, udp=True),
    cbc("cbc128_sha256_transport", "cbc(aes)", "aes-cbc", 128, mode="transport"),
    cbc("cbc128_sha384_v6_esn", "cbc(aes)", "aes-cbc", 128, "hmac-sha384", "hmac(sha384)", 384, 192, v6=True, esn=True),
    cbc("des_md5", "cbc(des)", "des", 64, "hmac-md5", "hmac(md5)", 128, 96),
    cbc("blowfish448_sha256", "cbc(blowfish)", "blowfish", 448),
    cbc("null_sha512_v6_esn", "ecb(cipher_null)", "null", 0, "hmac-sha512", "hmac(sha512)", 512, 256, v6=True, esn=True),
    cbc("ctr256_sha512_esn", "rfc3686(ctr(aes))", "aes-ctr", 256 + 32, "hmac-sha512", "hmac(sha512)", 512, 256, esn=True),
    ah("ah_md5", "hmac-md5", "hmac(md5)", 128, 96),
    ah("ah_sha1", "hmac-sha1", "hmac(sha1)", 160, 96),
    ah("ah_sha384", "hmac-sha384", "hmac(sha384)", 384, 192),
    ah("ah_sha512_v6", "hmac-sha512", "hmac(sha512)", 512, 256, v6=True),
    ah("ah_sha256_transport", "hmac-sha256", "hmac(sha256)", 256, 128, mode="transport"),
]


class Pair:
    """Alice and the guest, booted once for all cases."""

    def __init__(self, lab):
        self.alice = lab.host("alice")
        self.guest = Guest(self.alice, "tap0", "192.0.2.2/24", "2001:db8:2::2/64")
        self.alice.add_address("tap0", "192.0.2.1/24", "2001:db8:2::1/64")
        self.guest.run("ip addr add 10.0.1.2/32 dev lo; ip -6 addr add 2001:470:24:c67::2/128 dev lo nodad\n"
                       "ip route add 10.0.0.0/24 dev eth0 src 10.0.1.2; ip -6 route add 2001:470:24:c66::/64 dev eth0 src 2001:470:24:c67::2")
        self.alice.start_aditd()
        self.numbers = iter(range(1, 4096))


@pytest.fixture(scope="module")
def booted():
    """The pair, or why there is none."""
    with Lab() as lab:
        try:
            made = Pair(lab)
        except NoJudge as reason:
            made = reason
        yield made
        if isinstance(made, Pair):
            made.guest.stop()


@pytest.fixture
def pair(booted):
    reason = booted if isinstance(booted, NoJudge) else booted.guest.gone()
    if reason:
        pytest.fail(f"{NO_JUDGE}{reason}", pytrace=False)
    return booted


# The kernel decapsulates ESP in UDP only while somebody holds a socket that says so.
def encap_socket(case):
    here, _ = outer(case)
    address = f"UDP6-DATAGRAM:[{here}]" if case.v6 else f"UDP4-DATAGRAM:{here}"
    return (f"socat -u {address}:4500,bind=:4500,setsockopt-int=17:100:2 OPEN:/dev/null & echo $! >/run/socat\n"
            "for i in $(seq 100); do grep -q :1194 /proc/net/udp /proc/net/udp6 && break; sleep 0.1; done\n")


def outer(case):
    return ("2001:db8:2::1", "2001:db8:2::2") if case.v6 else ("192.0.2.1", "192.0.2.2")


def kernel_side(case):
    """The batch for `ip`: two states and the policies, as an administrator of the peer writes them."""
    here, there = outer(case)
    # Linux pads AH over IPv4 to 8 bytes unless told that the RFC says 4.
    align = "align4 " if case.protocol == "ah" and not case.v6 else ""
    flags = f"flag {align}{'esn ' if case.esn else ''}{'af-unspec' if case.mode == 'tunnel' else 'noecn'} replay-window {64 if case.esn else 32}"
    encap = "encap espinudp 4500 4500 0.0.0.0" if case.udp else ""
    lines = []
    for source, destination, spi in ((there, here, case.spis[0]), (here, there, case.spis[1])):
        lines.append(f"xfrm state add src {source} dst {destination} proto {case.protocol} spi {spi} mode {case.mode} {flags} {case.kernel} {encap}")
    if case.mode == "transport":
        for source, destination, direction in ((there, here, "out"), (here, there, "in")):
            lines.append(f"xfrm policy add src {source} dst {destination} proto 4 dir {direction} tmpl proto {case.protocol} mode transport")
    else:
        for near, far in (("10.0.1.0/24", "10.0.0.0/24"), ("2001:470:24:c67::/64", "2001:470:24:c66::/64")):
            lines.append(f"xfrm policy add src {near} dst {far} dir out tmpl src {there} dst {here} proto {case.protocol} mode tunnel")
            lines.append(f"xfrm policy add src {far} dst {near} dir in tmpl src {here} dst {there} proto {case.protocol} mode tunnel")
    script = "[ ! -e /run/socat ] || { kill $(cat /run/socat); rm /run/socat; }; ip xfrm state flush; ip xfrm policy flush; ip link del ipip1 2>/dev/null; ip -batch - <<X || exit 1\n" + "\n".join(lines) + "\nX\n"
    if case.mode == "transport":
        kind = "ip6tnl mode ipip6 encaplimit none" if case.v6 else "ipip"
        script += (f"ip link add ipip1 type {kind} local {there} remote {here} && ip link set ipip1 up mtu 1400 && ip route replace 10.0.0.0/24 dev ipip1 src 10.0.1.2\n")
    else:
        script += "ip route replace 10.0.0.0/24 dev eth0 src 10.0.1.2\n"
    if case.udp:
        script += encap_socket(case)
    return script


def adit_side(case):
    here, there = outer(case)
    flags = ("esn " if case.esn else "") + (f"encap udp nat_loc {here} nat_rem {there} nat_lport 4500 nat_rport 4500 " if case.udp else "")
    keys = "".join(f"add {case.protocol} spi {spi} src {source} dst {destination} {case.keys} {flags}\n"
                   for source, destination, spi in ((there, here, case.spis[0]), (here, there, case.spis[1])))
    policy = f"{{tunnel tun0 negotiate {case.mode}}} ipsec {{{case.policy} sa {'unique' if case.mode == 'transport' else 'shared'}}}\n"
    return policy, keys


def configure(pair, case):
    alice = pair.alice
    case.number = next(pair.numbers)
    here, there = outer(case)
    policy, keys = adit_side(case)
    alice.write("/etc/inet/ipsecinit.conf", policy)
    alice.write("/etc/inet/secret/ipseckeys", keys, 0o600)
    alice.adit("ipadm delete-if tun0", check=False)
    alice.adit("dladm delete-iptun -t tun0", check=False)
    alice.adit("svcadm refresh ipsec/policy")
    alice.adit("svcadm enable ipsec/manual-key")
    alice.adit("svcadm refresh ipsec/manual-key")
    alice.adit(f"dladm create-iptun -t -S -T {'ipv6' if case.v6 else 'ipv4'} -a local={here},remote={there} tun0")
    alice.adit("ipadm create-addr -t -T static -a local=10.0.0.1,remote=10.0.1.2 tun0/v4")
    alice.adit("ipadm create-addr -t -T static -a local=2001:470:24:c66::1,remote=2001:470:24:c67::2 tun0/v6")
    pair.guest.run(kernel_side(case))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_kernel_and_adit_understand_each_other(pair, case):
    configure(pair, case)
    capture = Capture(pair.alice, ("tap0",))
    # The guest is a slow, single-queued machine and may lose one when this one is busy; its own counters below tell of errors.
    assert pair.alice.ping("10.0.1.2", count=5, options="-I 10.0.0.1", size=200) >= 4
    assert pair.alice.ping("10.0.1.2", count=4, options="-I 10.0.0.1", size=1300) >= 3
    if case.mode == "tunnel":
        assert pair.alice.ping("2001:470:24:c67::2", count=4, options="-I 2001:470:24:c66::1") >= 3
    seen = Seen(capture.stop())
    assert seen.protected >= 14
    if not case.name.startswith(("null", "ah", "gmac")):
        assert not seen.readable
    kernel_found_no_fault(pair)


def kernel_found_no_fault(pair):
    errors = pair.guest.run("cat /proc/net/xfrm_stat")
    assert all(line.split()[1] == "0" for line in errors.splitlines() if "StateProtoError" in line or "StateModeError" in line or "InStateSeqError" in line), errors


def case_named(name):
    return next(case for case in CASES if case.name == name)


@pytest.mark.parametrize("name", ["gcm128", "cbc256_sha256", "chacha20_poly1305_udp", "gcm128_transport", "gcm256_v6_esn"])
def test_a_stream_both_ways(pair, name):
    """TCP: segments as large as they may be, the kernel's own segmentation offload of ESP, retransmissions if something went wrong."""
    configure(pair, case_named(name))
    data, back = pair.alice.lab.tmp / "data", pair.alice.lab.tmp / "back"
    data.write_bytes(os.urandom(2_000_000))
    pair.guest.run(in_background("socat -u TCP4-LISTEN:5001,reuseaddr OPEN:/run/got,creat,trunc"))
    pair.alice.sh(f"socat -u OPEN:{data} TCP4:10.0.1.2:5001,bind=10.0.0.1", timeout=60)
    assert pair.guest.run("while [ -d /proc/$(cat /run/pid) ]; do sleep 0.05; done; sha256sum </run/got", seconds=60).split()[0] == \
        hashlib.sha256(data.read_bytes()).hexdigest()
    pair.guest.run(in_background("socat -u OPEN:/run/got TCP4-LISTEN:5001,reuseaddr"))
    pair.alice.sh(f"socat -u TCP4:10.0.1.2:5001,bind=10.0.0.1 OPEN:{back},creat,trunc", timeout=60)
    assert back.read_bytes() == data.read_bytes()
    kernel_found_no_fault(pair)


def in_background(listener):
    """Starts it and returns when it listens at port 5001; its pid is in /run/pid."""
    return f"{listener} >/dev/null 2>&1 & echo $! >/run/pid; for i in $(seq 200); do grep -q ':1389 .* 0A ' /proc/net/tcp && exit 0; sleep 0.05; done; exit 1"


@pytest.mark.parametrize("name", ["gcm128", "cbc256_sha256_v6"])
def test_packets_larger_than_the_path(pair, name):
    configure(pair, case_named(name))
    assert pair.alice.ping("10.0.1.2", count=5, options="-I 10.0.0.1", size=4000) >= 4
    assert pair.alice.ping("2001:470:24:c67::2", count=5, options="-I 2001:470:24:c66::1", size=4000) >= 4
    kernel_found_no_fault(pair)


@pytest.mark.parametrize("name", ["gcm128", "chacha20_poly1305", "gcm128_v6"])
def test_the_kernels_xfrm_interface(pair, name):
    """The kernel's own kind of tunnel that has its IPsec in it: states and policies belong to a device, and routes choose it."""
    case = case_named(name)
    configure(pair, case)
    script = kernel_side(case).replace("xfrm state add", "xfrm state add if_id 7").replace("xfrm policy add", "xfrm policy add if_id 7")
    pair.guest.run(script + "ip link del xfrm1 2>/dev/null; ip link add xfrm1 type xfrm dev eth0 if_id 7 && ip link set xfrm1 up mtu 1400\n"
                   "ip route replace 10.0.0.0/24 dev xfrm1 src 10.0.1.2; ip -6 route replace 2001:470:24:c66::/64 dev xfrm1 src 2001:470:24:c67::2")
    try:
        assert pair.alice.ping("10.0.1.2", count=5, options="-I 10.0.0.1", size=200) >= 4
        assert pair.alice.ping("2001:470:24:c67::2", count=4, options="-I 2001:470:24:c66::1") >= 3
        assert int(pair.guest.run("cat /sys/class/net/xfrm1/statistics/rx_packets")) >= 7
        kernel_found_no_fault(pair)
    finally:
        pair.guest.run("ip link del xfrm1; ip -6 route replace 2001:470:24:c66::/64 dev eth0 src 2001:470:24:c67::2")


def test_cleartext_tunnel_with_the_kernels_ipip(pair):
    """4in4 and 6in4 without any policy, as RFC 2003 and 4213 have them."""
    alice = pair.alice
    alice.adit("ipadm delete-if tun0", check=False)
    alice.adit("dladm delete-iptun -t tun0", check=False)
    alice.write("/etc/inet/ipsecinit.conf", "")
    alice.adit("svcadm refresh ipsec/policy")
    pair.guest.run("ip xfrm state flush; ip xfrm policy flush; ip link del ipip1 2>/dev/null\n"
                   "ip link add ipip1 type ipip local 192.0.2.2 remote 192.0.2.1 && ip link set ipip1 up && ip route replace 10.0.0.0/24 dev ipip1 src 10.0.1.2\n"
                   "ip link add sit1 type sit local 192.0.2.2 remote 192.0.2.1 && ip link set sit1 up && ip -6 route replace 2001:470:24:c66::/64 dev sit1 src 2001:470:24:c67::2")
    alice.adit("dladm create-iptun -t -T ipv4 -a local=192.0.2.1,remote=192.0.2.2 tun0")
    alice.adit("ipadm create-addr -t -T static -a local=10.0.0.1,remote=10.0.1.2 tun0/v4")
    alice.adit("ipadm create-addr -t -T static -a local=2001:470:24:c66::1,remote=2001:470:24:c67::2 tun0/v6")
    assert alice.ping("10.0.1.2", count=3, options="-I 10.0.0.1") == 3
    assert alice.ping("2001:470:24:c67::2", count=3, options="-I 2001:470:24:c66::1") == 3


def test_v6_outer_cleartext_with_the_kernels_ip6tnl(pair):
    """4in6 and 6in6, without and with the encapsulation limit option (RFC 2473)."""
    alice = pair.alice
    alice.adit("ipadm delete-if tun0", check=False)
    alice.adit("dladm delete-iptun -t tun0", check=False)
    pair.guest.run("ip link del ipip1 2>/dev/null; ip link del sit1 2>/dev/null; ip xfrm policy flush\n"
                   "ip link add t6 type ip6tnl mode any local 2001:db8:2::2 remote 2001:db8:2::1 && ip link set t6 up\n"
                   "ip route replace 10.0.0.0/24 dev t6 src 10.0.1.2; ip -6 route replace 2001:470:24:c66::/64 dev t6 src 2001:470:24:c67::2")
    alice.adit("dladm create-iptun -t -T ipv6 -a local=2001:db8:2::1,remote=2001:db8:2::2 tun0")
    alice.adit("ipadm create-addr -t -T static -a local=10.0.0.1,remote=10.0.1.2 tun0/v4")
    alice.adit("ipadm create-addr -t -T static -a local=2001:470:24:c66::1,remote=2001:470:24:c67::2 tun0/v6")
    assert alice.ping("10.0.1.2", count=3, options="-I 10.0.0.1") == 3
    assert alice.ping("2001:470:24:c67::2", count=3, options="-I 2001:470:24:c66::1") == 3
    alice.adit("dladm set-linkprop -t -p encaplimit=4 tun0")
    assert alice.ping("10.0.1.2", count=3, options="-I 10.0.0.1") == 3
    assert alice.ping("2001:470:24:c67::2", count=3, options="-I 2001:470:24:c66::1") == 3
