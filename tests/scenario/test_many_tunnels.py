"""Many secured tunnels by one program: all of them stand, over a crash at any moment too. Counts; bench/tunnels.py has the times."""
import json
import os
import signal
import socket


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
