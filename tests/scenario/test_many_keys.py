"""A hundred thousand manual SAs, as sad/database.h promises: they fit, they outlive a start, and what does not fit changes
nothing. (What one more costs by their number is for `bench/many_keys.py`.)"""
import pathlib

import pytest
from lab import Lab

COUNT = 100_000


def association(i):
    """Half of them between the same two hosts, half with a peer of its own."""
    peer = "5.6.7.8" if i % 2 else f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"
    return f"add esp spi {i + 0x10000:#x} src 1.2.3.4 dst {peer} encr_alg aes-gcm encrkey {'5a' * 12}{i + 1:016x}\n"


@pytest.fixture
def host():
    with Lab() as lab:
        one = lab.host("alice")
        one.add_address("lo", "1.2.3.4/32")
        one.start_aditd()
        one.adit("svcadm enable ipsec/manual-key", check=False)
        yield one


def load(host, count):
    host.write("/etc/inet/secret/ipseckeys", "".join(association(i) for i in range(count)), 0o600)
    return host.adit("svcadm -v restart ipsec/manual-key", check=False, timeout=600)


def there(host, i):
    return host.adit(f"ipseckey -n get esp spi {i + 0x10000:#x} dst {'5.6.7.8' if i % 2 else '0.0.0.0'}", check=False).returncode == 0


def test_a_hundred_thousand_fit_and_one_more_is_refused(host):
    done = load(host, COUNT)
    assert done.returncode == 0, done.stderr
    assert there(host, 1) and there(host, COUNT - 1)
    mappings = pathlib.Path(f"/proc/{host.daemon.pid}/maps").read_text().count("\n")
    assert mappings < 5_000, "far from vm.max_map_count"
    status = pathlib.Path(f"/proc/{host.daemon.pid}/status").read_text()
    locked = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmLck"))
    assert locked > COUNT, "a kilobyte of locked memory an SA and more"
    one_more = host.adit("ipseckey " + association(COUNT + 1).strip(), check=False)
    assert one_more.returncode != 0 and "the SA database is full" in one_more.stderr
    done = load(host, COUNT + 1)
    assert done.returncode != 0
    assert there(host, 1) and there(host, COUNT - 1), "nothing was changed"
    host.kill_aditd()
    load_file = host.root / "etc/inet/secret/ipseckeys"
    load_file.write_text("".join(association(i) for i in range(COUNT)))
    host.start_aditd(wait=False)
    host.wait_ready(600)
    assert there(host, 1) and there(host, COUNT - 1)


def test_what_may_not_be_locked_is_refused_and_changes_nothing(host):
    """As in a container without CAP_IPC_LOCK: 8 MB of locked memory hold some thousand SAs."""
    host.kill_aditd()
    limited = ["prlimit", "--memlock=8388608:8388608", "setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"]
    host.start_aditd(before=limited)
    assert load(host, 500).returncode == 0
    done = load(host, 12_000)
    assert done.returncode != 0 and "locked" in done.stderr + done.stdout + host.log(), done.stderr
    assert host.daemon.poll() is None
    assert there(host, 499) and not there(host, 11_999), "what was there stands"
    host.kill_aditd()
    host.start_aditd(before=limited)
    assert not there(host, 499) and host.daemon.poll() is None, "a start with such a file has no keys, and is a start"
    assert load(host, 500).returncode == 0 and there(host, 499)
