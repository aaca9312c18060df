"""ESP as python3-cryptography makes it, for what Scapy lacks: AES-GCM with short ICVs, AES-GMAC (RFC 4106, RFC 4543)."""
import os
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def _header(suite, spi, sequence, esn):
    return struct.pack("!LLL", spi, sequence >> 32, sequence & 0xffffffff) if esn else struct.pack("!LL", spi, sequence)


def seal(suite, spi, sequence, esn, payload, next_header):
    padding = -(len(payload) + 2) % 4
    plain = payload + bytes(range(1, padding + 1)) + bytes([padding, next_header])
    iv = os.urandom(8)
    encryptor = Cipher(algorithms.AES(suite.key), modes.GCM(suite.salt + iv)).encryptor()
    encryptor.authenticate_additional_data(_header(suite, spi, sequence, esn))
    if suite.encr == "aes-gmac":
        encryptor.authenticate_additional_data(iv + plain)
        encryptor.finalize()
        body = plain
    else:
        body = encryptor.update(plain) + encryptor.finalize()
    return struct.pack("!LL", spi, sequence & 0xffffffff) + iv + body + encryptor.tag[:suite.icv_bytes]


def open_(suite, sequence, esn, esp):
    """(payload, next header); raises InvalidTag."""
    spi, = struct.unpack("!L", esp[:4])
    iv, body, icv = esp[8:16], esp[16:-suite.icv_bytes], esp[-suite.icv_bytes:]
    decryptor = Cipher(algorithms.AES(suite.key), modes.GCM(suite.salt + iv, icv, min_tag_length=8)).decryptor()
    decryptor.authenticate_additional_data(_header(suite, spi, sequence, esn))
    if suite.encr == "aes-gmac":
        decryptor.authenticate_additional_data(iv + body)
        decryptor.finalize()
        plain = body
    else:
        plain = decryptor.update(body) + decryptor.finalize()
    padding, next_header = plain[-2:]
    assert plain[len(plain) - 2 - padding:-2] == bytes(range(1, padding + 1))
    return plain[:len(plain) - 2 - padding], next_header
