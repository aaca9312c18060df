"""Many secured tunnels by one program: all of them stand, over a crash at any moment too, and one more costs itself. Counts; bench/tunnels.py
has the times."""
import json
import os
import re
import signal
import socket
import subprocess
import time


def call(host, method, **parameters):
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(host.run_dir / "adit.sock"))
        link.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
        answer = b""
        while not answer.endswith(b"\0"):
            answer += link.recv(1 << 20)
    answer = json.loads(answer[:-1])
    assert "error" not in answer, answer
    return answer["parameters"]


def tunnel(number):
    return {"name": f"tun{number}", "type": "ipv4", "local": "1.2.3.4", "remote": f"5.0.{number // 200}.{number % 200 + 1}", "secured": True,
            "temporary": False, "properties": {"ipsec": "{encr_algs aes-gcm(128)}"}}


def test_six_hundred_tunnels_are_made_and_adopted(lab):
    host, peer = lab.host("many"), lab.host("peer")
    lab.wire(host, "net0", peer, "net0")
    host.add_address("net0", "1.2.3.4/24")
    host.sh("ip route add default via 1.2.3.1")
    host.start_aditd("--workers", "2")
    for batch in range(3):
        call(host, "io.adit.links.CreateIptuns", tunnels=[tunnel(batch * 200 + number) for number in range(200)])
    assert len(os.listdir(f"/proc/{host.daemon.pid}/fd")) > 1200, "two queues a tunnel, beyond what a shell's limit lets"
    call(host, "io.adit.links.CreateIptun", **tunnel(600))
    call(host, "io.adit.links.DeleteIptun", name="tun0", temporary=False, keep_closed=False)
    listed = host.root / "etc/dladm/datalink.conf"
    for _ in range(2):  # the first time the last two commands are in the journal only
        states = host.adit("dladm show-link -p -o class,state").stdout.split()
        assert states.count("iptun:up") == 600
        host.kill_aditd(signal.SIGKILL)
        host.start_aditd("--workers", "2", wait=False)
        host.wait_ready(60)
    host.kill_aditd(signal.SIGTERM)
    lines = listed.read_text().splitlines()
    assert sum("class=int,128" in line for line in lines) == 600 and not any("name=string,tun0;" in line for line in lines)
    assert not listed.with_name("datalink.conf.journal").exists()


class Counted:
    """System calls of a process's main thread, and bytes that it read and wrote."""
    MOVES_BYTES = re.compile(r"^(?:recv|read|pread|write|pwrite|send)\w*\(.* = (\d+)$")

    def __init__(self, pid, log):
        self.pid, self.log = pid, log

    def __enter__(self):
        self.strace = subprocess.Popen(["strace", "-s", "0", "-o", str(self.log), "-p", str(self.pid)], stderr=subprocess.PIPE, text=True)
        said = self.strace.stderr.readline()
        assert "attached" in said, said
        return self

    def __exit__(self, *_):
        self.strace.send_signal(signal.SIGINT)
        self.strace.communicate(timeout=30)
        lines = [line for line in self.log.read_text().splitlines() if "(" in line]
        self.calls = len(lines)
        self.bytes = sum(int(found[1]) for found in map(self.MOVES_BYTES.match, lines) if found)


def numbered(number, length=24):
    rule = f"{{negotiate tunnel raddr 13.{number >> 8}.{number & 255}.0/{length}}} ipsec {{encr_algs aes-gcm(128)}}"
    return {**tunnel(number), "name": f"t{number}", "properties": {"ipsec": rule}}


def work_of_five(host, start, tmp_path):
    """The least of five rounds: what a daemon does each second now and then falls into one."""
    guardian = int((host.run_dir / "adit-guard.pid").read_text())
    rounds = []
    for at in range(start, start + 25, 5):
        with Counted(host.daemon.pid, tmp_path / "aditd") as aditd, Counted(guardian, tmp_path / "guardian") as keeper:
            for number in range(at, at + 5):
                call(host, "io.adit.links.CreateIptun", **numbered(number))
        rounds.append((aditd.calls, aditd.bytes, keeper.calls, keeper.bytes))
    return [min(column) for column in zip(*rounds)]


def bytes_for_a_new_length(host, number, length, tmp_path):
    guardian = int((host.run_dir / "adit-guard.pid").read_text())
    with Counted(guardian, tmp_path / "guardian") as keeper:
        call(host, "io.adit.links.CreateIptun", **numbered(number, length))
    return keeper.bytes


def test_one_tunnel_more_costs_itself_whatever_their_number(lab, tmp_path):
    host, peer = lab.host("many"), lab.host("peer")
    lab.wire(host, "net0", peer, "net0")
    host.add_address("net0", "1.2.3.4/24")
    host.sh("ip route add default via 1.2.3.1")
    host.start_aditd("--workers", "1")
    call(host, "io.adit.links.CreateIptuns", tunnels=[numbered(number) for number in range(1000, 1100)])
    few = work_of_five(host, 1100, tmp_path)
    length_beside_few = bytes_for_a_new_length(host, 1150, 25, tmp_path)
    for at in range(1200, 1800, 200):
        call(host, "io.adit.links.CreateIptuns", tunnels=[numbered(number) for number in range(at, at + 200)])
    many = work_of_five(host, 2000, tmp_path)
    length_beside_many = bytes_for_a_new_length(host, 2050, 26, tmp_path)
    assert host.adit("dladm show-link -p -o class,state").stdout.split().count("iptun:up") == 752
    for what, first, last in zip(("aditd's system calls", "its bytes", "the guardian's system calls", "its bytes"), few, many):
        assert min(few) > 100 and last <= 1.1 * first, f"{what} for five tunnels: {first} beside 100, {last} beside 700"
    assert length_beside_many < 1.5 * length_beside_few, f"bytes for a network of a new length: {length_beside_few}, then {length_beside_many}"


def dress(host, number):
    call(host, "io.adit.addresses.CreateAddr", object=f"t{number}/v4", type="static", local="10.0.0.1", remote=f"11.0.{number >> 8}.{number & 255}")
    call(host, "io.adit.routes.Add", words=[f"13.{number >> 8}.{number & 255}.0/24", f"11.0.{number >> 8}.{number & 255}"], persistent=True)


def delete(host, number):
    call(host, "io.adit.links.DeleteIptun", name=f"t{number}", temporary=False, keep_closed=False, recursive=True)


def work(host, numbers, each, tmp_path):
    """Of each of them, the least: what a daemon does each second now and then falls into one."""
    rounds = []
    for number in numbers:
        with Counted(host.daemon.pid, tmp_path / "aditd") as aditd:
            each(host, number)
            time.sleep(0.3)  # what the kernel tells of it is heard
        rounds.append((aditd.calls, aditd.bytes))
    return [min(column) for column in zip(*rounds)]


def test_an_address_a_route_and_a_deletion_cost_themselves_whatever_their_number(lab, tmp_path):
    host, peer = lab.host("many"), lab.host("peer")
    lab.wire(host, "net0", peer, "net0")
    host.add_address("net0", "1.2.3.4/24")
    host.sh("ip route add default via 1.2.3.1")
    host.start_aditd("--workers", "1")

    def make(numbers):
        call(host, "io.adit.links.CreateIptuns", tunnels=[numbered(number) for number in numbers])
        for number in numbers[5:]:
            dress(host, number)

    make(range(1000, 1105))
    few = work(host, range(1000, 1005), dress, tmp_path) + work(host, range(1000, 1005), delete, tmp_path)
    for at in range(1200, 1600, 100):
        make(range(at, at + 100))
    many = work(host, range(1200, 1205), dress, tmp_path) + work(host, range(1200, 1205), delete, tmp_path)
    routes = host.sh("ip route show table 174").stdout
    assert "13.5.100.0/24 via 11.0.5.100 dev t1380" in routes, routes[-2000:]
    assert host.adit("dladm show-link -p -o class,state").stdout.split().count("iptun:up") == 495
    for what, first, last in zip(("system calls to dress one", "bytes", "system calls to delete it", "bytes"), few, many):
        assert first > 20 and last <= 1.15 * first, f"{what}: {first} beside 100, {last} beside 500"
    host.kill_aditd(signal.SIGKILL)
    host.start_aditd("--workers", "1", wait=False)
    host.wait_ready(120)
    assert host.adit("ipadm show-addr -p -o addrobj").stdout.split().count("t1380/v4") == 1
