"""The sockets of IKE: port 500 is handed over, port 4500 is the workers', who pass on what bears the marker. A plain program stands
in for in.iked (ike_standin.py)."""
import errno
import json
import signal
import socket
import subprocess
import time

import guide
import pytest
import test_forms
from breaking import drops, status, wait_for
from ike_standin import KeyManager

ALICE, BOB = "1.2.3.4", "5.6.7.8"
ALICE6, BOB6 = "2001:db8:1::4", "2001:db8:5::8"

OFFLOAD = r"""
import ctypes, fcntl, socket, struct, sys
number, value = {"tso": 0x1f, "gro": 0x2c}[sys.argv[2]], int(sys.argv[3] == "on")
asked = ctypes.create_string_buffer(struct.pack("II", number, value))      # ethtool_value
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8946, struct.pack("16sP", sys.argv[1].encode(), ctypes.addressof(asked)))
"""


def set_offload(host, device, which, how):
    """As `ethtool -K DEVICE WHICH on|off`."""
    host.sh(["/usr/bin/python3", "-c", OFFLOAD, device, which, how])


def counter(host, hook, match):
    """Packets at a hook; returns what reads them."""
    host.sh("nft -f -", input=f"table inet seen {{ counter n {{ }}; chain c {{ type filter hook {hook} priority -400; {match} counter name n; }}; }}")

    def read():
        answer = json.loads(host.sh("nft -j list counter inet seen n").stdout)
        return next(entry["counter"]["packets"] for entry in answer["nftables"] if "counter" in entry)
    return read


@pytest.fixture
def managers(world):
    """Both sites are up, and a key manager stands at each."""
    guide.set_up(world)
    world.alice.ike, world.bob.ike = KeyManager(world.alice), KeyManager(world.bob)
    return world


def test_messages_go_both_ways_on_both_ports_and_families(managers):
    alice, bob = managers.alice.ike, managers.bob.ike
    assert alice.handed == {"pair": [socket.AF_UNIX, socket.SOCK_SEQPACKET, 0], "500v4": [socket.AF_INET, socket.SOCK_DGRAM, 500],
                            "500v6": [socket.AF_INET6, socket.SOCK_DGRAM, 500]}, "and no descriptor of 4500, nor a raw one"
    for sender, receiver, here, there, here6, there6 in ((alice, bob, ALICE, BOB, ALICE6, BOB6), (bob, alice, BOB, ALICE, BOB6, ALICE6)):
        assert sender.send("pair", here, there, range(0, 5)) == 5
        assert sender.send("pair", here6, there6, range(5, 10)) == 5
        assert sender.send("pair", here, there, range(10, 12), size=4000) == 2        # larger than the path: in fragments
        assert sender.send("500v4", here, there, range(20, 25), port=500) == 5
        assert sender.send("500v6", here6, there6, range(30, 35), port=500) == 5
        assert receiver.wait_for("pair", 12) == {**{n: (there, here, 4500) for n in (*range(5), 10, 11)},
                                                 **{n: (there6, here6, 4500) for n in range(5, 10)}}
        assert receiver.wait_for("500v4", 5) == {n: (None, here, 500) for n in range(20, 25)}
        assert receiver.wait_for("500v6", 5) == {n: (None, here6, 500) for n in range(30, 35)}
    assert managers.alice_host.ping("10.0.1.2", check=True)
    assert bob.counts()["wrong"] == 0


@pytest.mark.parametrize("form, here, there", [("esp_in_udp_v6", ALICE6, BOB6), ("esp_in_udp_v4", ALICE, BOB)])
def test_no_message_is_lost_behind_a_full_tcp_stream(world, form, here, there):
    """The far kernel joins datagrams of one flow before it chooses a socket, as with any network card: over IPv6 most messages
    arrive at the end of a train of ESP. (Over IPv4 those of an Adit differ in DF and identification from the ESP before them.)"""
    test_forms.build(world, **test_forms.FORMS[form])
    alice, bob = KeyManager(world.alice), KeyManager(world.bob)
    set_offload(world.bob, "net0", "gro", "on")
    world.bob.sh(["sh", "-c", "echo 3000000 > /sys/class/net/net0/gro_flush_timeout"])      # ns; a card's own batches
    set_offload(world.transit, "right", "tso", "off")          # else a veth joins nothing
    world.transit.sh("ip link set right gso_max_segs 1")       # trains leave as single datagrams
    first_of_its_train = counter(world.bob, "prerouting", "udp dport 4500 @th,64,32 0")
    server = world.bob_host.popen(["iperf3", "-s", "-1", "-J"], stdout=subprocess.PIPE, text=True)
    wait_for(lambda: "5201" in world.bob_host.sh("ss -Hltn sport = :5201").stdout, what="the server")
    # A window below what a veth's queue takes: what is lost is not lost by the network.
    stream = world.alice_host.popen(["iperf3", "-c", "10.0.1.2", "-t", "8", "-w", "200K", "-J"], stdout=subprocess.PIPE, text=True)
    time.sleep(1.5)
    assert alice.send("pair", here, there, range(400), gap=0.01) == 400
    assert stream.poll() is None, "the stream outlasts the messages"
    came = bob.wait_for("pair", 400)
    lost = sorted(set(range(400)) - set(came))
    carried = json.loads(stream.communicate(timeout=60)[0])["end"]["sum_received"]["bits_per_second"]
    server.wait(timeout=20)
    inside = 400 - first_of_its_train()
    print(f"{carried / 1e6:.0f} Mbit/s of TCP; {inside} of 400 messages came inside a train")
    assert carried > 5e6
    assert form != "esp_in_udp_v6" or inside > 100, f"a split by a datagram's first octets would lose {inside}: the lab joins too little"
    assert not lost, f"{len(lost)} messages: {lost[:20]}"
    assert (drops(world.bob, "ike_queue_full"), drops(world.bob, "no_ike")) == (0, 0)
    assert bob.counts()["wrong"] == 0, "nothing but IKE comes"


FLOOD = r"""
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(17, 103, 64)                                      # UDP_SEGMENT
train = (bytes(4) + b'IKEINITI' + bytes(52)) * 64
end, sent = time.monotonic() + float(sys.argv[2]), 0
while time.monotonic() < end:
    s.sendto(train, (sys.argv[1], 4500)); sent += 64
    time.sleep(0.001)
print(sent)
"""
A_SECOND, AT_ONCE = 5000, 1000                                 # src/ike/door/relay.h


def test_a_flood_of_markers_is_bounded_and_esp_goes_on(managers):
    bob = managers.bob.ike
    calm = managers.alice_host.ping("10.0.1.2", count=200, interval=0.01)
    began = time.monotonic()
    flood = managers.transit.popen(["/usr/bin/python3", "-c", FLOOD, BOB, "4"], stdout=subprocess.PIPE, text=True)
    replies = managers.alice_host.ping("10.0.1.2", count=200, interval=0.01)
    sent = int(flood.communicate(timeout=30)[0])
    passed = lambda: bob.counts()["total"]["pair"]             # noqa: E731
    wait_for(lambda: passed() + drops(managers.bob, "ike_queue_full") + 64 * drops(managers.bob, "socket_backlog") >= sent, what="the count")
    took = time.monotonic() - began
    print(f"{sent} markers in {took:.1f} s, {passed()} passed on, {drops(managers.bob, 'ike_queue_full')} dropped; pings {replies} of 200, calm {calm}")
    assert sent > 10 * A_SECOND
    assert AT_ONCE <= passed() <= A_SECOND * took + AT_ONCE
    assert passed() + drops(managers.bob, "ike_queue_full") <= sent
    assert replies >= calm - 4
    assert managers.alice.ike.send("pair", ALICE, BOB, range(7000, 7005)) == 5
    wait_for(lambda: set(range(7000, 7005)) <= set(bob.heard()["pair"]), what="peers are heard again")


def test_a_stopped_reader_blocks_nothing(managers):
    bob, alice = managers.bob.ike, managers.alice.ike
    bob.process.send_signal(signal.SIGSTOP)
    assert alice.send("pair", ALICE, BOB, range(3000), gap=0.0003) == 3000
    wait_for(lambda: drops(managers.bob, "ike_queue_full") > 0, what="a full pair")
    assert managers.alice_host.ping("10.0.1.2", count=100, interval=0.01) >= 98
    began = time.monotonic()
    status(managers.bob)
    assert time.monotonic() - began < 5
    second = KeyManager(managers.bob)
    assert second.refused == errno.EBUSY, "it is there still, if silent"
    second.end()
    bob.process.send_signal(signal.SIGCONT)
    wait_for(lambda: bob.counts()["total"]["pair"] + drops(managers.bob, "ike_queue_full") == 3000, what="what waited")
    assert alice.send("pair", ALICE, BOB, range(8000, 8005)) == 5
    wait_for(lambda: set(range(8000, 8005)) <= set(bob.heard()["pair"]), what="new messages")


def test_one_that_dies_is_noticed_and_the_next_gets_a_new_pair(managers):
    alice = managers.alice.ike
    managers.bob.ike.end("kill")
    assert alice.send("500v4", ALICE, BOB, range(5), port=500) == 5    # nobody hears them, nor does the next
    before = drops(managers.bob, "no_ike")
    assert alice.send("pair", ALICE, BOB, range(10)) == 10
    wait_for(lambda: drops(managers.bob, "no_ike") == before + 10, what="ten counted drops")
    assert "has let the sockets of IKE go" in managers.bob.log()
    bob = KeyManager(managers.bob)
    assert sorted(bob.handed) == ["500v4", "500v6", "pair"]
    assert alice.send("pair", ALICE, BOB, range(20, 30)) == 10
    assert alice.send("500v4", ALICE, BOB, range(20, 30), port=500) == 10
    assert sorted(bob.wait_for("pair", 10)) == list(range(20, 30))
    assert sorted(bob.wait_for("500v4", 10)) == list(range(20, 30)), "and none of before"
    # One that closes its end of the pair alone is put out as well.
    bob.ask(do="close", via="pair")
    assert bob.read() == {"ended": True}
    assert KeyManager(managers.bob).refused is None


def test_only_root_is_let_in_and_the_daemon_survives_a_restart_of_itself(managers):
    stranger = managers.bob.popen(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c",
                                   "import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\ns.connect(sys.argv[1])",
                                   managers.bob.run_dir / "ike.sock"], stderr=subprocess.PIPE, text=True)
    assert "PermissionError" in stranger.communicate(timeout=20)[1]
    managers.bob.kill_aditd()
    assert managers.bob.ike.read() == {"ended": True}
    managers.bob.start_aditd()
    bob = KeyManager(managers.bob)
    assert managers.alice.ike.send("pair", ALICE, BOB, range(3)) == 3
    assert sorted(bob.wait_for("pair", 3)) == [0, 1, 2]


HOLD = r"""
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('0.0.0.0', 500)); print('ready', flush=True); time.sleep(600)
"""


def test_port_500_of_another_program_is_told_and_comes_late(world):
    holder = world.bob.popen(["/usr/bin/python3", "-c", HOLD], stdout=subprocess.PIPE, text=True)
    holder.stdout.readline()
    guide.set_up(world)
    assert world.alice_host.ping("10.0.1.2", check=True), "nothing else waits"
    sentence = "another program has UDP port 500 over IPv4"
    assert sentence in world.bob.adit("adit status").stdout
    bob, alice = KeyManager(world.bob, expect=2), KeyManager(world.alice)
    assert sorted(bob.handed) == ["500v6", "pair"]
    holder.kill()
    bob.take_one()
    assert sorted(bob.handed) == ["500v4", "500v6", "pair"]
    assert alice.send("500v4", ALICE, BOB, range(5), port=500) == 5
    assert sorted(bob.wait_for("500v4", 5)) == list(range(5))
    assert "Missing now" not in world.bob.adit("adit status").stdout


# As somebody who may make raw sockets sends them: any source port, with the mark or without.
OTHERS = r"""
import socket, struct, sys
to, mark = sys.argv[1], int(sys.argv[2], 0)
for source in (500, 4500):
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    data = bytes(4) + b'adit-canary-' * 4
    try:
        s.sendto(struct.pack('!HHHH', source, source, 8 + len(data), 0) + data, (to, 0))
    except OSError:
        pass
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in (500, 4500):
    try:
        s.sendto(bytes(4) + b'adit-canary-' * 4, (to, port))
    except OSError:
        pass
"""
MARK = "0xad17"                                                # linux/platform/mark.h


def test_through_the_guard_ike_passes_by_these_sockets_and_no_others(managers):
    """Bob's whole network is closed, the peer inside of it; then everything is."""
    alice, bob = managers.alice.ike, managers.bob.ike
    for closed in ("5.6.7.0/24", "default"):
        managers.alice.adit(f"adit route -p add {closed} 10.0.1.1")
        capture = managers.capture()
        for mark in ("0", MARK):
            managers.alice.sh(["/usr/bin/python3", "-c", OTHERS, BOB, mark])
            managers.alice.sh(["/usr/bin/python3", "-c", OTHERS, "5.6.7.1", mark])
        first = 100 if closed == "default" else 0
        assert alice.send("pair", ALICE, BOB, range(first, first + 5)) == 5
        assert alice.send("500v4", ALICE, BOB, range(first, first + 5), port=500) == 5
        assert set(range(first, first + 5)) <= set(bob.wait_for("pair", first // 20 + 5))
        assert set(range(first, first + 5)) <= set(bob.wait_for("500v4", first // 20 + 5))
        time.sleep(0.3)
        leaked = [packet for packet in capture.stop() if b"adit-canary-" in packet and packet[12:16] == socket.inet_aton(ALICE)]
        assert not leaked, f"{closed}: {len(leaked)} of others left"
