"""Every cipher with every integrity algorithm, as Adit and as Scapy name them."""
import hashlib
import hmac
import struct
from dataclasses import dataclass

# Adit's name: (Scapy's name, key bytes, salt bytes)
CIPHERS = {
    "null": ("NULL", [0], 0),
    "des-cbc": ("DES", [8], 0),
    "3des-cbc": ("3DES", [24], 0),
    "blowfish-cbc": ("Blowfish", [16, 56], 0),
    "aes-cbc": ("AES-CBC", [16, 24, 32], 0),
    "aes-ctr": ("AES-CTR", [16, 24, 32], 4),
}
COMBINED = {
    "aes-gcm8": (None, [16, 24, 32], 4),
    "aes-gcm12": (None, [16, 24, 32], 4),
    "aes-gcm": ("AES-GCM", [16, 24, 32], 4),
    "aes-ccm8": ("AES-CCM", [16, 24, 32], 3),
    "aes-ccm12": ("AES-CCM", [16, 24, 32], 3),
    "aes-ccm": ("AES-CCM", [16, 24, 32], 3),
    "aes-gmac": (None, [16, 24, 32], 4),
    "chacha20-poly1305": ("CHACHA20-POLY1305", [32], 4),
}
# Adit's name: (Scapy's name, key bytes, ICV bytes, Python's name of the hash)
MACS = {
    "hmac-md5": ("HMAC-MD5-96", 16, 12, "md5"),
    "hmac-sha1": ("HMAC-SHA1-96", 20, 12, "sha1"),
    "hmac-sha256": ("SHA2-256-128", 32, 16, "sha256"),
    "hmac-sha384": ("SHA2-384-192", 48, 24, "sha384"),
    "hmac-sha512": ("SHA2-512-256", 64, 32, "sha512"),
}
ICV_BYTES = {"aes-gcm8": 8, "aes-gcm12": 12, "aes-ccm8": 8, "aes-ccm12": 12}


def key_bytes(name, count):
    return hashlib.shake_128(name.encode()).digest(count)


@dataclass(frozen=True)
class Suite:
    encr: str
    auth: str              # empty: combined mode
    key_size: int

    def __str__(self):
        return f"{self.encr}-{self.key_size * 8}" + (f"-{self.auth}" if self.auth else "")

    @property
    def scapy_name(self):
        return {**CIPHERS, **COMBINED}[self.encr][0]

    @property
    def key(self):
        return key_bytes(f"{self} key", self.key_size)

    @property
    def salt(self):
        return key_bytes(f"{self} salt", {**CIPHERS, **COMBINED}[self.encr][2])

    @property
    def auth_key(self):
        return key_bytes(f"{self} auth", MACS[self.auth][1]) if self.auth else b""

    @property
    def icv_bytes(self):
        return MACS[self.auth][2] if self.auth else ICV_BYTES.get(self.encr, 16)

    def adit(self, **more):
        """For esp_tool."""
        values = {"encr": self.encr, "key": self.key.hex(), "salt": self.salt.hex(), **more}
        if self.auth:
            values |= {"auth": self.auth, "authkey": self.auth_key.hex()}
        return values

    def mac(self, esp, sequence):
        """The ICV with ESN, which Scapy cannot make for a separate MAC (RFC 4303 2.2.1)."""
        covered = esp + struct.pack("!L", sequence >> 32)
        return hmac.new(self.auth_key, covered, MACS[self.auth][3]).digest()[:self.icv_bytes]


SUITES = [Suite(encr, auth, size) for encr, (_, sizes, _) in CIPHERS.items() for size in sizes for auth in MACS]
SUITES += [Suite(encr, "", size) for encr, (_, sizes, _) in COMBINED.items() for size in sizes]
