"""A start with tunnels whose devices are taken by something else serves the rest; each broken one is closed and told."""
import json
import pathlib

from breaking import wait_for
from lab import BUILD, REPO


def why(host, name):
    rows = json.loads(host.adit(f"dladm show-link --json {name}").stdout)
    row = rows[0] if isinstance(rows, list) else rows
    return row["state"], json.dumps(row)


def test_names_and_queues_taken_by_others(up):
    alice = up.alice
    for number in range(3):
        alice.adit(f"dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.9.{number + 1} broken{number}")
    alice.kill_aditd()
    alice.sh("ip link del broken0")
    alice.sh("ip link add broken0 type bridge")          # the name
    alice.sh("ip link del broken1")
    alice.sh("ip tuntap add dev broken1 mode tun multi_queue user 65534")      # a TUN, but one that a user may open
    holder = alice.popen(["python3", "-c", """
import fcntl, os, struct, time
tun = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH22x', b'broken2', 0x5101))   # IFF_TUN, NO_PI, VNET_HDR, MULTI_QUEUE
print('held', flush=True)
time.sleep(600)
"""], stdout=-1, text=True)
    assert holder.stdout.readline() == "held\n"

    alice.start_aditd()
    wait_for(lambda: up.alice_host.ping("10.0.1.2", count=1, wait=1) == 1, what="traffic of the tunnel that is whole")
    for number, reason in enumerate(("did not make", "did not make", "another process")):
        state, row = why(alice, f"broken{number}")
        assert state == "down" and reason in row, row
        assert f"broken{number} is closed because" in alice.log()

    holder.terminate()
    alice.sh("ip link del broken0")
    alice.sh("ip link del broken1")
    wait_for(lambda: "cannot be made" not in why(alice, "broken0")[1] + why(alice, "broken1")[1] + why(alice, "broken2")[1], seconds=40,
             what="the devices, once nothing is in the way")


def test_a_group_that_anybody_changed_is_set_again_and_costs_no_tunnel(up):
    """`ip link set … group 0` while aditd runs, and while it does not: the name in the file says whose the device is."""
    alice, ours = up.alice, "ip -o link show group 173"
    alice.sh("ip link set v4_bob0 group 0")
    wait_for(lambda: "v4_bob0" in alice.sh(ours).stdout, what="the group, while aditd runs")
    alice.kill_aditd()
    alice.sh("ip link set v4_bob0 group 0")
    alice.start_aditd()
    wait_for(lambda: up.alice_host.ping("10.0.1.2", count=1, wait=1) == 1, what="traffic after the start")
    assert "v4_bob0" in alice.sh(ours).stdout


def test_the_descriptor_limit_is_raised(lab):
    """1,024, as a shell gives, are 500 tunnels of two workers."""
    host = lab.host("many")
    host.daemon = host.popen(["prlimit", "--nofile=256:2048", f"{BUILD}/bin/aditd"])
    host.wait_ready()
    limits = pathlib.Path(f"/proc/{host.daemon.pid}/limits").read_text()
    soft = next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3]
    assert int(soft) >= 2048
    assert "LimitNOFILE=524288" in (REPO / "packaging/aditd.service").read_text()
