"""A real Debian kernel as a peer: it has ESP, AH, XFRM and IPIP, which the machine's own may lack.

qemu without KVM runs it, as a processor that every machine can play, from a memory disk with the few programs that a peer needs:
nothing of the host is shared with it but one tap and one port. packaging/deps unpacks the kernel below build/kernel; nothing is installed.
"""
import contextlib
import fcntl
import pathlib
import select
import shutil
import socket
import stat
import subprocess
import tempfile
import time

from lab import LabError, REPO

HERE = pathlib.Path(__file__).resolve().parent
KERNEL = REPO / "build" / "kernel"                 # packaging/deps: root/ as the packages have it
PROGRAMS = ("bash", "ip", "socat", "modprobe")     # the machine's own; all else is busybox
# Modules of the kernel that the guest may load when something asks for them: whole folders, and single ones.
MODULES = ("crypto/*", "arch/x86/crypto/*", "lib/*", "lib/crypto/*", "net/core/*", "net/ipv4/*", "net/ipv6/*", "net/xfrm/*", "net/key/*",
           "drivers/virtio/*", "drivers/char/virtio_console*", "drivers/char/hw_random/*", "drivers/net/virtio_net*", "drivers/net/dummy*")
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /run
modprobe -a virtio_pci virtio_net virtio_console virtio_rng
bash /guest_init
echo "guest_init ended with $?"
echo o >/proc/sysrq-trigger
sleep 60
"""


NO_JUDGE = "the judge cannot run: "                # how the failure of a case begins that nobody judged; tests/run counts them as one


class NoJudge(Exception):
    """The guest kernel cannot run here: one sentence that says why."""


def kernel_version():
    found = sorted(path.name.removeprefix("vmlinuz-") for path in (KERNEL / "root" / "boot").glob("vmlinuz-*"))
    if not found:
        raise NoJudge(f"there is no kernel in {KERNEL}/root; `packaging/deps test` unpacks it there")
    return found[-1]


def libraries(program):
    """The shared objects that a program names, and its loader."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return [word for line in listed.splitlines() for word in line.split() if word.startswith("/")]


def needed_by(modules, source):
    """What the index says that these modules need."""
    needs = dict(line.split(":") for line in (source / "modules.dep").read_text().splitlines())
    return [source / name for module in modules for name in needs[str(module.relative_to(source))].split()]


def copy_modules(version, disk):
    """The modules that a peer may load, what they need, and an index of them."""
    source = KERNEL / "root" / "lib" / "modules" / version
    if not (source / "modules.dep").exists():
        subprocess.run(["depmod", "-b", KERNEL / "root", version], check=True, capture_output=True)
    wanted = [file for pattern in MODULES for file in source.glob(f"kernel/{pattern}.ko*")]
    for file in wanted + needed_by(wanted, source):
        target = disk / file.relative_to(KERNEL / "root")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    for file in source.glob("modules.builtin*"):
        shutil.copy(file, disk / "lib" / "modules" / version)
    subprocess.run(["depmod", "-b", disk, version], check=True, capture_output=True)


def cpio(disk, out):
    """The folder as the kernel reads a memory disk: the `newc` format."""
    def entry(name, mode, content=b""):
        fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        out.write(header + b"\0" * (-len(header) % 4) + content + b"\0" * (-len(content) % 4))
    for path in sorted(disk.rglob("*")):
        entry(str(path.relative_to(disk)), stat.S_IFDIR | 0o755 if path.is_dir() else stat.S_IFREG | 0o755, b"" if path.is_dir() else path.read_bytes())
    entry("TRAILER!!!", 0)


def make_disk(version, out):
    busybox = KERNEL / "root" / "bin" / "busybox"
    with tempfile.TemporaryDirectory() as folder:
        disk = pathlib.Path(folder)
        for name in ("bin", "dev", "proc", "sys", "run", "tmp", "etc", "sbin"):
            (disk / name).mkdir()
        shutil.copy(busybox, disk / "bin")
        for name in PROGRAMS:
            program = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
            if not program:
                raise NoJudge(f"the program {name} is not installed; `packaging/deps test` does it")
            shutil.copy(program, disk / "sbin" / name)
            for file in libraries(program):
                (disk / file.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, disk / file.lstrip("/"))
        copy_modules(version, disk)
        shutil.copy(HERE / "guest_init", disk)
        (disk / "init").write_text(INIT)
        with open(out, "wb") as file:
            cpio(disk, file)


def boot_files():
    """(kernel, memory disk), made once for a checkout: whoever comes first makes it."""
    version = kernel_version()
    disk = KERNEL / f"disk-{version}"
    sources = [HERE / "guest_init", pathlib.Path(__file__)]
    with open(KERNEL / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not disk.exists() or any(disk.stat().st_mtime < source.stat().st_mtime for source in sources):
            part = KERNEL / "part"
            make_disk(version, part)
            part.rename(disk)
    return KERNEL / "root" / "boot" / f"vmlinuz-{version}", disk


class Guest:
    """Joined to `host` by the tap `device`. run() gives it a shell script. Boots in seconds; a boot that fails is tried again, a script never is."""

    def __init__(self, host, device, address, address6="", memory=256, boots=3, seconds=90):
        if not shutil.which("qemu-system-x86_64"):
            raise NoJudge("qemu-system-x86_64 is not installed; `packaging/deps test` does it")
        self.host, self.memory = host, memory
        self.words = f"ADDRESS={address} ADDRESS6={address6}"
        try:
            self.kernel, self.disk = boot_files()
        except (OSError, subprocess.CalledProcessError) as error:
            raise NoJudge(f"the guest's memory disk cannot be made: {error}") from error
        self.console, self.complaints = host.lab.tmp / f"guest-{device}.console", host.lab.tmp / f"guest-{device}.stderr"
        host.sh(f"ip tuntap add dev {device} mode tap")
        host.sysctl(f"net/ipv6/conf/{device}/accept_dad", 0)
        host.sh(f"ip link set {device} up")
        for _ in range(boots):
            if self.boot(device, seconds):
                return
        raise NoJudge(f"the guest kernel {self.kernel.name} did not boot in {boots} tries of {seconds} s: {self.last_words()}")

    def boot(self, device, seconds):
        port = self.host.lab.tmp / f"guest-{device}"
        port.unlink(missing_ok=True)
        self.console.write_bytes(b"")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(port))
            listener.listen(1)
            self.process = self.host.popen(
                ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "Nehalem", "-m", self.memory, "-smp", "1", "-nodefaults",
                 "-display", "none", "-no-reboot", "-serial", f"file:{self.console}", "-kernel", self.kernel, "-initrd", self.disk,
                 "-append", f"console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable nokaslr net.ifnames=0 {self.words}",
                 "-netdev", f"tap,id=n0,ifname={device},script=no,downscript=no", "-device", "virtio-net-pci,netdev=n0,romfile=",
                 "-device", "virtio-rng-pci", "-device", "virtio-serial-pci", "-chardev", f"socket,id=c0,path={port}",
                 "-device", "virtserialport,chardev=c0"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.complaints.open("wb"))
            while not select.select([listener], [], [], 0.1)[0]:
                if self.process.poll() is not None:
                    return False
            self.channel, _ = listener.accept()
        self.pending, self.silent = b"", False
        with contextlib.suppress(LabError):
            return self.answer(time.monotonic() + seconds) == "ready"
        self.stop()
        return False

    def answer(self, deadline):
        """Up to the next NUL."""
        while b"\0" not in self.pending:
            ready, _, _ = select.select([self.channel], [], [], max(0, deadline - time.monotonic()))
            got = self.channel.recv(65536) if ready else b""
            if not got:
                self.silent = True
                raise LabError(f"the guest kernel did not answer: {self.last_words()}")
            self.pending += got
        word, _, self.pending = self.pending.partition(b"\0")
        return word.decode(errors="replace")

    def run(self, script, seconds=30, check=True):
        self.channel.sendall(script.encode() + b"\0")
        deadline = time.monotonic() + seconds
        status, output = self.answer(deadline), self.answer(deadline)
        if check and status != "0":
            raise LabError(f"guest: {script}\n{output}")
        return output

    def gone(self):
        """Why it cannot be asked anything more, if so."""
        if self.silent or self.process.poll() is not None:
            return f"the guest kernel ended in an earlier case: {self.last_words()}"

    def last_words(self):
        """The end of the console, or what qemu said, in one line."""
        said = self.console.read_text(errors="replace") + self.complaints.read_text(errors="replace")
        return " / ".join(line.strip() for line in said.splitlines() if line.strip())[-400:] or "it said nothing"

    def stop(self):
        self.channel.close()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=20)
