"""Namespaces: what is delegated to a user works, and everything else that the user may try is refused, with a reason."""
import errno
import json
import os
import re

import pytest

import messages
from breaking import wait_for
from lab import BUILD
from messages import ALL, BYPASS, Keys, NOBODY, Policy, Refused

VPN, NFS, STRANGER = "svc:/site/vpn:default", "svc:/site/nfs:default", 65533
KEY = bytes(range(1, 37))
NOT_PERMITTED = 46                                # SPD_DIAGNOSTIC_NOT_PERMITTED
KEYS_NOT_PERMITTED, OTHER_NAMESPACE = 209, 200    # SADB_X_DIAGNOSTIC_


@pytest.fixture
def alice(world):
    """Alice with two tunnels of the VPN's and one of the operator's, and a namespace for user nobody."""
    world.lab.tmp.chmod(0o755)
    host = world.alice
    host.start_aditd()
    host.write("/etc/inet/ipsecinit.conf", "{tunnel op0 negotiate tunnel} ipsec {encr_algs aes-gcm sa shared}\n")
    for name, remote, options in (("vpn0", "5.6.7.8", "-S"), ("vpn1", "5.6.7.9", ""), ("op0", "5.6.7.10", "-S")):
        host.adit(f"dladm create-iptun {options} -T ipv4 -a local=1.2.3.4,remote={remote} {name}")
    host.adit("svcadm refresh ipsec/policy")
    host.adit(f"adit namespace create -u nobody -t vpn* -q 12 -k 6 {VPN}")
    return host


def refused(what, code=errno.EPERM, diagnostic=(NOT_PERMITTED, KEYS_NOT_PERMITTED), word=""):
    with pytest.raises(Refused) as caught:
        what()
    refusal = caught.value
    assert refusal.code == code, refusal
    assert refusal.diagnostic in (diagnostic if isinstance(diagnostic, tuple) else (diagnostic,)), refusal
    assert len(refusal.text) > 20 and word in refusal.text, refusal
    return refusal.text


def rules(host, *options):
    return host.adit(["ipsecconf", *options, "-L", "-n"]).stdout


def up(host, name):
    row, = [line for line in host.adit("dladm show-link -p -o link,state").stdout.splitlines() if line.startswith(name + ":")]
    return row.endswith(":up")


def as_nobody(host, command):
    words = command.removeprefix("adit ").split()
    return host.sh(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", BUILD / "bin" / "adit", *words], check=False)


def test_the_user_manages_its_own_rules_and_keys(alice):
    with Policy(alice, VPN, NOBODY) as policy, Keys(alice, VPN, NOBODY) as keys:
        last = policy.add("vpn0")
        assert up(alice, "vpn0")
        assert [rule[:2] for rule in policy.dump()] == [("vpn0", VPN)] * last
        keys.add(0x3001, "1.2.3.4", "5.6.7.8", KEY)
        keys.add(0x3002, "5.6.7.8", "1.2.3.4", KEY)
        assert keys.dump() == [(0x3001, VPN), (0x3002, VPN)]
        assert 9 in keys.get(0x3001, "5.6.7.8"), "its own key"
        policy.clone()
        policy.add("vpn1", spdid=messages.STANDBY)
        policy.flip()
        assert {rule[0] for rule in policy.dump()} == {"vpn0", "vpn1"}
        policy.delete("vpn0", policy.dump("vpn0")[0][2])
        keys.delete(0x3001, "5.6.7.8")
        keys.flush()
        policy.flush()
        assert (policy.dump(), keys.dump()) == ([], [])
    assert "#INDEX op0," in rules(alice)


def test_the_users_commands_work_in_its_namespace(alice):
    path = alice.root / "vpn.conf"
    path.write_text("{tunnel vpn0 negotiate tunnel} ipsec {encr_algs aes-gcm(256) sa shared}\n")
    path.chmod(0o644)
    done = as_nobody(alice, f"ipsecconf -q -N {VPN} -a {path}")
    assert done.returncode == 0, done.stderr
    listed = as_nobody(alice, f"ipsecconf -N {VPN} -L -n")
    assert listed.returncode == 0 and "tunnel vpn0" in listed.stdout, listed.stderr
    done = as_nobody(alice, f"ipseckey -N {VPN} add esp spi 0x3001 src 1.2.3.4 dst 5.6.7.8 encr_alg aes-gcm encrkey {KEY.hex()}")
    assert done.returncode == 0, done.stderr
    assert "spi=0x3001" in as_nobody(alice, f"ipseckey -n -N {VPN} dump").stdout
    assert as_nobody(alice, "adit namespace list").returncode == 0
    for command in ("ipsecconf -L", "ipsecconf -F", "ipseckey dump", "ipseckey flush", "ipsecalgs -s", "svcadm restart ipsec/policy",
                    "dladm create-iptun -T ipv4 -a local=1.2.3.4,remote=5.6.7.77 vpn7", "dladm delete-iptun vpn0",
                    f"adit namespace delegate -t op* {VPN}", f"adit namespace delete -r {VPN}", "adit guard open 10.0.0.0/8"):
        done = as_nobody(alice, command)
        assert done.returncode != 0, command
        assert re.search("(?i)permission|privilege|run as root|not permitted", done.stderr), (command, done.stderr)
    assert "#INDEX op0," in rules(alice)


def test_everything_else_of_pf_policy_is_refused(alice):
    with Policy(alice, NFS) as root:
        root.add("vpn1")
    with Policy(alice, VPN, NOBODY) as policy:
        policy.add("vpn0")
        before = rules(alice)
        for head in ("", "op0", "xvpn0", "elsewhere0"):
            refused(lambda: policy.add(head))
            refused(lambda: policy.flush(head))
            refused(lambda: policy.add(head, spdid=messages.STANDBY))
            refused(lambda: policy.delete(head, 1))
            refused(lambda: policy.clone(head))
            refused(lambda: policy.flip(head))
        refused(lambda: policy.lookup("op0", "10.0.0.1", "10.0.1.1"))
        refused(lambda: policy.lookup("vpn1", "10.0.0.1", "10.0.1.1"), word=NFS)
        refused(lambda: policy.add("vpn0", BYPASS, remote="10.9.0.0/16"), word="clear text")
        refused(lambda: policy.add("vpn1", priority=0xffffffff), word=NFS)
        refused(lambda: policy.delete("vpn1", 1), word=NFS)
        algorithms = policy.ask(messages.DUMPALGS, 0)[6]
        refused(lambda: policy.ask(messages.UPDATEALGS, 0, policy.head("vpn0"), policy.ext(6, algorithms)), word="algorithms")
        for flags in (1, 2):                      # ALL, OVERRIDE
            policy.flags = flags
            refused(policy.dump)
            refused(lambda: policy.delete("op0", 1))
            refused(policy.flush)
        policy.flags = 0
    for namespace in ("", NFS, "svc:/network/iptun:default", "svc:/network/ipsec/policy:default", "nobody's"):
        with Policy(alice, namespace, NOBODY) as policy:
            for attempt in (lambda: policy.add("vpn0"), policy.flush, policy.dump, policy.clone, policy.flip,
                            lambda: policy.delete("vpn0", 1), lambda: policy.lookup("vpn0", "10.0.0.1", "10.0.1.1")):
                refused(attempt)
    with Policy(alice, VPN, STRANGER) as policy:
        for attempt in (lambda: policy.add("vpn0"), policy.flush, policy.dump, policy.flip):
            refused(attempt, word=str(STRANGER))
    assert rules(alice) == before


def test_everything_else_of_pf_key_is_refused(alice):
    with Keys(alice) as root:
        root.add(0x2001, "1.2.3.4", "5.6.7.10", KEY)
    with Keys(alice, NFS) as root:
        root.add(0x2002, "1.2.3.4", "5.6.7.8", KEY)
    with Keys(alice, VPN, NOBODY) as keys:
        keys.add(0x3001, "1.2.3.4", "5.6.7.8", KEY)
        for source, destination in (("1.2.3.4", "5.6.7.10"), ("5.6.7.10", "1.2.3.4"), ("1.2.3.4", "9.9.9.9"), ("0.0.0.0", "5.6.7.8"),
                                    ("5.6.7.8", "5.6.7.8"), ("1.2.3.4", "1.2.3.4"), ("127.0.0.1", "127.0.0.1")):
            refused(lambda: keys.add(0x3009, source, destination, KEY))
            refused(lambda: keys.ask(messages.GETSPI, 3, keys.address(5, source), keys.address(6, destination),
                                     keys.ext(16, messages.struct.pack("!III", 0x4000, 0x4fff, 0))))
        for spi, destination, owner in ((0x2001, "5.6.7.10", "global"), (0x2002, "5.6.7.8", NFS)):
            refused(lambda: keys.get(spi, destination), diagnostic=OTHER_NAMESPACE, word=owner)
            refused(lambda: keys.delete(spi, destination), diagnostic=OTHER_NAMESPACE, word=owner)
        refused(lambda: keys.add(0x2002, "1.2.3.4", "5.6.7.8", KEY, kind=messages.UPDATE), diagnostic=OTHER_NAMESPACE, word=NFS)
        refused(lambda: keys.ask(messages.PROMISC, 1), word="listen")
        refused(lambda: keys.ask(messages.ACQUIRE, 3, keys.address(5, "1.2.3.4"), keys.address(6, "5.6.7.10")), word="other key managers")
        refused(lambda: keys.ask(messages.INVERSE, 0, keys.address(5, "1.2.3.4"), keys.address(6, "5.6.7.10")), word="another namespace")
        keys.flags = 1
        for attempt in (keys.dump, keys.flush, lambda: keys.get(0x2001, "5.6.7.10"), lambda: keys.delete(0x2001, "5.6.7.10")):
            refused(attempt)
        keys.flags = 0
        assert keys.dump() == [(0x3001, VPN)], "and sees nothing but its own"
    for namespace in ("", NFS):
        with Keys(alice, namespace, NOBODY) as keys:
            for attempt in (keys.dump, keys.flush, keys.register, lambda: keys.get(0x2001, "5.6.7.10"),
                            lambda: keys.add(0x3009, "1.2.3.4", "5.6.7.8", KEY)):
                refused(attempt)
    with Keys(alice, VPN, STRANGER) as keys:
        refused(keys.dump, word=str(STRANGER))
    with Keys(alice, flags=1) as root:
        assert sorted(root.dump()) == [(0x2001, ""), (0x2002, NFS), (0x3001, VPN)]


def test_a_listener_hears_of_its_own_namespace_only(alice):
    with Keys(alice, VPN, NOBODY) as ear, Keys(alice, VPN, NOBODY) as mine, Keys(alice) as root, Keys(alice, NFS) as nfs:
        ear.register()
        root.add(0x2001, "1.2.3.4", "5.6.7.10", KEY)
        nfs.add(0x2002, "1.2.3.4", "5.6.7.8", KEY)
        root.delete(0x2001, "5.6.7.10")
        nfs.flush()
        alice.sh("ping -c 1 -W 1 -I op0 10.77.0.1", check=False)      # raises an ACQUIRE of the operator's rule
        mine.add(0x3001, "1.2.3.4", "5.6.7.8", KEY)
        kind, code, _, _, found = ear.receive()
        assert (kind, code) == (messages.ADD, 0)
        assert found[200][4:].split(b"\0")[0].decode() == VPN and 9 not in found


def test_quotas_hold_on_the_wire(alice):
    with Policy(alice, VPN, NOBODY) as policy, Keys(alice, VPN, NOBODY) as keys:
        for number in range(6):
            policy.add("vpn0", remote=f"10.{number}.0.0/16")
        refused(lambda: policy.add("vpn0", remote="10.9.0.0/16"), errno.EDQUOT, 48, VPN)
        for number in range(6):
            keys.add(0x3001 + number, "1.2.3.4", "5.6.7.8", KEY)
        refused(lambda: keys.add(0x3100, "1.2.3.4", "5.6.7.8", KEY), errno.EDQUOT, 210, VPN)


def test_users_cannot_keep_root_out(alice):
    held = []
    for _ in range(80):
        try:
            held.append(Policy(alice, VPN, NOBODY))
            held[-1].dump()
        except (Refused, OSError):
            break
    assert 8 <= len(held) <= 49          # the last one was refused at its first request
    assert "op0" in rules(alice)
    for client in held:
        client.close()


def test_records_stay_without_their_owner_until_the_lease_is_over(alice):
    def shown(field):
        return alice.adit(f"adit namespace show -p -o {field} {VPN}").stdout.strip()

    assert shown("state") == "empty"
    with Policy(alice, VPN, NOBODY) as policy:
        policy.add("vpn0")
        policy.add("vpn1")
        assert shown("state") == "owned"
    wait_for(lambda: shown("state") == "ownerless", what="the connection's end")
    assert up(alice, "vpn0") and up(alice, "vpn1")
    with Policy(alice, VPN, NOBODY) as policy:
        policy.dump()
        assert shown("state") == "owned"
    alice.adit(f"adit namespace delegate -l 2 {VPN}")
    wait_for(lambda: shown("rules") == "0", seconds=20, what="the end of the lease")
    assert not up(alice, "vpn0") and not up(alice, "vpn1"), "neither opened"
    assert f"the lease of namespace {VPN} is over" in alice.log()
    with Policy(alice, VPN, NOBODY) as policy:
        policy.add("vpn1")
        assert up(alice, "vpn1")


def test_a_restarted_daemon_waits_for_the_owner_closed(alice):
    with Policy(alice, VPN, NOBODY) as policy:
        policy.add("vpn0")
        policy.add("vpn1")
    alice.kill_aditd()
    alice.start_aditd()
    assert not up(alice, "vpn0") and not up(alice, "vpn1")
    assert VPN in alice.adit("adit namespace list").stdout
    with Policy(alice, VPN, NOBODY) as policy:
        policy.add("vpn0")
        policy.add("vpn1")
    assert up(alice, "vpn0") and up(alice, "vpn1")


def test_override_is_roots_and_an_event(alice):
    with Policy(alice, VPN, NOBODY) as policy:
        index = policy.add("vpn0")
    with Policy(alice) as root:
        refused(lambda: root.delete("vpn0", index), word=VPN)
    with Policy(alice, flags=2) as root:
        root.delete("vpn0", index)
    assert "overrode other namespaces" in alice.log()
    refusal = alice.adit("ipseckey delete esp spi 0x3001 dst 5.6.7.8", check=False)
    assert refusal.returncode != 0
    with Keys(alice, VPN, NOBODY) as keys:
        keys.add(0x3001, "1.2.3.4", "5.6.7.8", KEY)
    refusal = alice.adit("ipseckey delete esp spi 0x3001 dst 5.6.7.8", check=False)
    assert refusal.returncode == 1 and VPN in refusal.stderr, refusal.stderr
    alice.adit("ipseckey --override delete esp spi 0x3001 dst 5.6.7.8")
    assert "overrode other namespaces: DELETE" in alice.log()


def test_listings_show_whose_a_rule_is(alice):
    with Policy(alice, VPN, NOBODY) as policy:
        policy.add("vpn0")
    with Keys(alice, VPN, NOBODY) as keys:
        keys.add(0x3001, "1.2.3.4", "5.6.7.8", KEY)
    listed = rules(alice)
    assert f"#NAMESPACE {VPN}\n#INDEX vpn0,1\n" in listed and "\n#INDEX op0," in "\n" + listed
    assert "#NAMESPACE" not in rules(alice, "-N", VPN)
    assert "vpn0" not in rules(alice, "-N", "")
    table = alice.adit("ipsecconf -L -n -p -o tunnel,namespace,direction").stdout.splitlines()
    assert "vpn0:svc\\:/site/vpn\\:default:out" in table and "op0::in" in table, table
    assert {row["namespace"] for row in json.loads(rules(alice, "--json"))} == {"", VPN}
    assert f'Namespace "{VPN}"' in alice.adit("ipseckey -n dump").stdout
    assert f'Namespace "{VPN}"' in alice.adit("ipseckey -n get esp spi 0x3001 dst 5.6.7.8").stdout


def test_deleting_says_what_it_closes(alice):
    with Policy(alice, VPN, NOBODY) as policy:
        policy.add("vpn0")
        policy.add("vpn1")
    refusal = alice.adit(f"adit namespace delete {VPN}", check=False)
    assert refusal.returncode == 1 and "-r" in refusal.stderr
    said = alice.adit(f"adit namespace delete -r {VPN}").stderr
    assert "vpn0" in said and "vpn1" in said and "passes nothing" in said, said
    assert not up(alice, "vpn0") and not up(alice, "vpn1")
    assert VPN not in alice.adit("adit namespace list").stdout


def test_root_is_never_asked(alice):
    assert os.geteuid() == 0
    with Policy(alice, VPN) as root, Keys(alice, VPN) as keys:
        root.add("vpn0")
        root.add("elsewhere0")
        keys.add(0x3001, "1.2.3.4", "9.9.9.9", KEY)
        assert root.dump(ALL)
