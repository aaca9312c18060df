"""I8: secrets stay in memory that nobody reads; no log, dump, JSON or core file holds one; loose key files are refused."""
import guide

SECRETS = [half for pair in guide.KEYS.values() for key in pair for half in (key[:32], key[-32:])]


def spoken(text):
    return [secret for secret in SECRETS if secret in text.lower()]


def test_i8_no_listing_log_or_file_of_the_daemon_holds_a_key(up):
    texts = [up.alice.adit(command).stdout for command in
             ("svcs -l ipsec/manual-key", "dladm show-link -s --json", "adit status --json", "adit netstat -s --json", "ipseckey -p dump")]
    texts.append(up.alice.log())
    kept = [path for path in up.alice.root.rglob("*") if path.is_file() and path.name != "ipseckeys"]
    texts += [path.read_text(errors="replace") for path in kept]
    assert not [found for text in texts for found in spoken(text)]


def test_i8_the_daemon_leaves_no_core_and_cannot_be_read(up):
    pid = up.alice.daemon.pid
    limits = open(f"/proc/{pid}/limits").read()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4] == "0", core


def test_i8_the_daemon_keeps_only_the_capabilities_it_needs(up):
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{up.alice.daemon.pid}/status").read().splitlines() if ":\t" in line)
    allowed = (1 << 12) | (1 << 13) | (1 << 10) | (1 << 14)      # NET_ADMIN, NET_RAW, NET_BIND_SERVICE, IPC_LOCK
    assert int(status["CapEff"], 16) & ~allowed == 0, status["CapEff"]


def test_i8_loose_key_file_is_refused(world):
    for path, text, mode in guide.files(guide.ALICE):
        world.alice.write(path, text, 0o644)
    world.alice.start_aditd()
    for command in guide.commands(guide.ALICE):
        world.alice.adit(command, check=False)
    said = world.alice.adit("svcs -x ipsec/manual-key").stdout
    assert "maintenance" in said and "chmod" in said, said
    assert "spi=0x2001" not in world.alice.adit("ipseckey dump").stdout


def test_i8_an_error_in_a_key_file_does_not_tell_the_key(world):
    secret = guide.KEYS["alice-to-bob"][0]
    world.alice.write("/etc/inet/secret/ipseckeys", f"add esp spi 0x2001 src 1.2.3.4 dst 5.6.7.8 encr_alg aes encrkey {secret}zz auth_alg sha1 authkey 12\n", 0o600)
    world.alice.start_aditd()
    done = world.alice.adit("svcadm enable ipsec/manual-key", check=False)
    said = done.stdout + done.stderr + world.alice.log() + world.alice.adit("svcs -x").stdout
    checked = world.alice.adit(["ipseckey", "-c", f"{world.alice.root}/etc/inet/secret/ipseckeys"], check=False)
    assert checked.returncode != 0
    assert not spoken(said + checked.stdout + checked.stderr)
