#!/usr/bin/env python3
"""Two private networks, a hostile one between them, and the guide's commands. Everything happens in namespaces of its own.

Run it as `sudo make demo`. It exits non-zero, and says what failed, when anything readable was seen between the two sites.
"""
import json
import pathlib
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "lab"))
import guide                                                                            # noqa: E402
from lab import Lab, LabError, Seen, two_sites                                          # noqa: E402

COLOUR = sys.stdout.isatty()


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def title(text):
    print(f"\n{paint('1;36', text)}", flush=True)


def show_command(host, command, output):
    print(f"{paint('1', host.name + ' #')} {command}", flush=True)
    for line in output.strip().splitlines():
        print(f"    {line}")


def verdict(ok, text):
    print(f"{paint('1;32', '  ok ') if ok else paint('1;31', 'FAIL ')} {text}", flush=True)
    if not ok:
        raise LabError(text)


def transfer(world, seconds=4):
    """One TCP stream host to host; Mbit/s."""
    server = world.bob_host.popen("iperf3 -s -1", stdout=subprocess.DEVNULL)
    time.sleep(0.4)
    done = world.alice_host.sh(f"iperf3 -c 10.0.1.2 -t {seconds} -J", timeout=seconds + 30)
    server.wait(timeout=10)
    return json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"] / 1e6


class Pinger:
    """Ten pings a second, host to host, all the time; knows the longest pause."""

    def __init__(self, host, target):
        self.process = host.popen(["ping", "-n", "-D", "-i", "0.1", "-p", "616469742d63616e6172792d", target], stdout=subprocess.PIPE, text=True)
        self.times = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            if "bytes from" in line:
                self.times.append(float(line.split("]")[0].lstrip("[")))

    def longest_pause(self):
        return max((later - earlier for earlier, later in zip(self.times, self.times[1:])), default=0.0)


def set_up(world):
    title("The guide's commands, as the operator types them")
    for host, site in ((world.alice, guide.ALICE), (world.bob, guide.BOB)):
        print(f"{paint('1', host.name + ' #')} cat /etc/inet/ipsecinit.conf")
        for line in guide.policy(site).splitlines():
            print(f"    {line}")
    guide.set_up(world, show=show_command)


def everyday(world):
    title("Machines behind the two routers reach each other, and the middle reads nothing")
    capture = world.capture()
    for name, target in (("IPv4", "10.0.1.2"), ("IPv6", "2001:470:24:c67::2")):
        replies = world.alice_host.ping(target, count=10)
        verdict(replies >= 9, f"ping alice-host to bob-host over {name}: {replies} of 10 replies")
    rate = transfer(world)
    verdict(rate > 0, f"one TCP transfer, alice-host to bob-host: {rate:,.0f} Mbit/s")
    seen = Seen(capture.stop())
    print(f"       seen by the transit router: {seen}")
    verdict(seen.protected > 0, f"{seen.protected:,} protected packets crossed the middle")
    verdict(not seen.readable and not seen.clear_tunnel, f"{len(seen.readable) + seen.clear_tunnel} packets with anything readable")


def bad_days(world):
    title("Alice's aditd is killed under traffic and started again; her policy is reloaded a hundred times")
    capture = world.capture()
    pinger = Pinger(world.alice_host, "10.0.1.2")
    time.sleep(1)
    world.alice.kill_aditd()
    print(f"{paint('1', 'alice #')} kill -9 aditd")
    time.sleep(1)
    world.alice.start_aditd()
    print(f"{paint('1', 'alice #')} aditd")
    time.sleep(2)
    pause = pinger.longest_pause()
    before = len(pinger.times)
    for _ in range(100):
        world.alice.adit("svcadm refresh ipsec/policy")
    print(f"{paint('1', 'alice #')} svcadm refresh ipsec/policy     (a hundred times)")
    time.sleep(0.5)
    during = len(pinger.times) - before
    pinger.process.terminate()
    seen = Seen(capture.stop())
    print(f"       seen by the transit router: {seen}")
    verdict(not seen.readable and not seen.clear_tunnel, f"{len(seen.readable) + seen.clear_tunnel} packets with anything readable")
    verdict(during > 0, f"traffic paused for {pause:.1f} s around the kill (one second of it before the restart), and went on through the reloads")


def tables(world):
    title("What the operator sees")
    for command in ("dladm show-iptun", "dladm show-link", "ipadm show-addr", "adit netstat -rn", "ipsecconf -L -n", "svcs", "dladm show-link -s"):
        show_command(world.alice, command, world.alice.adit(command).stdout)


def main():
    start = time.monotonic()
    with Lab() as lab:
        print("alice-host -- Alice (1.2.3.4) == transit, hostile, MTU 1500 == Bob (5.6.7.8) -- bob-host")
        world = two_sites(lab)
        try:
            set_up(world)
            everyday(world)
            bad_days(world)
            tables(world)
        except LabError as error:
            print(f"\n{paint('1;31', 'The demo failed:')} {error}", file=sys.stderr)
            for host in (world.alice, world.bob):
                print(f"--- aditd on {host.name}:\n{host.log()[-2000:]}", file=sys.stderr)
            return 1
    print(f"\n{paint('1;32', 'All of it held.')} {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
