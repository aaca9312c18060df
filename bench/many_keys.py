#!/usr/bin/python3
"""What SAs cost by the number there are: adding, looking at, deleting one; a dump; a second of doing nothing; a start.

    sudo ADIT_BUILD=build/release bench/many_keys.py [COUNT...]     default: 100 4000 100000
"""
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "lab"))
from lab import BUILD, Lab  # noqa: E402

ONE_BY_ONE = 1000


def association(i):
    """Half of them between the same two hosts, half with a peer of their own. Keys of no use to anybody."""
    peer = "5.6.7.8" if i % 2 else f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"
    return i + 0x10000, peer, f"add esp spi {i + 0x10000:#x} src 1.2.3.4 dst {peer} encr_alg aes-gcm encrkey {'5a' * 12}{i + 1:016x}"


def process(host):
    status = Path(f"/proc/{host.daemon.pid}/status").read_text()
    return {line.split(":")[0]: int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith(("VmRSS", "VmLck"))}


def cpu_seconds(host):
    fields = Path(f"/proc/{host.daemon.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def timed(work):
    began = time.monotonic()
    result = work()
    return time.monotonic() - began, result


def run_commands(host, lines):
    """One PF_KEY request after the other; milliseconds for each."""
    with tempfile.NamedTemporaryFile("w", suffix=".keys", dir=host.root) as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        seconds, done = timed(lambda: host.adit(f"ipseckey -n -f {file.name}", check=False, timeout=900))
    return seconds * 1000 / len(lines), done


def measure(host, count):
    host.write("/etc/inet/secret/ipseckeys", "\n".join(association(i)[2] for i in range(count)) + "\n", 0o600)
    load, done = timed(lambda: host.adit("svcadm restart ipsec/manual-key", check=False, timeout=900))
    if host.daemon.poll() is not None:
        print(f"{count:7}: the daemon ended with {host.daemon.returncode}: {host.log().splitlines()[-1:]}")
        return False
    fresh = [association(200_000 + i) for i in range(ONE_BY_ONE)]
    start, _ = run_commands(host, ["get esp spi 0x1ff dst 9.9.9.9"])        # what a command costs by itself
    add, done = run_commands(host, [line for _, _, line in fresh])
    get, _ = run_commands(host, [f"get esp spi {spi:#x} dst {peer}" for spi, peer, _ in fresh])
    delete, _ = run_commands(host, [f"delete esp spi {spi:#x} dst {peer}" for spi, peer, _ in fresh])
    own = start / ONE_BY_ONE
    dump, _ = timed(lambda: subprocess.run(host.argv([BUILD / "bin" / "adit", "ipseckey", "-n", "dump"]), stdout=subprocess.DEVNULL,
                                          timeout=900, env=host.environment()))
    before = cpu_seconds(host)
    time.sleep(10)
    idle = (cpu_seconds(host) - before) * 100
    maps = len(Path(f"/proc/{host.daemon.pid}/maps").read_text().splitlines())
    print(f"{count:7}: load {load:6.2f} s; one more: add {add - own:6.2f} ms, get {get - own:6.2f}, delete {delete - own:6.2f}; dump {dump:6.2f} s; "
          f"idle {idle:5.1f} ms of CPU a second; {process(host)} MB, {maps} mappings", flush=True)
    return True


def main():
    counts = [int(word) for word in sys.argv[1:]] or [100, 4_000, 100_000]
    with Lab() as lab:
        host = lab.host("alice")
        host.add_address("lo", "1.2.3.4/32")
        host.start_aditd()
        host.adit("svcadm enable ipsec/manual-key", check=False)
        for count in counts:
            if not measure(host, count):
                return 1
        host.kill_aditd()
        seconds, _ = timed(lambda: (host.start_aditd(wait=False), host.wait_ready(300)))
        print(f"start with {counts[-1]} SAs in the file: {seconds:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
