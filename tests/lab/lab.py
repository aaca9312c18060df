"""The lab: hosts that are network namespaces, joined by veth, with an aditd of their own where one is wanted.

Everything that is made here is taken away at the end, also after a failure; no namespace has a way out. Standard library only.

    with Lab() as lab:
        world = two_sites(lab)          # alice-host -- alice -- transit -- bob -- bob-host
        world.alice.start_aditd()
        world.alice.adit("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.8 v4_bob0")
"""
import contextlib
import ctypes
import os
import pathlib
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("ADIT_BUILD", REPO / "build" / "release"))
CANARY = b"adit-canary-"          # in every payload that must never be readable on the underlay


class LabError(AssertionError):
    """A command in the lab did not do what the test needs."""


def alive(pid):
    """A process that has ended and that nobody has waited for is not."""
    try:
        return ") Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


class Host:
    """One namespace. `root` is its private / for Adit's files, `run` the daemon's sockets."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.ns = f"{lab.prefix}{name}"
        self.root = lab.tmp / name
        self.run_dir = self.root / "run"
        for folder in ("etc/inet/secret", "etc/dladm", "etc/ipadm", "run"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.daemon = None
        self.steps = None              # a file for the steps of its daemons (docs/model/README.md)
        self.daemon_log = lab.tmp / f"{name}.aditd.log"
        lab.sh(f"ip netns add {self.ns}")
        self.sh("ip link set lo up")

    # -- commands
    def environment(self):
        path = f"{BUILD}/bin:{os.environ['PATH']}"
        # Whoever runs the tests over SSH is not in the lab: closing a network there ends no session of his.
        return dict(os.environ, ADIT_ROOT=str(self.root), ADIT_RUNDIR=str(self.run_dir), PATH=path, SSH_CONNECTION="")

    def argv(self, command):
        words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
        return ["ip", "netns", "exec", self.ns, *words]

    def sh(self, command, check=True, input=None, timeout=60):
        """Runs a command inside; returns CompletedProcess with text output."""
        done = subprocess.run(self.argv(command), env=self.environment(), capture_output=True, text=True, input=input,
                              timeout=timeout)
        if check and done.returncode != 0:
            raise LabError(f"{self.name}# {command}\nexit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def adit(self, command, check=True, input=None, timeout=60):
        """`dladm ...`, `ipsecconf ...`: through the one binary, as an installed link would be."""
        words = shlex.split(command) if isinstance(command, str) else list(command)
        if words[0] == "adit":
            words = words[1:]
        return self.sh([BUILD / "bin" / "adit", *words], check=check, input=input, timeout=timeout)

    def popen(self, command, **more):
        process = subprocess.Popen(self.argv(command), env=self.environment(), start_new_session=True, **more)
        self.lab.processes.append(process)
        return process

    def write(self, path, text, mode=0o644):
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        return target

    # -- the daemon
    def start_aditd(self, *options, wait=True, environment=None, before=()):
        """`before`: a command that starts it, with limits."""
        log = open(self.daemon_log, "ab")
        traced = {"ADIT_TRACE_STEPS": str(self.steps)} if self.steps else {}
        self.daemon = subprocess.Popen(self.argv([*before, BUILD / "bin" / "aditd", *options]), stdout=log, stderr=log,
                                       env=dict(self.environment(), **traced, **(environment or {})), start_new_session=True)
        self.lab.processes.append(self.daemon)
        if wait:
            self.wait_ready()
        return self.daemon

    def wait_ready(self, seconds=15):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.daemon.poll() is not None:
                raise LabError(f"aditd on {self.name} ended with {self.daemon.returncode}:\n{self.log()}")
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(self.run_dir / "adit.sock"))
                return
            except OSError:
                time.sleep(0.02)
        raise LabError(f"aditd on {self.name} is not ready after {seconds} s:\n{self.log()}")

    def log(self):
        return self.daemon_log.read_text(errors="replace") if self.daemon_log.exists() else ""

    def kill_aditd(self, how=signal.SIGKILL):
        """`ip netns exec` has replaced itself by the daemon, so the pid is the daemon's."""
        self.daemon.send_signal(how)
        code = self.daemon.wait(timeout=20)
        self.daemon = None
        return code

    # -- the guardian, which aditd starts and which outlives it
    def guardian_pid(self):
        """None: there is none."""
        try:
            pid = int((self.run_dir / "adit-guard.pid").read_text())
            return pid if b"adit-guard" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() else None
        except (OSError, ValueError):
            return None

    def kill_guardian(self, how=signal.SIGKILL):
        pid = self.guardian_pid()
        if pid is not None:
            os.kill(pid, how)
            deadline = time.monotonic() + 20
            while alive(pid):
                if time.monotonic() > deadline:
                    raise LabError(f"the guardian of {self.name} did not end within 20 s of signal {how}:\n{self.log()[-2000:]}")
                time.sleep(0.005)
        return pid

    def processes(self):
        """All that run in this host's network."""
        return [int(pid) for pid in subprocess.run(["ip", "netns", "pids", self.ns], capture_output=True, text=True).stdout.split()]

    # -- small things tests ask for
    def limit(self, pid, *limits):
        """Soft limits of a process (`--nofile=10:`), set as its own user: root needs CAP_SYS_RESOURCE for others'."""
        status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        uid, gid = status["Uid"].split()[0], status["Gid"].split()[0]
        self.sh(["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "prlimit", "--pid", pid, *limits])

    def add_address(self, device, *addresses):
        for address in addresses:
            nodad = " nodad" if ":" in address else ""
            self.sh(f"ip addr add {address} dev {device}{nodad}")

    def ping(self, target, count=3, interval=0.05, wait=2, size=56, pattern=CANARY, options="", check=False):
        """Number of replies. The payload carries the canary."""
        hexed = pattern[:16].hex()
        done = self.sh(f"ping -n -q -c {count} -i {interval} -W {wait} -s {size} -p {hexed} {options} {target}", check=False,
                       timeout=count * interval + wait + 20)
        received = [line for line in done.stdout.splitlines() if "received" in line]
        replies = int(received[0].split(",")[1].split()[0]) if received else 0
        if check and replies == 0:
            raise LabError(f"{self.name}: no reply from {target}\n{done.stdout}{done.stderr}")
        return replies

    def sysctl(self, key, value):
        """`key` as in /proc/sys, with slashes."""
        self.sh(["sh", "-c", f"echo {value} > /proc/sys/{key}"])


class Capture:
    """Every packet on some interfaces of a host, to files, from construction to stop()."""

    def __init__(self, host, devices, snaplen=400):
        self.host, self.files, self.processes = host, [], []
        for device in devices:
            file = host.lab.tmp / f"{host.name}-{device}-{time.monotonic_ns()}.pcap"
            process = host.popen(["tcpdump", "-i", device, "-n", "-p", "-U", "--immediate-mode", "-s", snaplen, "-B", "16384", "-w", file],
                                 stderr=subprocess.PIPE)
            self.files.append(file)
            self.processes.append(process)
        for process in self.processes:
            line = process.stderr.readline()
            if b"listening on" not in line:
                raise LabError(f"tcpdump did not start: {line.decode()}")

    def stop(self):
        time.sleep(0.2)
        for process in self.processes:
            process.send_signal(signal.SIGINT)
        for process in self.processes:
            process.communicate(timeout=20)
        return [packet for file in self.files for packet in read_pcap(file)]


def read_pcap(file):
    """Yields the IP packet (bytes) of every Ethernet frame of a little-endian pcap file."""
    data = file.read_bytes()
    at = 24
    while at + 16 <= len(data):
        length, = struct.unpack_from("<I", data, at + 8)
        frame = data[at + 16:at + 16 + length]
        at += 16 + length
        if len(frame) >= 14 and frame[12:14] in (b"\x08\x00", b"\x86\xdd"):
            yield frame[14:]


def describe(packet):
    """(outer protocol number, source, destination) of an IP packet."""
    if packet[0] >> 4 == 4:
        return packet[9], socket.inet_ntop(socket.AF_INET, packet[12:16]), socket.inet_ntop(socket.AF_INET, packet[16:20])
    protocol, offset = packet[6], 40
    while protocol in (0, 43, 60) and len(packet) >= offset + 8:
        protocol, offset = packet[offset], offset + 8 * (packet[offset + 1] + 1)
    return protocol, socket.inet_ntop(socket.AF_INET6, packet[8:24]), socket.inet_ntop(socket.AF_INET6, packet[24:40])


def udp_ports(packet):
    """The two ports' bytes of a UDP packet, behind whatever headers stand before it."""
    offset = (packet[0] & 15) * 4
    if packet[0] >> 4 == 6:
        protocol, offset = packet[6], 40
        while protocol in (0, 43, 60) and len(packet) >= offset + 8:
            protocol, offset = packet[offset], offset + 8 * (packet[offset + 1] + 1)
    return packet[offset:offset + 4]


def is_protected_address(text):
    return text.startswith("10.0.") or text.startswith("2001:470:24:c6")


class Seen:
    """What a capture on the underlay shows, counted."""

    def __init__(self, packets):
        self.esp = self.ah = self.udp_esp = self.clear_tunnel = self.other = 0
        self.readable = []
        for packet in packets:
            protocol, source, destination = describe(packet)
            if protocol == 50:
                self.esp += 1
            elif protocol == 51:
                self.ah += 1
            elif protocol in (4, 41):
                self.clear_tunnel += 1
            elif protocol == 17 and b"\x11\x94" in udp_ports(packet):
                self.udp_esp += 1
            else:
                self.other += 1
            if is_protected_address(source) or is_protected_address(destination) or CANARY in packet:
                self.readable.append((protocol, source, destination, packet[:64].hex()))

    @property
    def protected(self):
        return self.esp + self.ah + self.udp_esp

    def __str__(self):
        return (f"{self.esp} ESP, {self.udp_esp} ESP in UDP, {self.ah} AH, {self.clear_tunnel} cleartext tunnel, {self.other} other, "
                f"{len(self.readable)} readable")


class Lab:
    """Owns namespaces, processes and files. A context manager: whatever happens, all of it goes at the end."""

    def __init__(self, keep=False):
        self.prefix = f"ad{os.getpid()}{next(Lab.numbers)}-"
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="adit-lab-"))
        self.tmp.chmod(0o711)                     # as /: the daemons are users of their own
        self.hosts, self.processes, self.keep = [], [], keep

    numbers = iter(range(1000000))

    def sh(self, command):
        done = subprocess.run(shlex.split(command), capture_output=True, text=True)
        if done.returncode != 0:
            raise LabError(f"{command}: {done.stderr}")
        return done.stdout

    def host(self, name):
        host = Host(self, name)
        self.hosts.append(host)
        return host

    def wire(self, a, device_a, b, device_b, mtu=1500):
        """A veth pair between two hosts."""
        self.sh(f"ip link add {device_a} netns {a.ns} type veth peer name {device_b} netns {b.ns}")
        for host, device in ((a, device_a), (b, device_b)):
            host.sysctl(f"net/ipv6/conf/{device}/accept_dad", 0)
            host.sh(f"ip link set {device} mtu {mtu} up")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 5
        for process in self.processes:
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        for host in self.hosts:
            for pid in host.processes():     # what daemons started and left behind, as guardians are
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", host.ns], capture_output=True)
        broken = [host.log() for host in self.hosts if any(word in host.log() for word in ("Sanitizer", "runtime error:", " was refused: it is on no list"))]
        if not self.keep:
            shutil.rmtree(self.tmp, ignore_errors=True)
        if broken:
            raise LabError("a daemon did what it must not:\n" + broken[0])


class World:
    """alice_host -- alice -- transit -- bob -- bob_host, as the guide has it. Underlay over both families, MTU 1500."""


def two_sites(lab, transit_mtu=1500):
    world = World()
    world.lab = lab
    for name in ("alice_host", "alice", "transit", "bob", "bob_host"):
        setattr(world, name, lab.host(name.replace("_", "-")))
    lab.wire(world.alice_host, "net0", world.alice, "net1")
    lab.wire(world.alice, "net0", world.transit, "left", transit_mtu)
    lab.wire(world.bob, "net0", world.transit, "right", transit_mtu)
    lab.wire(world.bob_host, "net0", world.bob, "net1")
    world.alice.add_address("net0", "1.2.3.4/24", "2001:db8:1::4/64")
    world.alice.add_address("net1", "10.0.0.1/24", "2001:470:24:c66::1/64")
    world.bob.add_address("net0", "5.6.7.8/24", "2001:db8:5::8/64")
    world.bob.add_address("net1", "10.0.1.1/24", "2001:470:24:c67::1/64")
    world.transit.add_address("left", "1.2.3.1/24", "2001:db8:1::1/64")
    world.transit.add_address("right", "5.6.7.1/24", "2001:db8:5::1/64")
    world.alice_host.add_address("net0", "10.0.0.2/24", "2001:470:24:c66::2/64")
    world.bob_host.add_address("net0", "10.0.1.2/24", "2001:470:24:c67::2/64")
    for host, gateway in ((world.alice, "1.2.3.1"), (world.bob, "5.6.7.1"), (world.alice_host, "10.0.0.1"),
                          (world.bob_host, "10.0.1.1")):
        host.sh(f"ip route add default via {gateway}")
    for host, gateway in ((world.alice, "2001:db8:1::1"), (world.bob, "2001:db8:5::1"),
                          (world.alice_host, "2001:470:24:c66::1"), (world.bob_host, "2001:470:24:c67::1")):
        host.sh(f"ip -6 route add default via {gateway}")
    for host in (world.alice, world.transit, world.bob):
        host.sysctl("net/ipv4/ip_forward", 1)
        host.sysctl("net/ipv6/conf/all/forwarding", 1)
    # The hostile middle routes to both private networks: whatever leaks does arrive, and a test sees it.
    for network, gateway in (("10.0.0.0/24", "1.2.3.4"), ("10.0.1.0/24", "5.6.7.8"), ("2001:470:24:c66::/64", "2001:db8:1::4"),
                             ("2001:470:24:c67::/64", "2001:db8:5::8")):
        world.transit.sh(f"ip route add {network} via {gateway}")
    world.capture = lambda: Capture(world.transit, ("left", "right"))
    return world
