"""A shell that stays in a host's namespace: an act costs one fork, not the dozen of `ip netns exec`."""
import os
import select
import subprocess
import time

from lab import LabError

MARK = "chaos-done"


class Shell:
    def __init__(self, host):
        self.host = host
        self.open()

    def open(self):
        self.process = self.host.popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)

    def run(self, script, check=False, seconds=60):
        """(exit status, output)"""
        self.process.stdin.write(f"( :; {script}\n) </dev/null 2>&1; echo {MARK} $?\n".encode())
        text, deadline = b"", time.monotonic() + seconds
        while not (text.endswith(b"\n") and text.splitlines()[-1].startswith(MARK.encode())):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not piece:
                self.process.kill()
                self.open()
                raise LabError(f"{self.host.name}# {script}\ndid not end in {seconds} s:\n{text.decode(errors='replace')}")
            text += piece
        lines = text.decode(errors="replace").splitlines()
        status, output = int(lines[-1].split()[1]), "\n".join(lines[:-1])
        if check and status != 0:
            raise LabError(f"{self.host.name}# {script}\nexit {status}\n{output}")
        return status, output
