"""I6: what comes in must have come the way its policy says: no cleartext, no forgery, no replay."""
import shutil
import signal
import subprocess
import time

import pytest

import guide
from breaking import drops
from lab import CANARY, Capture, describe, read_pcap

SCAPY = "/usr/bin/python3"


def inject(world, script):
    """Runs a Scapy script in the transit router's namespace. It finds KEYS and the usual names."""
    prologue = "import sys, logging; logging.getLogger('scapy.runtime').setLevel(logging.ERROR)\nfrom scapy.all import *\n"
    prologue += f"ENCR, AUTH = bytes.fromhex('{guide.KEYS['bob-to-alice'][0]}'), bytes.fromhex('{(guide.KEYS['bob-to-alice'][1] * 2)[:128]}')\n"
    done = subprocess.run(world.transit.argv([SCAPY, "-c", prologue + script]), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def arrivals(world, script):
    """Packets with the canary that reach Alice's private side while the script runs."""
    capture = Capture(world.alice, ("net1",))
    inject(world, script)
    time.sleep(0.5)
    return [packet for packet in capture.stop() if CANARY in packet and describe(packet)[0] == 17]     # answers quote it too


def test_i6_control_a_rightly_sealed_packet_does_arrive(up):
    """The same injector with the right keys and addresses gets through: the tests below fail for their own reasons."""
    script = """
sa = SecurityAssociation(ESP, spi=0x2002, crypt_algo='AES-CBC', crypt_key=ENCR, auth_algo='SHA2-512-256', auth_key=AUTH,
                         tunnel_header=IP(src='5.6.7.8', dst='1.2.3.4'), seq_num=1000)
send(sa.encrypt(IP(src='10.0.1.2', dst='10.0.0.2')/UDP(sport=1, dport=9)/(b'adit-canary-'*4)), verbose=0)
"""
    assert len(arrivals(up, script)) == 1


def test_i6_cleartext_encapsulated_is_dropped(up):
    script = """
for inner in (IP(src='10.0.1.2', dst='10.0.0.2')/UDP(sport=1, dport=9)/(b'adit-canary-'*4),):
    send([IP(src='5.6.7.8', dst='1.2.3.4', proto=4)/inner]*5, verbose=0)
send([IP(src='5.6.7.8', dst='1.2.3.4', proto=41)/IPv6(src='2001:470:24:c67::2', dst='2001:470:24:c66::2')/UDP(sport=1, dport=9)/(b'adit-canary-'*4)]*5, verbose=0)
"""
    assert arrivals(up, script) == []
    assert drops(up.alice, "got_clear") >= 10


def test_i6_wrong_integrity_is_dropped(up):
    script = """
sa = SecurityAssociation(ESP, spi=0x2002, crypt_algo='AES-CBC', crypt_key=ENCR, auth_algo='SHA2-512-256', auth_key=AUTH[::-1],
                         tunnel_header=IP(src='5.6.7.8', dst='1.2.3.4'), seq_num=5000)
send([sa.encrypt(IP(src='10.0.1.2', dst='10.0.0.2')/UDP(sport=1, dport=9)/(b'adit-canary-'*4)) for _ in range(5)], verbose=0)
"""
    assert arrivals(up, script) == []
    assert drops(up.alice, "bad_icv") >= 5


def test_i6_unknown_spi_is_dropped(up):
    assert arrivals(up, "send([IP(src='5.6.7.8', dst='1.2.3.4')/ESP(spi=0x999, seq=i, data=b'adit-canary-'*6) for i in range(5)], verbose=0)") == []


def test_i6_inner_addresses_outside_the_policy_are_dropped(up):
    narrow = "{tunnel v4_bob0 negotiate tunnel raddr 10.0.1.0/24 laddr 10.0.0.0/24} ipsec " + guide.GUIDE_PROTECTION + "\n"
    up.alice.write("/etc/inet/ipsecinit.conf", narrow)
    up.alice.adit("svcadm refresh ipsec/policy")
    script = """
sa = SecurityAssociation(ESP, spi=0x2002, crypt_algo='AES-CBC', crypt_key=ENCR, auth_algo='SHA2-512-256', auth_key=AUTH,
                         tunnel_header=IP(src='5.6.7.8', dst='1.2.3.4'), seq_num=5000)
send([sa.encrypt(IP(src=s, dst='10.0.0.2')/UDP(sport=1, dport=9)/(b'adit-canary-'*4)) for s in ('192.168.7.7', '8.8.8.8', '10.0.2.2')], verbose=0)
"""
    assert arrivals(up, script) == []
    assert drops(up.alice, "no_inbound_rule") + drops(up.alice, "outside_sa") >= 3


def test_i6_martian_inner_sources_are_dropped(up):
    script = """
sa = SecurityAssociation(ESP, spi=0x2002, crypt_algo='AES-CBC', crypt_key=ENCR, auth_algo='SHA2-512-256', auth_key=AUTH,
                         tunnel_header=IP(src='5.6.7.8', dst='1.2.3.4'), seq_num=5000)
send([sa.encrypt(IP(src=s, dst='10.0.0.2')/UDP(sport=1, dport=9)/(b'adit-canary-'*4)) for s in ('127.0.0.1', '224.0.0.5', '0.0.0.0')], verbose=0)
"""
    assert arrivals(up, script) == []
    assert drops(up.alice, "martian") >= 3


def test_i6_replayed_esp_is_dropped(up):
    """What the transit router saw of Bob's packets, sent again as it was."""
    capture = Capture(up.transit, ("right",), snaplen=2000)
    assert up.bob_host.ping("10.0.0.2", count=10) == 10
    capture.stop()
    seen = [p for file in capture.files for p in read_pcap(file) if p[9] == 50 and p[12:16] == bytes([5, 6, 7, 8])]
    assert len(seen) >= 10
    before = drops(up.alice, "replay")
    hexes = " ".join(packet.hex() for packet in seen)
    assert arrivals(up, f"send([IP(bytes.fromhex(h)) for h in '{hexes}'.split()], verbose=0)") == []
    assert drops(up.alice, "replay") - before >= 10


def kill(host):
    host.kill_aditd()


def cut_the_power(host):
    """Everything is killed, and what is in the run directory does not outlive a boot."""
    host.kill_aditd()
    host.kill_guardian()
    shutil.rmtree(host.run_dir)
    host.run_dir.mkdir()


def stop(host):
    host.kill_aditd(signal.SIGTERM)


@pytest.mark.parametrize("end", (kill, cut_the_power, stop))
@pytest.mark.parametrize("rate", ("slow", "fast"))
def test_i6_what_came_before_an_end_is_not_taken_again_and_the_peer_goes_on(up, end, rate):
    """Whatever ended the daemon, at whatever moment: of all ESP that the transit router has recorded nothing arrives a second
    time, and the peer's fresh packets do: all of them, or after a power cut those above the limit that was saved."""
    capture = Capture(up.transit, ("right",), snaplen=2000)
    if rate == "slow":
        assert up.bob_host.ping("10.0.0.2", count=10) == 10
    else:
        assert up.bob_host.ping("10.0.0.2", count=450, interval=0.002) >= 445
    arrived = 10 if rate == "slow" else 445
    end(up.alice)               # at once: the last packets are milliseconds old
    capture.stop()
    seen = [p for file in capture.files for p in read_pcap(file) if p[9] == 50 and p[12:16] == bytes([5, 6, 7, 8])]
    assert len(seen) >= arrived
    up.alice.start_aditd()
    recorded = up.transit.write("/recorded", " ".join(packet.hex() for packet in seen))
    assert arrivals(up, f"send([IP(bytes.fromhex(h)) for h in open('{recorded}').read().split()], verbose=0)") == []
    assert drops(up.alice, "replay") >= arrived     # what Bob's kernel sent after the end (router solicitations) is not a replay
    if end is cut_the_power:    # 64 packets, or four seconds of what came
        assert any(up.bob_host.ping("10.0.0.2", count=100, interval=0.002) for _ in range(50))
    assert up.bob_host.ping("10.0.0.2", count=20) == 20


def test_i6_a_leap_of_the_peer_loses_nothing(up):
    """A peer that was killed itself goes on a million numbers further: its packets wait until that is on disk."""
    assert up.bob_host.ping("10.0.0.2", count=3) == 3
    for _ in range(3):
        up.bob.kill_aditd()
        up.bob.start_aditd()
        assert up.bob_host.ping("10.0.0.2", count=5) == 5
    assert drops(up.alice, "sequence_unsaved") == 0


def test_i6_from_a_wrong_outer_address_is_dropped(up):
    script = """
sa = SecurityAssociation(ESP, spi=0x2002, crypt_algo='AES-CBC', crypt_key=ENCR, auth_algo='SHA2-512-256', auth_key=AUTH,
                         tunnel_header=IP(src='6.6.6.6', dst='1.2.3.4'), seq_num=5000)
send([sa.encrypt(IP(src='10.0.1.2', dst='10.0.0.2')/UDP(sport=1, dport=9)/(b'adit-canary-'*4)) for _ in range(5)], verbose=0)
"""
    assert arrivals(up, script) == []
    assert drops(up.alice, "wrong_outer") >= 5


def test_i6_noise_does_no_harm(up):
    """Random bytes on every protocol the daemon listens to."""
    script = """
import random
rng = random.Random(6)
noise = [IP(src='5.6.7.8', dst='1.2.3.4', proto=rng.choice([4, 41, 50, 51]))/rng.randbytes(rng.randrange(0, 200)) for _ in range(500)]
noise += [IP(src='5.6.7.8', dst='1.2.3.4')/UDP(sport=4500, dport=4500)/rng.randbytes(rng.randrange(0, 200)) for _ in range(200)]
noise += [IP(src='5.6.7.8', dst='1.2.3.4', proto=50)/(bytes.fromhex('00002002')+rng.randbytes(rng.randrange(0, 200))) for _ in range(200)]
send(noise, verbose=0)
"""
    assert arrivals(up, script) == []
    assert up.alice.daemon.poll() is None
    assert up.alice_host.ping("10.0.1.2", count=3) == 3
