"""What a user would run instead, set up for the benchmark: bare veth, strongSwan's userspace ESP, wireguard-go; and Adit itself."""
import shutil
import subprocess
import sys
import time
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "lab"))
from lab import LabError                                                                # noqa: E402

OTHERS = {"strongswan", "wireguard-go"}           # a machine may be without them


class Absent(Exception):
    """A peer that this machine does not have."""


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Absent(f"{program} is not installed")


CHARON = "/usr/lib/ipsec/charon"
NAMESPACE_LETTERS = "ab"


class Subject:
    """Two hosts on one veth (192.0.2.1, 192.0.2.2); `target` is what traffic from a to b is sent to."""

    def __init__(self, lab, name):
        self.lab, self.name, self.target = lab, name, "192.0.2.2"
        tag = f"{len(lab.hosts):02}"
        self.a, self.b = lab.host(f"a{tag}"), lab.host(f"b{tag}")
        lab.wire(self.a, "net0", self.b, "net0")
        self.a.add_address("net0", "192.0.2.1/24")
        self.b.add_address("net0", "192.0.2.2/24")
        self.up()

    def up(self):
        """Bare veth: nothing to do."""


class Adit(Subject):
    """A secured tunnel with manual keys; `udp` puts ESP into UDP 4500 (RFC 3948)."""

    def __init__(self, lab, name, policy="", key="", udp=False):
        self.policy, self.key, self.udp = policy, key, udp
        super().__init__(lab, name)

    def up(self):
        encap = "encap udp nat_loc {} nat_rem {} nat_lport 4500 nat_rport 4500" if self.udp else ""
        for host, here, there, near, far in ((self.a, "192.0.2.1", "192.0.2.2", "10.9.0.1", "10.9.0.2"),
                                             (self.b, "192.0.2.2", "192.0.2.1", "10.9.0.2", "10.9.0.1")):
            if self.policy:
                host.write("/etc/inet/ipsecinit.conf", f"{{tunnel tun0 negotiate tunnel}} ipsec {{{self.policy} sa shared}}\n")
                host.write("/etc/inet/secret/ipseckeys", "".join(
                    f"add esp spi {spi} src {source} dst {destination} {self.key} {encap.format(here, there)}\n"
                    for spi, source, destination in (("0x1001", "192.0.2.1", "192.0.2.2"), ("0x1002", "192.0.2.2", "192.0.2.1"))), 0o600)
            host.start_aditd()
            if self.policy:
                host.adit("svcadm enable ipsec/manual-key")
            host.adit(f"dladm create-iptun {'-S' if self.policy else ''} -T ipv4 -a local={here},remote={there} tun0")
            host.adit(f"ipadm create-addr -T static -a local={near},remote={far} tun0/v4")
        self.target = "10.9.0.2"


class StrongSwan(Subject):
    """charon with kernel-libipsec: IKEv2 with a pre-shared key, AES-128-GCM, ESP in UDP."""

    def up(self):
        need(CHARON, "swanctl")
        for host, here, there, near, far in ((self.a, "192.0.2.1", "192.0.2.2", "10.9.0.1", "10.9.0.2"),
                                             (self.b, "192.0.2.2", "192.0.2.1", "10.9.0.2", "10.9.0.1")):
            vici = host.root / "vici"
            conf = host.write("strongswan.conf", f"""charon {{
  load_modular = no
  load = random nonce openssl aes sha1 sha2 hmac kdf pem pkcs1 pkcs8 x509 pubkey constraints gcm drbg gmp curve25519 kernel-libipsec kernel-netlink socket-default vici updown
  install_routes = no
  plugins {{ vici {{ socket = unix://{vici} }} kernel-libipsec {{ load = yes }} }}
  filelog {{ log {{ path = {host.root}/charon.log  default = 1 }} }}
}}
""")
            config = host.write("swanctl.conf", f"""connections {{ peer {{
  version = 2
  encap = yes
  local_addrs = {here}
  remote_addrs = {there}
  proposals = aes128gcm16-prfsha256-x25519
  local {{
    auth = psk
    id = {here}
  }}
  remote {{
    auth = psk
    id = {there}
  }}
  children {{ net {{
    local_ts = {near}/32
    remote_ts = {far}/32
    esp_proposals = aes128gcm16
    rekey_time = 0
  }} }}
}} }}
secrets {{ ike-1 {{
  secret = "adit bench"
}} }}
""")
            host.add_address("lo", f"{near}/32")
            host.popen(["env", f"STRONGSWAN_CONF={conf}", "unshare", "-m", "sh", "-c", f"mount -t tmpfs none /run; exec {CHARON}"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(100):
                if vici.exists():
                    break
                time.sleep(0.1)
            host.sh(f"env STRONGSWAN_CONF={conf} swanctl --load-all --file {config} --uri unix://{vici}")
            host.control = f"env STRONGSWAN_CONF={conf} swanctl {{}} --uri unix://{vici}"
        self.a.sh(self.a.control.format("--initiate --child net"))
        self.a.sh("ip route replace 10.9.0.2/32 dev ipsec0 src 10.9.0.1")
        self.b.sh("ip route replace 10.9.0.1/32 dev ipsec0 src 10.9.0.2")
        self.target = "10.9.0.2"


class WireguardGo(Subject):
    """wireguard-go as Debian has it."""

    def up(self):
        need("wireguard-go", "wg")
        keys = {}
        for letter, host in zip(NAMESPACE_LETTERS, (self.a, self.b)):
            private = self.lab.sh("wg genkey").strip()
            keys[letter] = (private, subprocess.run(["wg", "pubkey"], input=private, capture_output=True, text=True).stdout.strip())
        for mine, other, host, near, far, there in (("a", "b", self.a, "10.9.0.1", "10.9.0.2", "192.0.2.2"),
                                                    ("b", "a", self.b, "10.9.0.2", "10.9.0.1", "192.0.2.1")):
            device = f"{self.lab.prefix[2:-1]}wg{mine}"[-15:]
            host.popen(["wireguard-go", "-f", device], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(100):
                if pathlib.Path(f"/run/wireguard/{device}.sock").exists():
                    break
                time.sleep(0.05)
            file = host.write("private", keys[mine][0], 0o600)
            host.sh(f"wg set {device} listen-port 51820 private-key {file} peer {keys[other][1]} allowed-ips {far}/32 endpoint {there}:51820")
            host.add_address(device, f"{near}/32")
            host.sh(f"ip link set {device} up mtu 1420")
            host.sh(f"ip route replace {far}/32 dev {device}")
        self.target = "10.9.0.2"
        if self.a.ping("10.9.0.2", count=5) == 0:
            raise LabError("wireguard-go carries nothing")
