"""Twelve thousand manual SAs, which once ended the daemon and each start after it: they fit, and they outlive a start. (The bound
and the limit of locked memory are the units'; what one more costs by their number is for `bench/many_keys.py`.)"""
import pathlib

import pytest
from lab import Lab

COUNT = 12_000


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


def test_twelve_thousand_fit_and_outlive_a_start(host):
    done = load(host, COUNT)
    assert done.returncode == 0, done.stderr
    assert there(host, 1) and there(host, COUNT - 1)
    mappings = pathlib.Path(f"/proc/{host.daemon.pid}/maps").read_text().count("\n")
    assert mappings < 5_000, "far from vm.max_map_count"
    host.kill_aditd()
    host.start_aditd(wait=False)
    host.wait_ready(300)
    assert there(host, 1) and there(host, COUNT - 1)
