"""10,000 rules replaced in one flip, again and again under traffic: nothing leaks, nothing is dropped, and the tunnel's other end never
sees a packet in the clear. How long the engine needs is bench/micro_policy.cpp's to say."""
import importlib.util
import json
import os
import re
import struct
import subprocess

from lab import REPO, Seen

spec = importlib.util.spec_from_file_location("policy_client", REPO / "examples" / "policy-client" / "policy_client.py")
wire = importlib.util.module_from_spec(spec)
spec.loader.exec_module(wire)

PAIRS, FLIPS = 2500, 30              # an entry of one port is two pairs: out and in, IPv4 and IPv6
ALL = wire.text_extension(wire.TUN_NAME, "")
AES_SHA512 = [(wire.TYPE, wire.IPSEC), (wire.FLAGS, 0x42), (wire.ESP_ENCR, 12), (wire.ENCR_MINBITS, 128), (wire.ENCR_MAXBITS, 256),
              (0x104, 7), (0x110, 512), (0x111, 512)]


def fill(policy, tunnel, first_port):
    """Rules for so many TCP ports, and one for all the rest."""
    for at in range(PAIRS):
        last = at + 1 == PAIRS
        port = [] if last else [wire.extension(wire.PROTO, bytes([6])), wire.extension(wire.REMPORT, struct.pack("!HH", first_port + at, 0))]
        policy.ask(wire.ADDRULE, wire.STANDBY,
                   wire.extension(wire.RULE, struct.pack("=IIIQ", 0x4fffff - at, wire.IN | wire.OUT | wire.TUNNEL, 0, 0)),
                   wire.text_extension(wire.TUN_NAME, tunnel), *port, wire.actions_extension(AES_SHA512))


def dropped(host):
    """By reason and direction, on any link."""
    return [drop for drop in json.loads(host.adit("adit netstat -s --json").stdout)["drops"] if drop["in"] + drop["out"] > 0]


def test_ten_thousand_rules_replaced_under_traffic(up):
    os.environ["ADIT_RUNDIR"] = str(up.alice.run_dir)
    policy = wire.Policy("")
    del os.environ["ADIT_RUNDIR"]
    fill(policy, "v4_bob0", 10000)
    wire.flip(policy)
    policy.ask(1, wire.STANDBY, ALL)                                  # FLUSH: the guide's rule, which was swapped out
    fill(policy, "v4_bob0", 20000)
    before, capture = dropped(up.alice), up.capture()
    pings = {target: up.alice_host.popen(["ping", "-n", "-q", "-i", "0.01", "-c", "600", "-W", "5", target], stdout=subprocess.PIPE, text=True)
             for target in ("10.0.1.2", "2001:470:24:c67::2")}
    generations = []
    flips = 0
    while any(ping.poll() is None for ping in pings.values()) or flips < FLIPS:
        generations.append(wire.flip(policy))                         # the draft is the other one now
        flips += 1
    for target, ping in pings.items():
        said = ping.communicate(timeout=60)[0]
        assert re.search(r"600 packets transmitted, 600 received, 0% packet loss", said), f"{target}: {said}"
    seen = Seen(capture.stop())
    assert generations == sorted(set(generations)) and flips >= FLIPS
    assert seen.readable == [] and seen.clear_tunnel == 0, f"LEAK: {seen}"
    assert seen.protected >= 2400
    assert dropped(up.alice) == before, "packets were dropped"
    rules, newest = policy.dump()
    assert len(rules) == 4 * PAIRS and newest
