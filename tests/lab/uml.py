"""A real Linux kernel (6.1, user-mode-linux) as a peer: it has ESP, AH, XFRM and IPIP, which the machine's own may lack."""
import os
import pathlib
import signal
import subprocess
import time

from lab import LabError

HERE = pathlib.Path(__file__).resolve().parent


def link_modules():
    """modprobe in the guest looks below /lib/modules; Debian keeps the guest's modules elsewhere."""
    for version in pathlib.Path("/usr/lib/uml/modules").iterdir():
        link = pathlib.Path("/lib/modules") / version.name
        if not link.exists():
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(version)


class Guest:
    """Boots in about three seconds, joined to `host` by the tap `device`. run() gives it a shell script."""

    def __init__(self, host, device, address, address6="", memory="128M"):
        link_modules()
        self.host, self.count = host, 0
        self.share = host.lab.tmp / f"uml-{device}"
        self.share.mkdir()
        host.sh(f"ip tuntap add dev {device} mode tap")
        host.sysctl(f"net/ipv6/conf/{device}/accept_dad", 0)
        host.sh(f"ip link set {device} up")
        self.log = open(self.share / "console", "wb")
        self.process = host.popen(
            ["linux.uml", f"mem={memory}", "rootfstype=hostfs", "rootflags=/", "ro", f"vec0:transport=tap,ifname={device},depth=128,gro=1,vec=0",
             f"init={HERE}/uml_init", f"UML_IP={address}", f"UML_IP6={address6}", f"UML_SHARE={self.share}", f"uml_dir={self.share}/",
             "con=null", "con0=fd:0,fd:1", "ssl=null", "quiet", "loglevel=3"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.run("true", seconds=60)

    def run(self, script, seconds=30, check=True):
        number, self.count = self.count, self.count + 1
        part = self.share / f"{number}.part.sh"
        part.write_text(script)
        part.rename(self.share / f"{number}.sh")
        status = self.share / f"{number}.status"
        deadline = time.monotonic() + seconds
        while not status.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                console = (self.share / "console").read_text(errors="replace")
                raise LabError(f"the guest kernel did not answer: {console[-2000:]}")
            time.sleep(0.01)
        output = (self.share / f"{number}.out").read_text(errors="replace")
        if check and status.read_text().strip() != "0":
            raise LabError(f"guest: {script}\n{output}")
        return output

    def stop(self):
        (self.share / "stop").touch()
        try:
            self.process.wait(timeout=8)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGTERM)      # SIGKILL would orphan its helper processes
            self.process.wait(timeout=8)
        self.log.close()
