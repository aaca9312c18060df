"""The two example clients against a live daemon, and what PF_POLICY and the events promise to any client: transactions, a flip that
nobody confirms, positions to go on from, dumps that are one picture, and readers that do not read."""
import importlib.util
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest
from lab import BUILD, REPO, LabError

HERE = REPO / "examples" / "policy-client"
CLIENTS = {"c": [BUILD / "bin" / "policy-client"], "python": [sys.executable, HERE / "policy_client.py"]}
VPN = "svc:/site/vpn:default"

spec = importlib.util.spec_from_file_location("policy_client", HERE / "policy_client.py")
wire = importlib.util.module_from_spec(spec)
spec.loader.exec_module(wire)


@pytest.fixture
def host(lab):
    alone = lab.host("alone")
    alone.start_aditd()
    return alone


@pytest.fixture
def underlay(lab, host):
    """An address and a default route for tunnels to stand on."""
    lab.wire(host, "net0", lab.host("other"), "net0")
    host.add_address("net0", "1.2.3.4/24")
    host.sh("ip route add default via 1.2.3.1")


@pytest.fixture(params=CLIENTS)
def client(host, request):
    def run(*words, check=True):
        return host.sh([*CLIENTS[request.param], *words], check=check)
    run.argv = CLIENTS[request.param]
    return run


def connect(host, name_space):
    """A connection of the test's own process: the sockets are files."""
    os.environ["ADIT_RUNDIR"] = str(host.run_dir)
    try:
        return wire.Policy(name_space)
    finally:
        del os.environ["ADIT_RUNDIR"]


def call(host, method, **parameters):
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(str(host.run_dir / "adit.sock"))
        stream.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
        return next(wire.messages(stream))["parameters"]


def events(host, after=0):
    return call(host, "io.adit.events.Since", after=after)["events"]


def wait_for(what, seconds=20):
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise LabError("it did not come to be")
        time.sleep(0.1)


def add(policy, network, tunnel="v0", spdid=wire.STANDBY, verb=wire.DROP):
    policy.ask(wire.ADDRULE, spdid, wire.extension(wire.RULE, struct.pack("=IIIQ", 1, wire.IN | wire.OUT | wire.TUNNEL, 0, 0)),
               wire.text_extension(wire.TUN_NAME, tunnel), wire.prefix_extension(wire.REMADDR, network),
               wire.actions_extension([(wire.TYPE, verb), (wire.FLAGS, 0)]))


# ---- the examples

def test_a_client_applies_lists_and_looks_up(client):
    assert re.fullmatch(r"in force as generation \d+\n", client("apply", VPN, "v0", 0, "10.0.1.0/24", "2001:db8::/32").stdout)
    listed = client("list", VPN).stdout.splitlines()
    assert listed == [f"v0,1 dir out raddr 10.0.1.0/24 ipsec encr 20(256..256) namespace {VPN}",
                      f"v0,3 dir out raddr 2001:db8::/32 ipsec encr 20(256..256) namespace {VPN}",
                      f"v0,2 dir in raddr 10.0.1.0/24 ipsec encr 20(256..256) namespace {VPN}",
                      f"v0,4 dir in raddr 2001:db8::/32 ipsec encr 20(256..256) namespace {VPN}"]
    assert client("lookup", "v0", "out", "10.0.0.2", "10.0.1.2", 6, 5000, 443).stdout == listed[0] + "\n"
    refused = client("lookup", "v0", "out", "10.0.0.2", "10.9.1.2", 6, 5000, 443, check=False)
    assert refused.returncode == 1 and "no rule matches: the packet is dropped" in refused.stderr
    assert client("list", "").stdout == ""
    client("apply", VPN, "v0", 0, "10.0.2.0/24")
    assert [line.split()[4] for line in client("list", VPN).stdout.splitlines()] == ["10.0.2.0/24"] * 2


def test_a_client_says_why_it_was_refused(client, host):
    refused = client("apply", VPN, "v0", 0, "10.0.1.0/24", "10.0.1.0/24", check=False)
    assert refused.returncode == 1 and "the same entry already" in refused.stderr
    assert client("list", VPN).stdout == ""
    assert "no flip of" in client("confirm", VPN, check=False).stderr
    host.kill_aditd()
    assert client("list", VPN, check=False).returncode == 1


def test_a_change_is_undone_unless_it_is_confirmed(client, host):
    client("apply", VPN, "v0", 0, "10.0.1.0/24")
    client("apply", VPN, "v0", 60, "10.0.2.0/24")
    busy = client("apply", VPN, "v0", 0, "10.0.3.0/24", check=False)
    assert busy.returncode == 1 and "waits to be confirmed" in busy.stderr
    client("undo", VPN)
    assert "10.0.1.0/24" in client("list", VPN).stdout
    client("apply", VPN, "v0", 2, "10.0.2.0/24")
    client("confirm", VPN)
    client("apply", VPN, "v0", 1, "10.0.3.0/24")
    wait_for(lambda: "10.0.3.0/24" not in client("list", VPN).stdout)
    assert "10.0.2.0/24" in client("list", VPN).stdout
    kinds = [event["kind"] for event in events(host) if event["subject"] == VPN]
    assert kinds == ["policy.waiting", "policy.undone", "policy.waiting", "policy.confirmed", "policy.waiting", "policy.undone"]


def test_a_client_watches_and_goes_on_from_where_it_was(client, host):
    watching = host.popen([*client.argv, "watch", 2], stdout=subprocess.PIPE, text=True)
    assert watching.stdout.readline() == "watching\n"
    client("apply", VPN, "v0", 0, "10.0.1.0/24")
    client("apply", VPN, "v0", 0, "10.0.2.0/24", "10.0.3.0/24")
    said = watching.communicate(timeout=20)[0].splitlines()
    assert f"policy.changed v0: the policy of v0 changed: 2 rules added, 0 removed, 2 in force ({VPN})" in said[0]
    assert f"4 rules added, 2 removed, 4 in force ({VPN})" in said[1]
    position = said[2].removeprefix("go on from ")
    client("apply", VPN, "v0", 0, "10.0.4.0/24")
    again = client("watch", 1, position).stdout.splitlines()
    assert again[0] == "watching" and "2 rules added, 4 removed" in again[1]
    host.kill_aditd(signal.SIGKILL)
    host.start_aditd()
    later = client("watch", 1, again[2].removeprefix("go on from ")).stdout.splitlines()
    assert later[1] == "aditd was restarted"
    sequence = int(later[-1].split(":")[-1])
    assert sequence > int(position.split(":")[1]), "numbers go on"


# ---- transactions

HOLD = """
import sys; sys.path.insert(0, {folder!r})
import policy_client as wire, time
policy = wire.Policy({name!r})
policy.ask(wire.ADDRULE, 1, wire.extension(wire.RULE, wire.struct.pack("=IIIQ", 1, 7, 0, 0)), wire.text_extension(wire.TUN_NAME, "v0"),
           wire.prefix_extension(wire.REMADDR, "10.0.9.0/24"), wire.actions_extension([(0x100, 1), (0x101, 0)]))
wire.flip(policy, seconds=3)
print("flipped", flush=True)
time.sleep(600)
"""


def test_a_killed_client_does_not_keep_its_unconfirmed_change(host):
    holder = host.popen([sys.executable, "-c", HOLD.format(folder=str(HERE), name=VPN)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "flipped\n"
    policy = connect(host, VPN)
    assert len(policy.dump()[0]) == 2
    holder.send_signal(signal.SIGKILL)
    wait_for(lambda: not policy.dump()[0])
    assert [event["kind"] for event in events(host)][-1] == "policy.undone"


def test_a_killed_daemon_says_what_was_unconfirmed_and_loads_its_files(host):
    host.write("/etc/inet/ipsecinit.conf", "{tunnel v0 negotiate tunnel} ipsec {encr_algs aes-gcm sa shared}\n")
    host.adit("svcadm refresh ipsec/policy")
    policy = connect(host, "")
    add(policy, "10.0.9.0/24")
    wire.flip(policy, seconds=600)
    assert len(policy.dump()[0]) == 2
    host.kill_aditd(signal.SIGKILL)
    host.start_aditd()
    assert len(connect(host, "").dump()[0]) == 4
    undone, = [event for event in events(host) if event["kind"] == "policy.undone"]
    assert "aditd ended while a change of the policy of the global namespace waited to be confirmed" in undone["text"]


def test_nobody_sees_the_draft_of_another(host):
    one, two = connect(host, VPN), connect(host, VPN)
    add(one, "10.0.1.0/24", "v0")
    add(one, "10.0.2.0/24", "v1")
    add(two, "10.0.3.0/24", "v0")
    assert connect(host, VPN).dump()[0] == []
    first = wire.flip(one)
    assert sorted(wire.text_at(rule[wire.TUN_NAME], 4) for rule in connect(host, VPN).dump()[0]) == ["v0", "v0", "v1", "v1"]
    with pytest.raises(wire.Refused) as refused:
        wire.flip(two)
    assert refused.value.code == 11 and "clone again, or force the flip" in str(refused.value)
    assert wire.flip(two, flags=1) > first
    told = connect(host, VPN).dump()[0]
    assert [wire.printed(rule).split()[4] for rule in told] == ["10.0.3.0/24"] * 2, "every head at once"


# ---- dumps

def test_a_dump_is_one_picture_while_rules_change(host):
    """Two policies of 5,000 rules swap all the time: each dump is wholly one or the other, however slowly it is read."""
    policy = connect(host, VPN)
    for name in ("a", "b"):
        for at in range(2500):
            add(policy, f"10.{ord(name)}.{at // 250}.{at % 250}/32", name + "0")
        wire.flip(policy)
        policy.ask(1, wire.STANDBY, wire.text_extension(wire.TUN_NAME, ""))     # FLUSH
    policy.ask(7, wire.ACTIVE, wire.text_extension(wire.TUN_NAME, ""))          # CLONE: the draft is b
    policy.ask(1, wire.STANDBY, wire.text_extension(wire.TUN_NAME, "b0"))
    for at in range(2500):
        add(policy, f"10.97.{at // 250}.{at % 250}/32", "a0")
    reader = connect(host, VPN)
    changed = 0
    for _ in range(4):
        reader.send(wire.DUMP, wire.ACTIVE, wire.text_extension(wire.TUN_NAME, ""))
        reader.receive()
        heads, count = set(), 0
        while True:
            if count % 1000 == 0:
                wire.flip(policy, flags=1)                                      # the other way round
            code, parts = reader.receive()
            if wire.RULESET in parts:
                break
            heads.add(wire.text_at(parts[wire.TUN_NAME], 4))
            count += 1
        assert struct.unpack_from("=I", parts[wire.RULESET], 4)[0] == count == 5000
        assert len(heads) == 1
        changed += code == 11
    assert changed == 4, "each trailer said EAGAIN"
    assert len(reader.dump()[0]) == 5000


def test_who_does_not_read_holds_up_nobody(host):
    policy = connect(host, VPN)
    for at in range(2000):
        add(policy, f"10.0.{at // 250}.{at % 250}/32")
    wire.flip(policy)
    stuck = [connect(host, VPN) for _ in range(20)]
    for one in stuck:
        one.send(wire.DUMP, wire.ACTIVE, wire.text_extension(wire.TUN_NAME, ""))
    deaf = socket.socket(socket.AF_UNIX)
    deaf.connect(str(host.run_dir / "adit.sock"))
    deaf.sendall(b'{"method":"io.adit.events.Monitor","more":true,"parameters":{"after":0}}\0')
    assert len(policy.dump()[0]) == 4000
    for _ in range(20):
        wire.flip(policy)
    assert len(policy.dump()[0]) in (0, 4000)
    assert host.adit("dladm show-iptun").returncode == 0


# ---- events

def test_every_change_is_an_event(host, underlay):
    """Each command, and the kind of event that must come of it."""
    key = "0x" + "0123456789abcdef" * 4 + "01234567"
    steps = [
        ("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.8 v0", {"link.created"}),
        (["sh", "-c", "echo '{tunnel v0 negotiate tunnel} ipsec {encr_algs aes-gcm(256)}' | adit ipsecconf -q -a -"], {"policy.changed", "link.state"}),
        (f"ipseckey add esp spi 0x1001 src 1.2.3.4 dst 5.6.7.8 isrc 0.0.0.0/0 idst 0.0.0.0/0 encr_alg aes-gcm encrkey {key}", {"key.added"}),
        ("ipseckey update esp spi 0x1001 dst 5.6.7.8 hard_bytes 100000", {"key.changed"}),
        ("ipseckey delete esp spi 0x1001 dst 5.6.7.8", {"key.deleted"}),
        (f"ipseckey add esp spi 0x1002 src 1.2.3.4 dst 5.6.7.8 isrc 0.0.0.0/0 idst 0.0.0.0/0 hard_addtime 1 encr_alg aes-gcm encrkey {key}",
         {"key.added"}),
        (["sleep", "3"], {"key.expired"}),
        ("dladm set-linkprop -p hoplimit=10 v0", {"link.changed"}),
        ("dladm modify-iptun -a remote=5.6.7.9 v0", {"link.changed"}),
        ("ipadm create-addr -T static -a local=10.0.0.1,remote=10.0.1.1 v0/v4", {"address.created", "guard.closed"}),
        ("ipadm down-addr v0/v4", {"address.changed"}),
        ("ipadm up-addr v0/v4", {"address.changed"}),
        ("route add 10.0.1.0/24 10.0.1.1", {"route.added", "guard.closed"}),
        ("route delete 10.0.1.0/24 10.0.1.1", {"route.deleted", "guard.opened"}),
        ("ipadm set-prop -p hostmodel=strong ipv4", {"property.changed"}),
        ("svcadm disable ipsec/policy", {"service.state", "policy.changed", "link.state"}),
        ("svcadm enable ipsec/policy", {"service.state"}),
        ("ipadm delete-addr v0/v4", {"address.deleted"}),
        ("ipadm delete-if v0", {"interface.deleted"}),
        ("dladm rename-link v0 v1", {"link.renamed"}),
        ("dladm delete-iptun v1", {"link.deleted"}),
    ]
    for command, kinds in steps:
        last = call(host, "io.adit.events.Since", after=0)["sequence"]
        host.sh(command) if isinstance(command, list) else host.adit(command)
        came = events(host, last)
        assert kinds <= {event["kind"] for event in came}, f"{command}: {came}"
        assert [event["sequence"] for event in came] == list(range(last + 1, last + 1 + len(came)))
    assert "0123456789abcdef" not in json.dumps(events(host)), "no key is in an event"


def test_a_guard_taken_away_is_an_event(host, underlay):
    host.adit("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.8 v0")
    host.adit("ipadm create-addr -T static -a local=10.0.0.1,remote=10.0.1.1 v0/v4")
    host.sh("nft flush ruleset")
    wait_for(lambda: any(event["kind"] == "guard.restored" and event["severity"] == "alert" for event in events(host)))


def test_monitor_and_the_command_tell_the_same(host):
    last = call(host, "io.adit.events.Since", after=0)
    watching = host.popen([BUILD / "bin" / "adit", "monitor", "--json", "--after", f"{last['instance']}:0"], stdout=subprocess.PIPE, text=True)
    begun = json.loads(watching.stdout.readline())
    assert begun["instance"] == last["instance"] and not begun["restarted"]
    held = [json.loads(watching.stdout.readline())["event"] for _ in last["events"]]
    assert held == last["events"]
    watching.kill()
    gone = host.popen([BUILD / "bin" / "adit", "monitor", "-a", "0000000000000000:1"], stdout=subprocess.PIPE, text=True)
    assert gone.stdout.readline().startswith("-- aditd was restarted")
    gone.kill()
