"""The daemons' cage: users of their own, a few capabilities, a filter, no writing elsewhere; and all of a tunnel's life in it."""
import os
import pathlib
import pwd
import stat
import subprocess

import guide
import pytest
from breaking import link, wait_for
from lab import BUILD

NET_ADMIN = 1 << 12
DAEMON = NET_ADMIN | 1 << 10 | 1 << 13 | 1 << 14                  # and bind service, net raw, ipc lock
READER = 1 << 2                                                   # read any file; in effect while it reads policy and keys


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def uid(user):
    return pwd.getpwnam(user).pw_uid


def caged(pid, user, capabilities):
    now = status(pid)
    assert now["Uid"].split() == [str(uid(user))] * 4 and now["Groups"].strip() == "", now
    assert int(now["CapEff"], 16) == capabilities and int(now["CapPrm"], 16) == capabilities | (READER if user == "_adit" else 0), now
    assert {int(now[name], 16) for name in ("CapInh", "CapBnd", "CapAmb")} == {0}, now
    assert (now["NoNewPrivs"], now["Seccomp"]) == ("1", "2"), now
    for thread in os.listdir(f"/proc/{pid}/task"):
        its = status(f"{pid}/task/{thread}")
        assert (its["Seccomp"], its["CapEff"], its["Uid"]) == (now["Seccomp"], now["CapEff"], now["Uid"]), its


def complaints(host):
    return [line for line in host.log().splitlines() if "was refused" in line or "stays user root" in line or "modes of files" in line]


def test_both_daemons_are_users_of_their_own_with_what_they_need(up):
    caged(up.alice.daemon.pid, "_adit", DAEMON)
    caged(up.alice.guardian_pid(), "_adit-guard", NET_ADMIN)
    assert complaints(up.alice) == []
    assert "stays user" not in up.alice.adit("adit status").stdout


def test_the_whole_life_of_a_tunnel_in_the_cage(up):
    """Rules, keys, names, files, reloads, a guardian that dies, a stop, a kill, a start; nothing was refused, and all files are whose they should be."""
    alice = up.alice
    for command in ("ipsecconf -l", "ipseckey dump", "svcadm refresh ipsec/policy", "svcadm refresh ipsec/manual-key", "svcadm restart ipsec/policy",
                    "svcadm disable ipsec/manual-key", "svcadm enable ipsec/manual-key", f"ipseckey save all {alice.root}/saved", "dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.9 x0",
                    "dladm rename-link x0 x1", "dladm delete-iptun x1", "ipadm set-prop -p hostmodel=strong ipv4", "adit explain 10.0.0.2 10.0.1.2",
                    "adit guard close 10.0.9.0/24 v4_bob0", "adit guard open 10.0.9.0/24"):
        alice.adit(command)
    # The operator's files are root's, also new ones that nobody else may read.
    policy = alice.root / "etc/inet/ipsecinit.conf"
    policy.chmod(0o600)
    fresh = alice.write("/etc/inet/ipsecinit.d/more.conf", "{raddr 192.0.2.77} drop {}\n", 0o600)
    alice.adit("svcadm refresh ipsec/policy")
    assert "192.0.2.77" in alice.adit("ipsecconf -l").stdout + alice.sh("nft list table inet adit", check=False).stdout
    fresh.unlink()
    alice.adit("svcadm refresh ipsec/policy")
    assert up.alice_host.ping("10.0.1.2") > 0
    first = alice.kill_guardian()
    wait_for(lambda: alice.guardian_pid() not in (None, first), what="the guardian that aditd's launcher starts")
    wait_for(lambda: alice.adit("adit guard").stderr == "", what="all layers")
    caged(alice.guardian_pid(), "_adit-guard", NET_ADMIN)
    for how in (15, 9):
        alice.kill_aditd(how)
        alice.start_aditd()
        caged(alice.daemon.pid, "_adit", DAEMON)
        wait_for(lambda: up.alice_host.ping("10.0.1.2") > 0, what="traffic")
    written = ("etc/adit/guard.book", "etc/dladm/datalink.conf", "etc/ipadm/ipadm.conf", "var/lib/adit/sequences", "run/aditd.lock", "run/adit.sock")
    assert {path: (alice.root / path).stat().st_uid for path in written} == dict.fromkeys(written, uid("_adit"))
    assert policy.stat().st_uid == 0 and (alice.root / "etc/inet/secret/ipseckeys").stat().st_uid == 0
    assert complaints(alice) == [] and complaints(up.bob) == []


def test_the_guardian_alone_opens_and_the_daemon_goes_on(up):
    """`adit guard open --offline` by root leaves the daemon's files the daemon's."""
    alice = up.alice
    alice.adit("adit guard close 10.0.9.0/24 v4_bob0")
    alice.kill_aditd()
    alice.adit("adit guard open --offline 10.0.9.0/24")
    for path in ("etc/adit/guard.book", "etc/adit/guard.book.copy"):
        assert (alice.root / path).stat().st_uid == uid("_adit")
    alice.start_aditd()
    assert "10.0.9.0/24" not in alice.adit("adit guard").stdout
    alice.adit("adit guard close 10.0.9.0/24 v4_bob0")
    assert complaints(alice) == []


def test_an_installation_of_roots_is_taken_over(up):
    alice = up.alice
    alice.kill_aditd(15)
    alice.kill_guardian()
    for folder in ("etc/adit", "etc/dladm", "etc/ipadm", "etc/svc", "etc/inet", "var", "run"):
        for path in [alice.root / folder, *(alice.root / folder).rglob("*")]:
            os.chown(path, 0, 0, follow_symlinks=False)
            path.chmod(0o755 if path.is_dir() else 0o600)
    alice.start_aditd()
    wait_for(lambda: up.alice_host.ping("10.0.1.2") > 0, what="traffic")
    alice.adit("adit guard close 10.0.9.0/24 v4_bob0")
    alice.adit("adit route -p add 10.0.8.0/24 10.0.1.1")
    assert (alice.root / "etc/adit/guard.book").stat().st_uid == uid("_adit")
    assert (alice.root / "etc/inet/static_routes").stat().st_uid == uid("_adit")
    folder = (alice.root / "etc/inet").stat()
    assert (folder.st_uid, stat.S_IMODE(folder.st_mode) & 0o1022) == (0, 0o1020), "the operator's files stay the operator's"
    assert complaints(alice) == []


def test_root_alone_reaches_the_folders_above_and_all_works(world):
    world.lab.tmp.chmod(0o700)
    guide.set_up(world)
    assert world.alice_host.ping("10.0.1.2") > 0
    alice = world.alice
    alice.kill_aditd()
    alice.kill_guardian()
    for where in (alice.run_dir / "guard.book", alice.root / "etc/adit/guard.book.copy"):
        where.unlink()
    alice.sh("nft flush ruleset")
    alice.sh("ip route flush table 174")
    guardian = alice.popen([BUILD / "bin" / "adit-guard"], stderr=subprocess.PIPE)
    wait_for(lambda: "unreachable 10.0.1.0/24" in alice.sh("ip route show table 174", check=False).stdout, what="what the book says")
    caged(guardian.pid, "_adit-guard", NET_ADMIN)


# An old kernel, or a container that does not let it.
NO_LANDLOCK = ["/usr/bin/python3", "-c", """if True:
    import ctypes, errno, os, sys
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(lib.seccomp_init(0x7fff0000))
    assert lib.seccomp_rule_add(rules, 0x50000 | errno.ENOSYS, 444, 0) == 0 and lib.seccomp_load(rules) == 0
    os.execv(sys.argv[1], sys.argv[1:])"""]


def test_a_kernel_without_landlock_is_told(world):
    for path, text, mode in guide.files(guide.ALICE):
        world.alice.write(path, text, mode)
    world.alice.start_aditd(before=NO_LANDLOCK)
    for command in guide.commands(guide.ALICE):
        world.alice.adit(command)
    caged(world.alice.daemon.pid, "_adit", DAEMON)
    missing = world.alice.adit("adit status").stdout.split("Missing now:")[1]
    for who in ("aditd", "adit-guard"):
        assert f"{who}: only the modes of files keep it from writing elsewhere: this kernel has no Landlock" in world.alice.log()
    assert "aditd: only the modes" in missing.split("Warnings")[0] and "adit-guard: only the modes" in missing, missing


FALLBACKS = {
    # what stands before the program; the sentence
    "no right to change users": (["setpriv", "--bounding-set", "-setuid", "--inh-caps", "-setuid"], "without CAP_SETUID"),
    "no such user": (["unshare", "-m", "sh", "-c", "grep -v ^_adit /etc/passwd >/run/adit-test-passwd.$$ && mount --bind /run/adit-test-passwd.$$ /etc/passwd && "
                      "rm /run/adit-test-passwd.$$ && exec \"$@\"", "sh"], "there is no user _adit"),
}


@pytest.mark.parametrize("what", FALLBACKS)
def test_without_a_user_of_its_own_it_stays_root_and_says_so(world, what):
    before, says = FALLBACKS[what]
    for path, text, mode in guide.files(guide.ALICE):
        world.alice.write(path, text, mode)
    world.alice.start_aditd(before=before)
    for command in guide.commands(guide.ALICE):
        world.alice.adit(command)
    now = status(world.alice.daemon.pid)
    assert now["Uid"].split()[1] == "0" and int(now["CapEff"], 16) == DAEMON and now["Seccomp"] == "2", now
    told = world.alice.adit("adit status").stdout
    assert "aditd stays user root" in told and says in told, told
    assert "aditd stays user root" in world.alice.log()
    assert "adit-guard stays user root" in world.alice.log()
    world.alice.kill_aditd()
    world.alice.kill_guardian()
    world.alice.start_aditd()
    caged(world.alice.daemon.pid, "_adit", DAEMON)
    caged(world.alice.guardian_pid(), "_adit-guard", NET_ADMIN)
    assert "Missing" not in world.alice.adit("adit status").stdout and link(world.alice, "v4_bob0")["state"] == "up", "the files are taken over"
