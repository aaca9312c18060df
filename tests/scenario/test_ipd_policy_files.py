"""IPD 46, "IPsec policy should be read from multiple files": its examples as written, output compared; what follows from them
(links that come and go, order, origins, the check, the diff); and that no broken set of files lets anything out in the clear."""
import json
import os
import re

import guide
import pytest
from breaking import Breaking, link
from lab import BUILD

RULE = "{{ tunnel {tunnel} negotiate tunnel dir {dir} }} ipsec {{ encr_algs aes-gcm(128..256) encr_auth_algs hmac-sha256(256) sa shared }}"
POLICY = "{\n    negotiate tunnel\n} ipsec {\n    encr_algs aes-gcm\n    encr_auth_algs hmac-sha256\n}\n"


def typed(host, script):
    """What a reader of the IPD types, prompt and here-documents included; the files are this instance's."""
    commands = re.sub(r"^# ", "", script, flags=re.M).replace("/etc/inet", f"{host.root}/etc/inet")
    path = host.lab.tmp / "links"
    if not path.exists():
        path.mkdir()
        for name in ("svcadm", "ipsecconf", "dladm", "ipadm"):
            (path / name).symlink_to(BUILD / "bin" / "adit")
    return host.sh(["env", f"PATH={path}:{os.environ['PATH']}", "sh", "-e", "-c", commands]).stdout


def listed(tunnel, first=1):
    """`ipsecconf -L` of one entry: out and in, each for both families."""
    return "".join(f"#INDEX {tunnel},{first + at}\n{RULE.format(tunnel=tunnel, dir=direction)}\n"
                   for at, direction in enumerate(("out", "out", "in", "in")))


def tunnel_file(host, name):
    return host.root / "etc/inet/ipsecinit.d/tunnels" / f"{name}.conf"


def linked(host, name, target):
    tunnel_file(host, name).parent.mkdir(parents=True, exist_ok=True)
    tunnel_file(host, name).symlink_to(target)


def state(host, name):
    return link(host, name)["state"]


@pytest.fixture
def alice(world):
    world.alice.start_aditd()
    return world.alice


# ---- the IPD's examples

def test_ipd_example_a_directory_of_policy_shards(alice):
    output = typed(alice, """\
# mkdir -p /etc/inet/ipsecinit.d

# cat >/etc/inet/ipsecinit.d/00_allow_cleartext_dns.conf <<EOF
{ lport 53 } bypass {}
{ rport 53 } bypass {}
EOF

# cat >/etc/inet/ipsecinit.d/50_tunnel_mytun0.conf <<EOF
{
    tunnel mytun0
    negotiate tunnel
} ipsec {
    encr_algs aes-gcm
    encr_auth_algs hmac-sha256
}
EOF

# svcadm refresh svc:/network/ipsec/policy
""")
    assert output == ""
    assert typed(alice, "# ipsecconf -L -n") == (
        "#INDEX 1\n{ lport 53 dir out } pass { }\n#INDEX 5\n{ rport 53 dir out } pass { }\n"
        "#INDEX 2\n{ lport 53 dir out } pass { }\n#INDEX 6\n{ rport 53 dir out } pass { }\n"
        "#INDEX 3\n{ lport 53 dir in } pass { }\n#INDEX 7\n{ rport 53 dir in } pass { }\n"
        "#INDEX 4\n{ lport 53 dir in } pass { }\n#INDEX 8\n{ rport 53 dir in } pass { }\n") + listed("mytun0")


def test_ipd_example_equals_the_files_one_behind_the_other(alice):
    """As the IPD has it: functionally equivalent to concatenating the shards in lexicographical order of file name."""
    shards = {"00_dns.conf": "{ lport 53 } bypass {}\n", "10_B.conf": "{ lport 9 } drop {}\n",
              "10_a.conf": "{ lport 9 ulp udp } bypass {}\n", "9.conf": "{ rport 9 } drop {}\n"}
    for name, text in shards.items():
        alice.write(f"/etc/inet/ipsecinit.d/{name}", text)
    alice.adit("svcadm refresh ipsec/policy")
    apart = json.loads(alice.adit("ipsecconf -L --json").stdout)
    for name in shards:
        (alice.root / "etc/inet/ipsecinit.d" / name).unlink()
    alice.write("/etc/inet/ipsecinit.conf", "".join(shards[name] for name in ("00_dns.conf", "10_B.conf", "10_a.conf", "9.conf")))
    alice.adit("svcadm refresh ipsec/policy")
    together = json.loads(alice.adit("ipsecconf -L --json").stdout)
    assert len(apart) == 16
    assert [(rule["text"], rule["priority"], rule["index"]) for rule in apart] == \
        [(rule["text"], rule["priority"], rule["index"]) for rule in together]


def test_ipd_example_a_file_for_a_tunnel_by_its_name(alice):
    typed(alice, """\
# mkdir -p /etc/inet/ipsecinit.d/tunnels

# cat >/etc/inet/ipsecinit.d/tunnels/mytun0.conf <<EOF
{
    negotiate tunnel
} ipsec {
    encr_algs aes-gcm
    encr_auth_algs hmac-sha256
}
EOF
# svcadm refresh svc:/network/ipsec/policy
""")
    assert typed(alice, "# ipsecconf -L") == listed("mytun0")


def test_ipd_one_policy_for_all_tunnels_by_links_that_come_and_go(alice):
    """As the IPD has it: one global policy file, and symbolic links to it added and removed for tunnels."""
    alice.write("/etc/inet/everybody.policy", POLICY)
    for number in range(3):
        alice.adit(f"dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.{8 + number} mytun{number}")
    assert [state(alice, f"mytun{number}") for number in range(3)] == ["down"] * 3
    typed(alice, """\
# mkdir -p /etc/inet/ipsecinit.d/tunnels
# ln -s ../../everybody.policy /etc/inet/ipsecinit.d/tunnels/mytun0.conf
# ln -s ../../everybody.policy /etc/inet/ipsecinit.d/tunnels/mytun1.conf
# svcadm refresh ipsec/policy
""")
    assert [state(alice, f"mytun{number}") for number in range(3)] == ["up", "up", "down"]
    assert typed(alice, "# ipsecconf -L") == listed("mytun0") + listed("mytun1")
    refreshed = typed(alice, """\
# ln -s ../../everybody.policy /etc/inet/ipsecinit.d/tunnels/mytun2.conf
# rm /etc/inet/ipsecinit.d/tunnels/mytun0.conf
# svcadm -v refresh ipsec/policy
""")
    assert refreshed == (
        "Action refresh set for svc:/network/ipsec/policy:default.\n"
        "mytun0 goes down: it requires security (-S) and no rule is left; its networks stay closed\n"
        "mytun2 goes up: it has rules now\n"
        "4 policy rules added, 4 removed, 4 kept.\n")
    assert [state(alice, f"mytun{number}") for number in range(3)] == ["down", "up", "up"]
    origins = {rule["tunnel"]: rule["origin"]["file"] for rule in json.loads(alice.adit("ipsecconf -L --json").stdout)}
    assert origins == {name: str(tunnel_file(alice, name)) for name in ("mytun1", "mytun2")}, "each names its link"


def test_ipd_a_shared_policy_that_changes_changes_for_all(alice):
    shared = alice.write("/etc/inet/everybody.policy", POLICY)
    for name in ("mytun0", "mytun1"):
        linked(alice, name, shared)
    alice.adit("svcadm refresh ipsec/policy")
    shared.write_text(POLICY.replace("aes-gcm", "aes-gcm(256)"))
    assert alice.adit("svcadm -v refresh ipsec/policy").stdout.splitlines()[-1] == "8 policy rules added, 8 removed, 0 kept."
    assert alice.adit("ipsecconf -L").stdout.count("aes-gcm(256)") == 8


def test_ipd_example_a_tunnel_that_requires_security(world):
    """The listings of "New options at tunnel creation", with the policy in files: before it comes, with it, and without it again.
    (decisions: the two tunnels have two remotes, as the listing shows; broken0/v4 is sectun0/v4.)"""
    alice = world.alice
    alice.add_address("net0", "10.1.1.1/32")
    alice.start_aditd()
    alice.write("/etc/inet/ipsecinit.d/tunnels/mytun0.conf", POLICY)
    typed(alice, """\
# svcadm refresh ipsec/policy
# dladm create-iptun -T ipv4 -a local=10.1.1.1,remote=134.148.1.1 mytun0
# dladm create-iptun -T ipv4 -S -a local=10.1.1.1,remote=157.85.1.1 sectun0
# ipadm create-addr -T static -a local=100.64.20.1,remote=100.64.10.1 mytun0/v4
# ipadm create-addr -T static -a local=100.64.30.1,remote=100.64.40.1 sectun0/v4
""")

    def listings():
        return (typed(alice, "# dladm show-iptun"), typed(alice, "# dladm show-link").splitlines()[-2:],
                [line for line in typed(alice, "# ipadm show-addr").splitlines() if line.startswith(("mytun0/", "sectun0/"))])

    closed = (
        "LINK            TYPE  FLAGS  LOCAL               REMOTE\n"
        "mytun0          ipv4  s--    10.1.1.1            134.148.1.1\n"
        "sectun0         ipv4  --S    10.1.1.1            157.85.1.1\n",
        ["mytun0      iptun     1402   up       --         --", "sectun0     iptun     1402   down     --         --"],
        ["mytun0/v4         static   ok           100.64.20.1->100.64.10.1",
         "sectun0/v4        static   inaccessible 100.64.30.1->100.64.40.1"])
    opened = (closed[0].replace("--S", "s-S"), [line.replace("down", "up  ") for line in closed[1]],
              [line.replace("inaccessible", "ok          ") for line in closed[2]])
    assert listings() == closed
    alice.write("/etc/inet/ipsecinit.d/tunnels/sectun0.conf", POLICY)
    alice.adit("svcadm refresh ipsec/policy")
    assert listings() == opened
    tunnel_file(alice, "sectun0").unlink()
    alice.adit("svcadm refresh ipsec/policy")
    assert listings() == closed


# ---- where a rule came from, the check, the diff

def test_origins_in_every_listing(alice):
    alice.write("/etc/inet/ipsecinit.d/00_dns.conf", "# DNS\n{ lport 53 ulp udp dir out } bypass {}\n")
    here = f"{alice.root}/etc/inet/ipsecinit.d/00_dns.conf"
    alice.adit("svcadm refresh ipsec/policy")
    assert alice.adit("ipsecconf -l -v -n").stdout.startswith(f"#ORIGIN {here}:2\n#INDEX 1\n{{ ulp 17 lport 53 dir out }} pass {{ }}\n")
    assert alice.adit("ipsecconf -L -v").stdout.count(f"#ORIGIN {here}:2\n") == 2
    assert json.loads(alice.adit("ipsecconf -l --json").stdout)[0]["origin"] == {"file": here, "line": 2}
    assert "#ORIGIN" not in alice.adit("ipsecconf -L").stdout


BROKEN = {
    "a syntax error": lambda host: host.write("/etc/inet/ipsecinit.d/a.conf", "{ lport 53 } bypas {}\n"),
    "another tunnel": lambda host: host.write("/etc/inet/ipsecinit.d/tunnels/mytun0.conf", "{ tunnel mytun1 negotiate tunnel } drop {}\n"),
    "a dangling link": lambda host: linked(host, "mytun0", "../../nowhere"),
    "a group-writable file": lambda host: host.write("/etc/inet/ipsecinit.d/a.conf", "", 0o664),
    "a world-writable file": lambda host: host.write("/etc/inet/ipsecinit.conf", "", 0o646),
    "a world-writable target": lambda host: linked(host, "mytun0", host.write("/etc/inet/shared", POLICY, 0o666)),
    "somebody else's file": lambda host: os.chown(host.write("/etc/inet/ipsecinit.d/a.conf", ""), 4711, 4711),
    "a directory for all": lambda host: (host.root / "etc/inet/ipsecinit.d").chmod(0o777),
    "a name that is no tunnel's": lambda host: host.write("/etc/inet/ipsecinit.d/tunnels/tunnel.conf", POLICY),
}


@pytest.mark.parametrize("what", BROKEN)
def test_the_check_the_diff_and_the_refresh_refuse_the_same(alice, what):
    alice.write("/etc/inet/ipsecinit.d/tunnels/mytun9.conf", POLICY)
    alice.adit("svcadm refresh ipsec/policy")
    before = alice.adit("ipsecconf -L -v").stdout
    alice.write("/etc/inet/ipsecinit.d/tunnels/mytun9.conf", POLICY + "{ negotiate tunnel lport 5 } drop {}\n")
    BROKEN[what](alice)
    check = alice.adit("ipsecconf -c", check=False)
    diff = alice.adit("ipsecconf diff", check=False)
    refresh = alice.adit("svcadm refresh ipsec/policy", check=False)
    assert (check.returncode, diff.returncode) == (1, 1)
    told = [line for line in check.stderr.splitlines() if ": error: " in line]
    assert len(told) == 1 and f"{alice.root}/etc/inet/ipsecinit" in told[0]
    assert told[0] in diff.stderr and told[0] in refresh.stderr
    assert alice.adit("svcs -H -o state policy").stdout.strip() == "maintenance"
    assert alice.adit("ipsecconf -L -v").stdout == before, "the old policy stays"


def test_all_errors_of_all_files_are_shown(alice):
    alice.write("/etc/inet/ipsecinit.conf", "{ lport x } drop {}\n{ lport 7 } drop {}\n")
    alice.write("/etc/inet/ipsecinit.d/b.conf", "", 0o666)
    alice.write("/etc/inet/ipsecinit.d/tunnels/mytun0.conf", "\n{ lport 7 } drop {}\n")
    check = alice.adit("ipsecconf -c", check=False)
    places = [line.split("/etc/inet/")[1].split(": error:")[0] for line in check.stderr.splitlines() if ": error: " in line]
    assert places == ["ipsecinit.conf:1:9", "ipsecinit.d/b.conf", "ipsecinit.d/tunnels/mytun0.conf:2:1"]
    assert check.stderr.endswith("ipsecconf: 3 errors in the policy of 3 files.\n")
    assert alice.adit("ipsecconf -L").stdout == ""


def test_the_check_needs_no_daemon_and_warnings_pass(world):
    alice = world.alice
    assert alice.adit("ipsecconf -c").stdout == "IPsec configuration does not contain any errors.\nIPsec policy was not modified.\n"
    alice.write("/etc/inet/ipsecinit.d/tunnels/mytun0.conf", POLICY)
    done = alice.adit("ipsecconf -c -v")
    assert done.stdout.splitlines()[0] == str(tunnel_file(alice, "mytun0"))
    assert f"{tunnel_file(alice, 'mytun0')}:5:20: warning: aes-gcm authenticates by itself" in done.stderr


def test_a_file_that_the_caller_cannot_read_is_an_error(world):
    world.alice.write("/etc/inet/ipsecinit.d/a.conf", "", 0o600)
    world.lab.tmp.chmod(0o755)
    check = world.alice.sh(["setpriv", "--reuid", "4711", "--regid", "4711", "--clear-groups", BUILD / "bin" / "adit", "ipsecconf", "-c"],
                           check=False)
    assert check.returncode == 1
    assert "ipsecinit.d/a.conf: error: Permission denied" in check.stderr


def test_the_diff_shows_what_a_refresh_does_then(alice):
    alice.adit("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.8 mytun0")
    alice.adit("dladm create-iptun -T ipv4 -a local=1.2.3.4,remote=5.6.7.9 mytun1")
    for name in ("mytun0", "mytun1"):
        alice.write(f"/etc/inet/ipsecinit.d/tunnels/{name}.conf", "{ negotiate tunnel raddr 10.9.9.9 dir out } drop {}\n")
    alice.write("/etc/inet/ipsecinit.conf", "{ raddr 192.0.2.1 lport 53 ulp udp dir out } bypass {}\n")
    alice.adit("svcadm refresh ipsec/policy")
    tunnel_file(alice, "mytun1").unlink()
    alice.write("/etc/inet/ipsecinit.d/tunnels/mytun0.conf", "\n{ negotiate tunnel raddr 10.9.9.8 dir out } drop {}\n")
    tunnels = f"{alice.root}/etc/inet/ipsecinit.d/tunnels"
    exposed = "mytun1 stops being protected: no rule is left, it is not secured (-S), and it passes clear text\n"
    summary = exposed + "1 policy rules added, 2 removed, 1 kept.\n"
    changes = (f"- #ORIGIN {tunnels}/mytun0.conf:1\n- #INDEX mytun0,1\n"
               "- { tunnel mytun0 negotiate tunnel raddr 10.9.9.9/32 dir out } drop { }\n"
               f"+ #ORIGIN {tunnels}/mytun0.conf:2\n"
               "+ { tunnel mytun0 negotiate tunnel raddr 10.9.9.8/32 dir out } drop { }\n"
               f"- #ORIGIN {tunnels}/mytun1.conf:1\n- #INDEX mytun1,1\n"
               "- { tunnel mytun1 negotiate tunnel raddr 10.9.9.9/32 dir out } drop { }\n")
    assert alice.adit("ipsecconf diff").stdout == changes + summary
    kept = f"  #ORIGIN {alice.root}/etc/inet/ipsecinit.conf:1\n  #INDEX 1\n  {{ ulp 17 lport 53 raddr 192.0.2.1/32 dir out }} pass {{ }}\n"
    assert alice.adit("ipsecconf diff -v").stdout == kept + changes + summary
    told = json.loads(alice.adit("ipsecconf diff --json").stdout)
    assert (told["added"], told["removed"], told["kept"]) == (1, 2, 1)
    assert told["tunnels"] == [{"tunnel": "mytun1", "change": "exposed", "sentence": exposed.rstrip()}]
    assert alice.adit("ipsecconf -L").stdout.count("10.9.9.9") == 2, "nothing changed yet"
    done = alice.adit("svcadm -v refresh ipsec/policy")
    assert done.stdout == "Action refresh set for svc:/network/ipsec/policy:default.\n" + summary
    assert done.stderr.startswith("svcadm: mytun1 is OPEN: ") and done.stderr.count("\n") == 1
    assert alice.adit("ipsecconf diff").stdout == "0 policy rules added, 0 removed, 2 kept.\n"


def test_a_refresh_that_changes_nothing_tells_nobody(alice):
    alice.write("/etc/inet/ipsecinit.d/tunnels/mytun0.conf", POLICY)
    alice.adit("svcadm refresh ipsec/policy")
    before = alice.adit("ipsecconf -L -v").stdout
    for action in ("refresh", "restart", "refresh"):
        assert "0 policy rules added, 0 removed, 4 kept." in alice.adit(f"svcadm -v {action} ipsec/policy").stdout
    assert alice.adit("ipsecconf -L -v").stdout == before, "indexes too"


# ---- nothing in the clear, whatever becomes of the files

def test_no_state_of_the_files_leaks(up):
    """A broken file, a dangling link, a tunnel's file removed, a target that others may write: refreshes under traffic."""
    alice, name = up.alice, guide.ALICE.tunnel
    policy = "{ negotiate tunnel }\n    ipsec " + guide.GUIDE_PROTECTION + "\n"
    with Breaking(up) as it:
        alice.write(f"/etc/inet/ipsecinit.d/tunnels/{name}.conf", policy)
        (alice.root / "etc/inet/ipsecinit.conf").unlink()
        alice.adit("svcadm refresh ipsec/policy")                       # from one file to another: the rules stay
        assert state(alice, name) == "up"
        broken = alice.write("/etc/inet/ipsecinit.d/00.conf", "{ tunnel")
        tunnel_file(alice, name).unlink()
        alice.adit("svcadm restart ipsec/policy")                       # gone and broken: the old policy stays
        assert state(alice, name) == "up"
        broken.unlink()
        alice.adit("svcadm clear ipsec/policy")                         # the file is gone for good: closed
        assert state(alice, name) == "down"
        linked(alice, name, "nowhere")
        alice.adit("svcadm refresh ipsec/policy")
        assert state(alice, name) == "down"
        tunnel_file(alice, name).unlink()
        shared = alice.write("/etc/inet/shared.policy", policy, 0o666)
        linked(alice, name, shared)
        alice.adit("svcadm clear ipsec/policy")
        assert state(alice, name) == "down", "what others may write opens nothing"
        shared.chmod(0o644)
        alice.adit("svcadm clear ipsec/policy")
        assert state(alice, name) == "up"
    it.nothing_readable()
    assert it.received > 0 and it.seen.protected > 0
    assert up.alice_host.ping("10.0.1.2", count=5) > 0


def test_a_broken_set_at_start_opens_nothing(up):
    """The daemon dies, a file is broken meanwhile, and it comes back: no rule, so all is closed, until the file is right."""
    alice, name = up.alice, guide.ALICE.tunnel
    with Breaking(up) as it:
        alice.kill_aditd()
        broken = alice.write("/etc/inet/ipsecinit.d/00.conf", "{ tunnel")
        alice.start_aditd()
        assert alice.adit("svcs -H -o state policy").stdout.strip() == "maintenance"
        assert state(alice, name) == "down"
        broken.unlink()
        alice.adit("svcadm clear ipsec/policy")
        assert state(alice, name) == "up"
    it.nothing_readable()
    assert up.alice_host.ping("10.0.1.2", count=5) > 0
