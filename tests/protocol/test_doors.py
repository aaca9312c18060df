"""Nothing that a user sends, opens or holds ends, fills or delays the daemon."""
import datetime
import errno
import fcntl
import json
import pwd
import re
import select
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

import messages
from breaking import wait_for
from lab import BUILD, REPO
from messages import NOBODY, Keys, Policy, Refused, as_user


@pytest.fixture
def host(lab):
    lab.tmp.chmod(0o755)
    host = lab.host("doors")
    host.start_aditd(environment={"ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=4"})   # what is freed is not held
    return host


def connect(host, uid=0, name="adit.sock", kind=socket.SOCK_STREAM):
    made = socket.socket(socket.AF_UNIX, kind)
    with as_user(uid):
        made.connect(str(host.run_dir / name))    # without a time limit: a full queue is waited for
    made.settimeout(10)
    return made


def ask(connection, method, **parameters):
    connection.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
    answer = b""
    while not answer.endswith(b"\0"):
        part = connection.recv(1 << 20)
        if not part:
            raise EOFError
        answer += part
    return json.loads(answer[:-1])


def alive(host):
    return host.daemon.poll() is None and host.adit("dladm show-iptun").returncode == 0


REQUESTS = [b'{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":5}}',
            b'{"method":"io.adit.events.Since","parameters":{"after":"x"}}', b'{"method":"io.adit.events.Monitor","parameters":{"after":{}}}',
            b'{"method":"io.adit.services.List","parameters":{"fmris":{"a":[5]}}}', b'{"method":"io.adit.services.List","parameters":{"fmris":7}}',
            b'{"method":"io.adit.routes.Get","parameters":{"words":[{}]}}', b'{"method":5,"parameters":[]}', b'[]', b'5', b'', b'\xff\xfe',
            b'{"method":"io.adit.links.ShowLink","parameters":{"name":' + b"[" * 50000, b"[" * 50000,
            b'{"method":"io.adit.links.ShowLink","parameters":' + b'{"a":' * 10000 + b"1" + b"}" * 10001]


@pytest.mark.parametrize("uid", [0, NOBODY])
def test_no_bytes_of_a_user_end_the_daemon(host, uid):
    for request in REQUESTS:
        with connect(host, uid) as connection:
            connection.sendall(request + b"\0")
            try:
                connection.recv(1 << 16)
            except ConnectionResetError:
                pass
        assert alive(host), request[:100]


def test_a_wrong_type_is_the_answer_to_a_request(host):
    with connect(host, NOBODY) as connection:
        said = ask(connection, "org.varlink.service.GetInterfaceDescription", interface=5)
        assert said == {"error": "org.varlink.service.InvalidParameter", "parameters": {"parameter": "interface"}}
        assert ask(connection, "io.adit.services.List", fmris=[5])["parameters"]["text"] == "parameter 'fmris' must be an array of strings"
        assert "interfaces" in ask(connection, "org.varlink.service.GetInfo")["parameters"]


def test_no_user_holds_the_lock_of_a_restart(host):
    lock = host.run_dir / "aditd.lock"
    assert lock.stat().st_mode & 0o777 == 0o600
    with as_user(NOBODY), pytest.raises(PermissionError):
        open(lock)
    host.kill_aditd()
    lock.chmod(0o644)                              # as one made it before
    with as_user(NOBODY):
        squatted = open(lock)
    fcntl.flock(squatted, fcntl.LOCK_EX | fcntl.LOCK_NB)
    host.start_aditd()
    assert alive(host)
    second = host.sh([BUILD / "bin" / "aditd"], check=False, timeout=20)
    assert second.returncode != 0 and "another aditd" in second.stderr, second
    squatted.close()


def test_what_a_user_may_open_below_the_run_directory(host):
    """Nothing that could be locked, written or listened at: the sockets take connections, a few files tell what everybody may know."""
    host.adit("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.8 v4_bob0", check=False)
    listing = host.sh(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "find", str(host.run_dir), "-writable",
                       "-not", "-type", "s"], check=False)
    assert listing.stdout == "", listing
    for path in host.run_dir.rglob("*"):
        if path.is_socket():
            continue
        assert path.stat().st_uid in (0, pwd.getpwnam("_adit").pw_uid) and path.stat().st_mode & 0o022 == 0, path


USERS = range(60001, 60010)
VPN = "svc:/site/vpn:default"


def rss(host):
    """Resident memory of the daemon in MB."""
    status = open(f"/proc/{host.daemon.pid}/status").read()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


def stays(connection):
    """Whether the daemon has let it in: those it has no room for it ends at once."""
    connection.settimeout(0.02)
    try:
        return connection.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


def test_idle_connections_of_users_keep_nobody_out(host):
    """A user's sum is over all doors, all users' sum is bounded, and root gets in at each."""
    host.adit(f"adit namespace create -u {NOBODY} -t vpn* {VPN}")
    held = [connect(host, uid) for uid in USERS for _ in range(64)]
    held += [connect(host, uid, name, socket.SOCK_SEQPACKET) for uid in USERS for name in ("pf_policy.sock", "pf_key.sock") for _ in range(16)]
    inside = sum(stays(one) for one in held)
    assert 150 < inside <= 192, inside
    assert not stays(connect(host, USERS[0], "pf_key.sock", socket.SOCK_SEQPACKET)), "the sum is over all doors"
    assert alive(host)
    with Policy(host, VPN) as policy, Keys(host, VPN) as keys:
        assert policy.dump() == [] and keys.dump() == []
    with Policy(host, VPN, NOBODY) as policy:
        assert policy.dump() == [], "who has a namespace is not kept out by those who have none"
    for one in held:
        one.close()


def test_half_messages_are_bounded(host):
    """64 of 8 MB were 259 MB. A user's message is small, and its half is not waited for long."""
    before = rss(host)
    for uid in USERS[:2]:
        for _ in range(32):
            half = connect(host, uid)
            with pytest.raises(OSError):
                half.sendall(b'{"method":"' + b"x" * (8 << 20))
    small = [connect(host, USERS[0]) for _ in range(32)]
    for one in small:
        one.sendall(b'{"method":"' + b"x" * 60000)
    assert alive(host)
    grown = rss(host) - before
    print(f"half messages: {grown:.1f} MB")
    assert grown < 24
    began = time.monotonic()
    assert not any(one.recv(1) for one in small), "they end"
    assert time.monotonic() - began < 20


def many_actions(policy, count):
    one = ((0x100, 3), (0x101, 2), (0x103, 20), (0x105, 256), (0x106, 256), (3, 0))
    attributes = ((2, 0), *(one * count)[:-1], (1, 0))
    return policy.ext(6, struct.pack("=HH", count, 0) + b"".join(struct.pack("=II", *attribute) for attribute in attributes))


def test_the_drafts_of_a_user_count_together(host):
    """552 MB were had by rules of many actions in many drafts: the quota counts a draft's rules."""
    host.adit(f"adit namespace create -u {NOBODY} -t vpn* -q 1000 {VPN}")
    before, refused, drafts = rss(host), 0, [Policy(host, VPN, NOBODY) for _ in range(40)]
    for number, policy in enumerate(drafts):
        for rule in range(100):
            remote = f"10.{number}.{rule}.0/24"
            spec = policy.ext(7, struct.pack("=IIIQ", 5, 7, 0, 0))
            try:
                policy.ask(messages.ADDRULE, messages.STANDBY, spec, policy.head("vpn0"), policy.selectors(remote=remote), many_actions(policy, 500))
            except Refused as refusal:
                assert refusal.code == errno.EDQUOT and "drafts" in refusal.text, refusal
                refused += 1
                break
    grown = rss(host) - before
    print(f"drafts: {grown:.1f} MB, {refused} of {len(drafts)} connections were refused more")
    assert refused > 20 and grown < 64
    with Policy(host, VPN) as root:
        root.add("vpn0", spdid=messages.STANDBY, remote="10.200.0.0/16")
    for policy in drafts[:-1]:
        policy.close()
    drafts[-1].add("vpn0", spdid=messages.STANDBY, remote="10.201.0.0/16")   # what was given back is there again


@pytest.fixture
def alice(world):
    world.lab.tmp.chmod(0o755)
    world.alice.start_aditd()
    return world.alice


def test_the_text_of_a_policy_is_for_those_who_may_list_it(alice):
    alice.adit(["dladm", "create-iptun", "-S", "-T", "ipv4", "-a", "local=1.2.3.4,remote=5.6.7.8", "-p", "ipsec={encr_algs aes-gcm(256) sa shared}", "vpn0"])
    alice.adit(["dladm", "create-iptun", "-S", "-T", "ipv4", "-a", "local=1.2.3.4,remote=5.6.7.9", "-p", "ipsec={encr_algs aes-gcm(256) sa shared}", "op0"])
    alice.adit(f"adit namespace create -u {NOBODY} -t vpn* {VPN}")

    def told(uid, **options):
        with connect(alice, uid) as link:
            rows = ask(link, "io.adit.links.ShowLinkProp", properties="ipsec", **options)["parameters"]["properties"]
        return {row["link"]: row["value"] for row in rows}

    for options in ({}, {"persistent": True}):
        root = told(0, **options)
        assert all("aes-gcm(256)" in value for value in root.values()) and set(root) == {"vpn0", "op0"}
        assert told(NOBODY, **options) == {"vpn0": root["vpn0"], "op0": "hidden"}
        assert told(USERS[0], **options) == {"vpn0": "hidden", "op0": "hidden"}
    for path in ("etc/dladm/datalink.conf", "run/links.cache"):
        assert (alice.root / path).stat().st_mode & 0o077 == 0, path


def test_events_about_rules_and_keys_are_for_those_who_may_list_them(alice):
    for name, remote in (("vpn0", "5.6.7.8"), ("op0", "5.6.7.9")):
        alice.adit(f"dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote={remote} {name}")
    alice.adit(f"adit namespace create -u {NOBODY} -t vpn* {VPN}")
    with Policy(alice, VPN) as policy, Keys(alice) as keys:
        policy.add("vpn0")
        policy.add("op0")
        keys.add(0x3001, "1.2.3.4", "5.6.7.8", bytes(range(1, 37)))

    def heard(uid):
        with connect(alice, uid) as link:
            events = ask(link, "io.adit.events.Since", after=0)["parameters"]["events"]
        return {(event["kind"], event["subject"]) for event in events}

    secret = {("policy.changed", "vpn0"), ("policy.changed", "op0"), ("key.added", "5.6.7.8"), ("namespace.created", VPN)}
    common = {("link.created", "vpn0"), ("link.created", "op0")}
    assert secret | common <= heard(0)
    assert heard(NOBODY) & (secret | common) == common | {("policy.changed", "vpn0"), ("namespace.created", VPN)}
    assert heard(USERS[0]) & (secret | common) == common
    assert not any(kind.startswith(("key.", "policy.", "namespace.")) for kind, _ in heard(USERS[0]))


def test_a_held_udp_port_is_had_when_it_is_let_go(up):
    """Any user may bind 4500. ESP in UDP works from the second on that he lets go, and meanwhile it is said."""
    alice = up.alice
    alice.kill_aditd()
    squatter = alice.popen(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "/usr/bin/python3", "-c",
                            "import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('', 4500))\nprint('held', flush=True)\nsys.stdin.read()"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert squatter.stdout.readline() == b"held\n"
    alice.start_aditd("--workers=2")
    said = alice.adit("adit status").stdout
    assert "Missing now" in said and "UDP port 4500 over IPv4" in said and "IPv6" not in said.split("Missing now")[1].split("Warnings")[0], said
    assert "aditd" not in sockets(alice, "-4") and sockets(alice, "-6").count("aditd") == 2
    squatter.stdin.close()
    squatter.wait(timeout=10)
    wait_for(lambda: sockets(alice, "-4").count("aditd") == 2, seconds=10)
    said = alice.adit("adit status").stdout
    assert "Missing now" not in said and "no longer so" in said, said
    with connect(alice) as link:
        events = ask(link, "io.adit.events.Notable")["parameters"]["events"]
    kinds = [(event["severity"], event["kind"]) for event in events if event["kind"].startswith("platform.")]
    assert kinds == [("alert", "platform.missing"), ("warning", "platform.back")], kinds


def sockets(host, family):
    return host.sh(f"ss -uanp {family} sport = :4500").stdout


FLOOD = [b'{"method":"io.adit.guard.List"}\0', b'{"method":"io.adit.links.ShowLink"}\0', b'{"method":"io.adit.events.Since","parameters":{"after":0}}\0',
         b'{"method":"io.adit.routes.Show","parameters":{"all":true}}\0', b'{"method":"io.adit.links.ShowLink","parameters":{"name":"' + b"x" * 60000 + b'"}}\0']


def flood(connection, stop, ended):
    """As fast as it is taken, many requests at once, reading what comes."""
    connection.setblocking(False)
    batch, at = b"".join(FLOOD[:4]) * 40 + FLOOD[4], 0
    while not stop.is_set():
        try:
            readable, writable, _ = select.select([connection], [connection], [], 0.1)
            if readable and not connection.recv(1 << 20):
                return ended.append(connection)
            if writable:
                at = (at + connection.send(batch[at:])) % len(batch)
        except BlockingIOError:
            continue
        except OSError:
            return ended.append(connection)


def latencies(host, rounds):
    """(seconds that a guard's route was away, seconds that root waited for an answer), a list each."""
    monitor = host.popen(["ip", "-ts", "monitor", "route"], stdout=subprocess.PIPE, text=True)
    waits = []
    route = [line for line in host.sh("ip route show table 174 type unreachable").stdout.splitlines() if "10.0.1.0/24" in line][0].split()
    with connect(host) as link:
        link.settimeout(60)
        for _ in range(rounds):
            host.sh(["ip", "route", "del", "table", "174", *route])
            began = time.monotonic()
            ask(link, "org.varlink.service.GetInfo")
            waits.append(time.monotonic() - began)
            wait_for(lambda: "10.0.1.0/24" in host.sh("ip route show table 174 type unreachable").stdout, seconds=60)
            time.sleep(0.3)
    monitor.terminate()
    stamp = lambda line: datetime.datetime.fromisoformat(line[1:line.index("]")]).timestamp()
    away, gone = [], None
    for line in monitor.stdout.read().splitlines():
        if "unreachable 10.0.1.0/24" in line:
            if "Deleted" in line:
                gone = stamp(line)
            elif gone:
                away.append(stamp(line) - gone)
                gone = None
    return away, waits


def test_users_requests_do_not_hold_up_the_guard(up):
    """What others take away of the guard is put back while nine users ask for all that they may."""
    up.lab.tmp.chmod(0o755)
    alice = up.alice
    quiet = latencies(alice, 5)
    stop, links = threading.Event(), [connect(alice, uid) for uid in USERS for _ in range(16)]
    ended = []
    threads = [threading.Thread(target=flood, args=(link, stop, ended)) for link in links]
    for thread in threads:
        thread.start()
    try:
        time.sleep(1)
        loud = latencies(alice, 10)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    for name, (away, waits) in (("quiet", quiet), ("loud", loud)):
        print(f"{name}: put back after {max(away) * 1000:.0f} ms at most, {sorted(away)[len(away) // 2] * 1000:.0f} in the middle; "
              f"root waited {max(waits) * 1000:.0f} ms at most")
    assert not ended, "users wait for their turn, they are not thrown out"
    assert len(loud[0]) >= 9 and max(loud[0]) < 3, loud
    assert alive(alice)


@pytest.mark.parametrize("server", ["varlink", "policy", "keys"])
def test_a_server_stands_20000_broken_messages(server):
    """fuzz/doors.py, whole daemon; more by hand: fuzz/doors.py -n 1000000."""
    done = subprocess.run([sys.executable, REPO / "fuzz" / "doors.py", "-n", "20000", "--seed", "1", "--build", BUILD, "--growth", "96", server],
                          capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


KEY = "c0ffee11c0ffee22c0ffee33c0ffee44"


def test_what_stands_in_a_file_for_root_is_told_to_root(host):
    """Its errors name the word that is wrong: that may be a key, whose blank was forgotten, or what a rule is about."""
    files = {"ipsec/manual-key": ("/etc/inet/secret/ipseckeys", f"add esp spi 0x2001 src 1.2.3.4 dst 5.6.7.8 encr_alg aes encrkey{KEY}\n", KEY),
             "ipsec/policy": ("/etc/inet/ipsecinit.conf", "{raddr 10.99.0.0/16 hushhush} drop {}\n", "hushhush")}
    for service, (path, text, secret) in files.items():
        host.write(path, text, 0o600)
        host.adit(f"svcadm enable {service}", check=False)
        host.adit(f"svcadm refresh {service}", check=False)
        with connect(host, NOBODY) as link:
            (row,) = ask(link, "io.adit.services.List", fmris=[service])["parameters"]["services"]
            heard = json.dumps(ask(link, "io.adit.events.Since", after=0))
        assert row["state"] == "maintenance" and f"{path}:1:" in row["reason"] and "an error" in row["reason"], row
        assert secret not in row["reason"] + heard, row
    assert KEY not in host.log() + host.adit("svcs -xv").stdout, "nobody is told a key"
    assert "hushhush" in host.adit("svcs -xv").stdout, "root is told what is wrong"


def test_no_name_of_a_user_is_a_line_of_roots_listing(host):
    """A listing may be given back: a rule in a tunnel's name, or in the name of a file, would be one of root's."""
    host.adit(["adit", "namespace", "create", "-u", str(NOBODY), "-t", "vpn*", VPN])
    with Policy(host, VPN, NOBODY) as policy:
        spec = policy.ext(7, struct.pack("=IIIQ", 5, 7, 0, 0))
        for name in ("vpn\n{ } bypass { } #0", "vpn0 } bypass { } #0", "vpn*"):
            with pytest.raises(Refused):
                policy.ask(messages.ADDRULE, messages.ACTIVE, spec, policy.head(name), policy.selectors(remote="10.1.0.0/16"),
                           policy.action(messages.GCM_256))
        with pytest.raises(Refused):
            policy.ask(messages.ADDRULE, messages.ACTIVE, spec, policy.head("vpn0"), policy.selectors(remote="10.1.0.0/16"),
                       policy.action(messages.GCM_256), policy.ext(12, struct.pack("=I", 1) + b"x\n{ } bypass { }\n#\0"))
        policy.add("vpn0", remote="10.1.0.0/16")
    listing = host.adit("ipsecconf -L -v").stdout
    assert "vpn0" in listing and "bypass" not in listing, listing


@pytest.mark.parametrize("path", ["etc/inet/static_routes", "etc/ipadm/ipadm.conf", "etc/adit/namespaces", "run/events.next"])
def test_a_pipe_in_a_files_place_keeps_nobody_waiting(host, path):
    host.kill_aditd()
    (host.root / path).unlink(missing_ok=True)
    (host.root / path).parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mkfifo", "-m", "600", host.root / path], check=True)
    host.start_aditd(wait=False)
    host.wait_ready(10)
    assert alive(host)


def test_a_limit_on_the_size_of_files_ends_no_daemon(up):
    """The kernel's signal for it would; what cannot be written is refused in a sentence, with nothing changed."""
    alice = up.alice
    pids = alice.daemon.pid, alice.guardian_pid()
    for pid in pids:
        alice.limit(pid, "--fsize=64:")
    refused = alice.adit("adit route add 10.99.0.0/16 10.0.1.1", check=False)
    assert refused.returncode != 0 and "File too large" in refused.stderr, refused.stderr
    assert alive(alice) and alice.guardian_pid() == pids[1]
    assert "10.99.0.0/16" not in alice.adit("adit guard list").stdout
    for pid in pids:
        alice.limit(pid, "--fsize=unlimited:")
    alice.adit("adit route add 10.99.0.0/16 10.0.1.1")
    assert "10.99.0.0/16" in alice.adit("adit guard list").stdout
