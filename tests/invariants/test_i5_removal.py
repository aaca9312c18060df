"""I5: flushing policy, disabling a service or losing every SA closes; it never opens."""
import time

import guide
from breaking import Breaking, drops, wait_for


def closed_while(up, break_it, heal=None):
    with Breaking(up) as it:
        break_it()
        time.sleep(0.3)
        assert up.alice_host.ping("10.0.1.2", count=2, wait=1) == 0
        if heal:
            heal()
            wait_for(lambda: up.alice_host.ping("10.0.1.2", count=1, wait=1) == 1, what="traffic after healing")
    it.nothing_readable()
    return it


def test_i5_policy_flush_closes(up):
    closed_while(up, lambda: up.alice.adit("ipsecconf -F -q"), lambda: up.alice.adit("svcadm refresh ipsec/policy"))


def test_i5_flush_of_the_one_head_closes(up):
    closed_while(up, lambda: up.alice.adit("ipsecconf -f -i v4_bob0 -q"))


def test_i5_deleting_the_rules_one_by_one_closes(up):
    def delete_all():
        for line in up.alice.adit("ipsecconf -L -n").stdout.splitlines():
            if line.startswith("#INDEX"):
                up.alice.adit(f"ipsecconf -d {line.split()[1]} -q")
    closed_while(up, delete_all)


def test_i5_disabled_policy_service_closes(up):
    closed_while(up, lambda: up.alice.adit("svcadm disable ipsec/policy"), lambda: up.alice.adit("svcadm enable ipsec/policy"))


def test_i5_all_sas_deleted_closes_and_new_ones_open(up):
    closed_while(up, lambda: up.alice.adit("ipseckey flush"), lambda: up.alice.adit("svcadm refresh ipsec/manual-key"))
    assert drops(up.alice, "no_sa") + drops(up.alice, "acquire_queue_full") + drops(up.alice, "acquire_timeout") > 0


def test_i5_expired_sas_close(up):
    with Breaking(up) as it:
        for host in (up.alice, up.bob):
            host.write("/etc/inet/secret/ipseckeys", guide.keys(extra="hard_addtime 4 soft_addtime 2"), 0o600)
            host.adit("ipseckey flush")
            host.adit("svcadm refresh ipsec/manual-key")
        wait_for(lambda: "spi=0x2001" not in up.alice.adit("ipseckey -n dump").stdout, what="the SA's end")
        assert up.alice_host.ping("10.0.1.2", count=2, wait=1) == 0
    it.nothing_readable()
    assert "hard lifetime came to an end" in up.alice.sh("timeout 2 adit monitor -a 0", check=False).stdout


def test_i5_byte_lifetime_ends_the_sa(world):
    guide.set_up(world, key_text=guide.keys(extra="hard_bytes 20000 soft_bytes 10000"))
    with Breaking(world) as it:
        wait_for(lambda: world.alice_host.ping("10.0.1.2", count=1, wait=1) == 0, what="the SA's end")
    it.nothing_readable()


def test_i5_disabled_manual_keys_close(up):
    closed_while(up, lambda: up.alice.adit("svcadm disable ipsec/manual-key"), lambda: up.alice.adit("svcadm enable ipsec/manual-key"))


def test_i5_disabled_iptun_service_closes(up):
    closed_while(up, lambda: up.alice.adit("svcadm disable network/iptun"))


def test_i5_deleting_a_secured_tunnel_says_what_opens(up):
    said = ""
    for command in ("ipadm delete-if v4_bob0", "dladm delete-iptun v4_bob0"):
        said += up.alice.adit(command).stderr
    assert "clear" in said and "10.0.1.0/24" in said and "2001:470:24:c67::/64" in said, said


def test_i5_delete_with_k_keeps_the_networks_closed(up):
    with Breaking(up) as it:
        refused = up.alice.adit("dladm delete-iptun v4_bob0", check=False)
        assert refused.returncode == 1 and "busy" in refused.stderr
        for command in ("ipadm delete-if v4_bob0", "dladm delete-iptun -k v4_bob0"):
            up.alice.adit(command)
        time.sleep(0.5)
    it.nothing_readable()
