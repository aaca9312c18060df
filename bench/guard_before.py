#!/usr/bin/env python3
"""The guard of commit 9cfcf60 as it stood in the kernel, for `guard_cost packets`: what ours is measured against.

    bench/guard_before.py up NETWORKS | down NETWORKS
"""
import subprocess
import sys

DEVICE, GATEWAY, SENT_TO = "tun0", "10.9.0.2", "11.0.0.0/24"      # as guard_cost has them
MARK, TABLE, PRIORITY, WORST = "0xad17", 173, 32760, 4294967295


def feed(command, text):
    subprocess.run(command, input=text, check=True, text=True)


def networks(count):
    return [f"11.{i >> 8}.{i & 255}.0/{26 if i % 7 == 6 else 24}" for i in range(count)]


def sets(family, key, closed):
    carried = ", ".join(f'{network} . "{DEVICE}"' for network in closed)
    stopped = ", ".join(f'{network} comment "{network}"' for network in closed)
    return (f"set pass{family} {{ type {key} . ifname; flags interval; elements = {{ {carried} }} }}\n"
            + "".join(f"set {way}{family} {{ type {key}; flags interval; counter; elements = {{ {stopped} }} }}\n" for way in ("out", "in")))


def chain(name, hook, priority, first, field, device, stopped):
    asked = [f"{ip} {field} . {device} @pass{family} accept\n{ip} {field} @{stopped}{family} drop" for ip, family in (("ip", 4), ("ip6", 6))]
    rules = "\n".join([*first, *asked])
    return f"chain {name} {{ type filter hook {hook} priority {priority};\n{rules}\n}}\n"


def table(closed):
    return "".join(("table inet adit-before {\n", sets(4, "ipv4_addr", closed), sets(6, "ipv6_addr", ["2001:db8:1::/48"]),
                    chain("guard_out", "postrouting", 300, ["oifname lo accept", f"meta mark {MARK} meta l4proto {{ 4, 17, 41, 50, 51 }} accept"],
                          "daddr", "oifname", "out"),
                    chain("guard_in", "input", -300, ["iifname lo accept", "meta l4proto { 4, 41, 50, 51 } accept", "udp dport { 500, 4500 } accept",
                                                      "icmp type { 3, 11, 12 } accept", "icmpv6 type { 1, 2, 3, 4 } accept"], "saddr", "iifname", "in"),
                    chain("guard_forward", "forward", -300, [], "saddr", "iifname", "in"), "}\n"))


def main():
    verb, closed = sys.argv[1], networks(int(sys.argv[2]))
    up = verb == "up"
    act = "add" if up else "del"
    feed(["nft", "-f", "-"], table(closed) if up else "delete table inet adit-before\n")
    for family in ("-4", "-6"):
        feed(["ip", family, "-batch", "-"], f"rule {act} pref {PRIORITY} fwmark {MARK} lookup {TABLE}\nrule {act} pref {PRIORITY + 1} fwmark {MARK} unreachable\n")
    routes = [f"192.0.2.0/24 dev out0 table {TABLE}", f"{SENT_TO} via {GATEWAY} dev {DEVICE}"]
    routes += [f"unreachable {network} metric {WORST}" for network in closed]
    feed(["ip", "-batch", "-"], "".join(f"route {act} {route}\n" for route in routes))


if __name__ == "__main__":
    main()
