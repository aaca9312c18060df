"""Bad input: a clear sentence, exit status 1 or 2, and nothing changed."""
import os
import pathlib
import random
import subprocess

import guide
import pytest
from lab import BUILD

LISTINGS = ("dladm show-iptun", "dladm show-linkprop", "ipadm show-addr", "adit route -p show", "ipsecconf -L -n", "ipseckey -n dump", "svcs -H -a -o state,fmri")


def lasting(listing):
    """Without what moves by itself: clocks, counters, the caller's pid."""
    return [line for line in listing.splitlines() if not line.startswith(("Message length", "CLT:", "RPL:", "SA: flags"))]


def state(host):
    return {listing: lasting(host.adit(listing).stdout) for listing in LISTINGS} | {"kernel": host.sh("ip -o addr").stdout + host.sh("ip route").stdout}


CASES = [
    ("dladm modify-iptun -a remote=9.9.9.9 v4_none0", "object not found"),
    ("dladm delete-iptun v4_none0", "object not found"),
    ("dladm show-iptun v4_none0", "object not found"),
    ("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.9 v4_bob0", "object already exists"),
    ("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.8 v4_again0", "address already in use"),
    ("dladm create-iptun -S -T ipv6 -a local=1.2.3.4,remote=5.6.7.9 v6_x0", "invalid"),
    ("dladm create-iptun -S -T ipv4 -a local=2001:db8:1::4,remote=5.6.7.9 v4_x0", "invalid"),
    ("dladm create-iptun -S -T ipv4 -a local=203.0.113.9,remote=5.6.7.9 v4_x0", "203.0.113.9"),
    ("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=224.0.0.1 v4_x0", "224.0.0.1"),
    ("dladm create-iptun -S -T ipv4 -a local=0.0.0.0,remote=5.6.7.9 v4_x0", "0.0.0.0"),
    ("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.9 v4_x", "must end in a number"),
    ("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.9 a_name_too_long0", "15"),
    ("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.9 0bad0", "letter"),
    ("dladm create-iptun -S -T gre -a local=1.2.3.4,remote=5.6.7.9 v4_x0", "gre"),
    ("dladm create-iptun -S -a local=1.2.3.4,remote=5.6.7.9 v4_x0", "type required"),
    ("dladm create-iptun -S -T ipv4 -a here=1.2.3.4 v4_x0", "invalid address type: here=1.2.3.4"),
    ("dladm create-iptun -T", "requires a value"),
    ("dladm create-iptun -Q v4_x0", "unrecognized option '-Q'"),
    ("dladm frobnicate", "frobnicate"),
    ("dladm show-link -p", "-p requires -o"),
    ("dladm set-linkprop -p hoplimit=0 v4_bob0", "hoplimit"),
    ("dladm set-linkprop -p mtu=100 v4_bob0", "mtu"),
    ("dladm set-linkprop -p colour=red v4_bob0", "colour"),
    ("ipadm create-addr -T static -a local=10.0.0.1 v4_bob0/x", "remote"),
    ("ipadm create-addr -T static -a local=10.0.0.1,remote=10.0.1.1 v4_bob0/v4", "exists"),
    ("ipadm create-addr -T static -a local=10.0.0.1,remote=2001:db8::1 v4_bob0/x", "family"),
    ("ipadm create-addr -T static -a local=10.0.0.1,remote=10.0.1.9 v4_bob0/9x", "name"),
    ("ipadm delete-addr v4_bob0/none", "not found"),
    ("ipadm set-prop -p hostmodel=sideways ipv4", "hostmodel"),
    ("ipadm set-prop -p nothing=1 ipv4", "nothing"),
    ("adit route add 10.9.9.0/33 10.0.1.1", "33"),
    ("adit route delete 10.77.0.0/16 10.0.1.1", "not in table"),
    ("adit route add 10.0.1.0/24 192.0.2.77", "192.0.2.77"),
    ("ipsecconf -d v4_bob0,999", ""),
    ("ipsecconf -a /nonexistent/policy", "/nonexistent/policy"),
    ("ipseckey add esp spi 0 dst 5.6.7.8 encr_alg aes encrkey 00112233445566778899aabbccddeeff", "Invalid SPI value"),
    ("ipseckey add esp spi 255 src 1.2.3.4 dst 5.6.7.8 encr_alg aes encrkey 00112233445566778899aabbccddee01 auth_alg sha1 authkey 000102030405060708090a0b0c0d0e0f10111213", "255"),
    ("ipseckey add esp spi 0x999 src 1.2.3.4 dst 5.6.7.8 encr_alg aes encrkey 0011 auth_alg sha1 authkey 000102030405060708090a0b0c0d0e0f10111213", "bit"),
    ("ipseckey add esp spi 0x999 src 1.2.3.4 dst 5.6.7.8 encr_alg aes encrkey xyz", "not a hex value"),
    ("ipseckey add esp spi 0x999 src 1.2.3.4 dst 5.6.7.8 colour red", "Unknown extension field"),
    ("ipseckey delete esp spi 0x777 dst 5.6.7.8", "does not exist"),
    ("svcadm enable nothing/such", "nothing/such"),
    ("svcadm explode ipsec/policy", "explode"),
]


@pytest.fixture(scope="module")
def alice():
    from lab import Lab, two_sites
    with Lab() as lab:
        world = two_sites(lab)
        guide.set_up(world)
        yield world.alice


@pytest.mark.parametrize("command,says", CASES, ids=[command for command, _ in CASES])
def test_refused_with_a_sentence_and_nothing_changed(alice, command, says):
    before = state(alice)
    done = alice.adit(command, check=False)
    assert done.returncode in (1, 2), done
    said = done.stderr + done.stdout
    assert says.lower() in said.lower() and said.strip(), said
    assert len(said.strip()) > 10
    assert state(alice) == before


@pytest.mark.parametrize("name,content", [("binary", random.Random(1).randbytes(4096)), ("nul", b"\0" * 100), ("open", b"{ laddr"),
                                          ("long", b"{" + b"a" * 3000 + b"} bypass {}"), ("deep", b"{" * 5000)], ids=lambda v: v if isinstance(v, str) else "")
def test_a_policy_file_of_noise(alice, name, content):
    file = pathlib.Path(alice.root) / f"policy-{name}"
    file.write_bytes(content)
    before = state(alice)
    for option in ("-c", "-a"):
        done = alice.adit(["ipsecconf", "-q", option, str(file)], check=False)
        assert done.returncode == 1 and done.stderr.strip(), done
        assert len(done.stderr) < 20000
    assert state(alice) == before


def test_a_hundred_megabytes_of_policy(alice):
    file = pathlib.Path(alice.root) / "policy-huge"
    with open(file, "wb") as out:
        out.truncate(100 << 20)
    done = alice.adit(["ipsecconf", "-q", "-a", str(file)], check=False, timeout=20)
    assert done.returncode == 1 and "policy-huge" in done.stderr and len(done.stderr) < 2000
    file.unlink()


def test_an_unreadable_or_loose_key_file(alice):
    loose = alice.write("/loose-keys", "flush\n", 0o644)
    done = alice.adit(["ipseckey", "-f", str(loose)], check=False)
    assert done.returncode != 0 and "chmod 600" in done.stderr
    done = alice.adit(["ipseckey", "-f", str(alice.root / "no-such-keys")], check=False)
    assert done.returncode != 0 and "no-such-keys" in done.stderr


def test_two_daemons_on_one_run_directory(alice):
    done = alice.sh([BUILD / "bin" / "aditd"], check=False, timeout=20)
    assert done.returncode != 0 and str(alice.daemon.pid) in done.stderr and "another aditd" in done.stderr, done.stderr
    assert alice.adit("dladm show-iptun").returncode == 0


def test_not_root(lab):
    host = lab.host("plain")
    os.chmod(lab.tmp, 0o755)
    done = host.sh(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", BUILD / "bin" / "aditd"], check=False, timeout=20)
    assert done.returncode != 0 and "root" in done.stderr, done.stderr


def test_no_dev_net_tun(lab):
    host = lab.host("notun")
    done = host.sh(["unshare", "-m", "sh", "-c", f"mount -t tmpfs none /dev/net && exec {BUILD}/bin/aditd"], check=False, timeout=20)
    assert done.returncode != 0 and "/dev/net/tun" in done.stderr, done.stderr


def test_no_daemon(lab):
    host = lab.host("quiet")
    for command in ("dladm show-iptun", "ipsecconf -L", "ipseckey dump", "svcs"):
        done = host.adit(command, check=False)
        assert done.returncode == 1 and "aditd is not running" in done.stderr, (command, done.stderr)


def test_every_command_has_help():
    for name in ("dladm", "ipadm", "route", "netstat", "ipsecconf", "ipsecalgs", "ipseckey", "svcadm", "svcs", "trace", "monitor", "status", "guard"):
        done = subprocess.run([BUILD / "bin" / "adit", name, "--help"], capture_output=True, text=True)
        assert done.returncode == 0 and "usage" in done.stdout.lower(), (name, done)
