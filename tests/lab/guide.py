"""The guide's walkthrough as data: the files and commands of each site, in the guide's order (docs: "Tunnels on SmartOS")."""

# One key a direction: cipher key, integrity key. Only of this lab.
KEYS = {
    "alice-to-bob": ("0f5451e4e0ad601f64dad77b9a83a0214dd4f460e07935936cfc7faf24c90f1c",
                     "65609aaebc817ea17894748d999c94324d53a50ba18ce62c7683966674c3d50f"
                     "93d1333440709f92facd1d10bcfde5b9ccc05e20adfa00a14825025068ba29ca"),
    "bob-to-alice": ("c04ba75b3b7e909dfddc01bd84eec2d56fa47a151cd447d0342f4194a910be9c",
                     "6e5aa52c0f3d7a19e2c4884d1f0b6a3372c5d9e8f7a6b5c4d3e2f10918273645"
                     "546372819aabbccddeeff00112233445566778899aabbccddeeff0a1b2c3d4e5f"[:64]),
}


class Site:
    def __init__(self, tunnel, outer_local, outer_remote, inner_local, inner_remote, remote_net, remote_link_local, remote_net6):
        self.tunnel, self.outer_local, self.outer_remote = tunnel, outer_local, outer_remote
        self.inner_local, self.inner_remote, self.remote_net = inner_local, inner_remote, remote_net
        self.remote_link_local, self.remote_net6 = remote_link_local, remote_net6


ALICE = Site("v4_bob0", "1.2.3.4", "5.6.7.8", "10.0.0.1", "10.0.1.1", "10.0.1.0/24", "fe80::506:708", "2001:470:24:c67::/64")
BOB = Site("v4_alice0", "5.6.7.8", "1.2.3.4", "10.0.1.1", "10.0.0.1", "10.0.0.0/24", "fe80::102:304", "2001:470:24:c66::/64")

GUIDE_PROTECTION = "{encr_algs aes encr_auth_algs sha512 sa shared}"


def policy(site, protection=GUIDE_PROTECTION):
    return f"{{tunnel {site.tunnel} negotiate tunnel}}\n    ipsec {protection}\n"


def keys(algorithms="encr_alg aes auth_alg sha512", encr_bits=256, auth_bits=512, extra=""):
    lines = []
    for name, spi, source, destination in (("alice-to-bob", "0x2001", "1.2.3.4", "5.6.7.8"),
                                           ("bob-to-alice", "0x2002", "5.6.7.8", "1.2.3.4")):
        encr, auth = KEYS[name]
        line = f"add esp spi {spi} src {source} dst {destination} {algorithms} \\\n    encrkey {(encr * 2)[:encr_bits // 4]}"
        if auth_bits:
            line += f" \\\n    authkey {(auth * 2)[:auth_bits // 4]}"
        lines.append(line + (f" {extra}" if extra else ""))
    return "\n".join(lines) + "\n"


def gcm_keys(bits=128, extra=""):
    """AES-GCM: the key with its 32 bits of salt behind it (RFC 4106 section 8.1)."""
    return keys("encr_alg aes-gcm", bits + 32, 0, extra)


def files(site, protection=GUIDE_PROTECTION, key_text=None):
    """(path, text, mode)"""
    return [("/etc/inet/ipsecinit.conf", policy(site, protection), 0o644),
            ("/etc/inet/secret/ipseckeys", keys() if key_text is None else key_text, 0o600)]


def commands(site, secured=True):
    """What the operator types, in the guide's order of maximum security."""
    flag = "-S " if secured else ""
    return [
        "svcadm restart ipsec/policy",
        "svcadm enable ipsec/manual-key",
        "ipadm set-prop -p hostmodel=strong ipv4",
        "ipadm set-prop -p hostmodel=strong ipv6",
        f"dladm create-iptun {flag}-T ipv4 -a local={site.outer_local},remote={site.outer_remote} {site.tunnel}",
        f"ipadm create-addr -T static -a local={site.inner_local},remote={site.inner_remote} {site.tunnel}/v4",
        f"ipadm create-addr -T addrconf {site.tunnel}/v6",
        f"adit route -p add {site.remote_net} {site.inner_remote}",
        f"adit route -p add -inet6 {site.remote_net6} {site.remote_link_local}",
    ]


def set_up(world, secured=True, protection=GUIDE_PROTECTION, key_text=None, show=None, options=()):
    """Both sites, whole. `show(host, command, output)` is told each command."""
    for host, site in ((world.alice, ALICE), (world.bob, BOB)):
        for path, text, mode in files(site, protection, key_text):
            host.write(path, text, mode)
        host.start_aditd(*options)
        for command in commands(site, secured):
            done = host.adit(command)
            if show:
                show(host, command, done.stdout + done.stderr)
    world.alice.tunnel, world.bob.tunnel = ALICE.tunnel, BOB.tunnel
    return world
