"""Whatever leaves a tunnel passing clear text names it, always: in the command that did it, as an alert, and as OPEN in the
status. So does whatever shuts a secured one."""
import json
import socket
import subprocess

import guide
import pytest
from breaking import status, wait_for
from lab import BUILD

BLOCK = "{tunnel NAME negotiate tunnel} ipsec {encr_algs aes-gcm}\n"


def alerts(host, tunnel):
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(str(host.run_dir / "adit.sock"))
        stream.sendall(b'{"method":"io.adit.events.Since","parameters":{"after":0}}\0')
        answer = b""
        while not answer.endswith(b"\0"):
            answer += stream.recv(1 << 16)
    events = json.loads(answer[:-1])["parameters"]["events"]
    return [event["text"] for event in events if event["severity"] == "alert" and event["subject"] == tunnel]


def tunnel(host, name):
    row, = [row for row in status(host)["tunnels"] if row["name"] == name]
    return row


def line_of(host, name):
    line, = [line for line in host.adit("adit status").stdout.splitlines() if line.startswith(name + " ")]
    return line


@pytest.fixture
def alice(world):
    """t0 secured, u0 not; their rules are in the policy's file. p0's are its property."""
    alice = world.alice
    alice.write("/etc/inet/ipsecinit.conf", BLOCK.replace("NAME", "t0") + BLOCK.replace("NAME", "u0"))
    alice.write("/etc/inet/one.conf", BLOCK.replace("NAME", "u0"))
    alice.start_aditd()
    for number, words in enumerate(("-S", "", "-p ipsec={encr_algs@aes-gcm}")):
        name = ("t0", "u0", "p0")[number]
        alice.adit([word.replace("@", " ") for word in
                    f"dladm create-iptun {words} -T ipv4 -a local=1.2.3.4,remote=5.6.7.{8 + number} {name}".split()])
    alice.adit("ipadm create-addr -T static -a local=10.0.0.1,remote=10.0.1.1 t0/v4")
    alice.adit("adit route add 10.0.1.0/24 10.0.1.1")
    assert not any(tunnel(alice, name)["open"] for name in ("t0", "u0", "p0"))
    return alice


def lose_a_rule(host):
    host.write("/etc/inet/ipsecinit.conf", BLOCK.replace("NAME", "t0"))
    return host.adit("svcadm refresh ipsec/policy")


def one_by_one(host):
    said = ""
    for line in host.adit("ipsecconf -L -n").stdout.splitlines():
        if line.startswith("#INDEX u0,"):
            done = host.adit(f"ipsecconf -q -d {line.split()[1]}")
            said += done.stderr
    done.stderr = said
    return done


def undo(host):
    host.adit("ipsecconf -q -f -i u0")
    host.adit(f"ipsecconf -q --confirm 60 -a {host.root}/etc/inet/one.conf")
    assert not tunnel(host, "u0")["open"]
    return host.adit("ipsecconf undo")


OPENS = {
    "ipsecconf -F": ("u0", lambda host: host.adit("ipsecconf -q -F")),
    "ipsecconf -f -i": ("u0", lambda host: host.adit("ipsecconf -q -f -i u0")),
    "ipsecconf -d": ("u0", one_by_one),
    "ipsecconf -r": ("u0", lambda host: host.adit(f"ipsecconf -q -r {host.root}/etc/inet/one.conf")),
    "ipsecconf undo": ("u0", undo),
    "a file that lost a rule": ("u0", lose_a_rule),
    "svcadm disable ipsec/policy": ("u0", lambda host: host.adit("svcadm disable ipsec/policy")),
    "dladm reset-linkprop": ("p0", lambda host: host.adit("dladm reset-linkprop -f -p ipsec p0")),
    "dladm create-iptun": ("n0", lambda host: host.adit("dladm create-iptun -T ipv4 -a local=1.2.3.4,remote=5.6.7.20 n0")),
}


@pytest.mark.parametrize("what", OPENS)
def test_told_what_opens_an_unsecured_tunnel(alice, what):
    name, act = OPENS[what]
    said = act(alice).stderr
    sentence, = [line.split(": ", 1)[1] for line in said.splitlines() if f": {name} is OPEN: " in line]
    assert "not secured (-S)" in sentence and "close it" in sentence, sentence
    assert sentence in alerts(alice, name)
    row = tunnel(alice, name)
    assert (row["state"], row["open"], row["why_open"]) == ("OPEN", True, sentence)
    assert " OPEN " in line_of(alice, name) and sentence in line_of(alice, name)
    assert f"alert: {sentence}" in alice.log()
    closed = alice.write("/etc/inet/closed.conf", BLOCK.replace("NAME", name))
    assert alice.adit(f"ipsecconf -q -a {closed}").stderr == "", "and what the sentence says closes it"
    assert (tunnel(alice, name)["open"], tunnel(alice, name)["why_open"]) == (False, "")


SHUTS = {
    "ipsecconf -F": lambda host: host.adit("ipsecconf -q -F"),
    "ipsecconf -f -i": lambda host: host.adit("ipsecconf -q -f -i t0"),
    "svcadm disable ipsec/policy": lambda host: host.adit("svcadm disable ipsec/policy"),
    "svcadm disable network/iptun": lambda host: host.adit("svcadm disable network/iptun"),
}


@pytest.mark.parametrize("what", SHUTS)
def test_told_what_shuts_a_secured_tunnel(alice, what):
    said = SHUTS[what](alice).stderr
    sentence, = [line.split(": ", 1)[1] for line in said.splitlines() if line.split(": ", 1)[1].startswith("t0 ")]
    assert "10.0.1.0/24" in sentence and "closed" in sentence and ("ipsecconf -a" in sentence or "svcadm enable" in sentence)
    assert sentence in alerts(alice, "t0")
    row = tunnel(alice, "t0")
    assert (row["state"], row["open"], row["why_down"]) == ("down", False, sentence)
    assert sentence in line_of(alice, "t0")


def test_told_when_nobody_confirms(alice):
    """No command waits any more: the alert and the status say it."""
    alice.adit("ipsecconf -q -f -i u0")
    alice.adit(f"ipsecconf -q --confirm 2 -a {alice.root}/etc/inet/one.conf")
    before = len([text for text in alerts(alice, "u0") if "u0 is OPEN" in text])
    assert not tunnel(alice, "u0")["open"]
    wait_for(lambda: tunnel(alice, "u0")["open"], what="the confirmation running out")
    assert len([text for text in alerts(alice, "u0") if "u0 is OPEN" in text]) == before + 1
    undone, = [text for text in alerts(alice, "") if "nobody confirmed it in time" in text]
    assert "u0 is OPEN" in undone


def test_told_to_who_monitors(alice):
    watching = alice.popen([BUILD / "bin" / "adit", "monitor", "--json"], stdout=subprocess.PIPE, text=True)
    watching.stdout.readline()                   # its position: it listens
    said = alice.adit("ipsecconf -q -f -i u0").stderr
    event = next(part["event"] for part in map(json.loads, watching.stdout) if part["event"]["kind"] == "link.open")
    watching.terminate()
    assert (event["severity"], event["subject"]) == ("alert", "u0") and said == f"ipsecconf: {event['text']}\n"


def test_told_again_at_a_start(alice):
    alice.adit("svcadm disable ipsec/policy")
    alice.kill_aditd()
    alice.start_aditd()
    assert any("u0 is OPEN" in text for text in alerts(alice, "u0"))
    assert any("t0 carries nothing" in text and "10.0.1.0/24" in text for text in alerts(alice, "t0"))
    assert tunnel(alice, "u0")["state"] == "OPEN"


def test_told_on_the_guides_tunnels(world):
    """The guide makes its tunnels without -S after the policy: none of its commands opens one."""
    guide.set_up(world, secured=False)
    assert not tunnel(world.alice, "v4_bob0")["open"]
    assert "v4_bob0 is OPEN" in world.alice.adit("ipsecconf -q -F").stderr
