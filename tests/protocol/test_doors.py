"""Nothing that a user sends, opens or holds ends, fills or delays the daemon."""
import fcntl
import json
import os
import socket
import subprocess

import pytest

from lab import BUILD
from messages import NOBODY, as_user


@pytest.fixture
def host(lab):
    lab.tmp.chmod(0o755)
    host = lab.host("doors")
    host.start_aditd()
    return host


def connect(host, uid=0, name="adit.sock", kind=socket.SOCK_STREAM):
    made = socket.socket(socket.AF_UNIX, kind)
    made.settimeout(10)
    with as_user(uid):
        made.connect(str(host.run_dir / name))
    return made


def ask(connection, method, **parameters):
    connection.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
    answer = b""
    while not answer.endswith(b"\0"):
        part = connection.recv(1 << 20)
        if not part:
            raise EOFError
        answer += part
    return json.loads(answer[:-1])


def alive(host):
    return host.daemon.poll() is None and host.adit("dladm show-iptun").returncode == 0


REQUESTS = [b'{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":5}}',
            b'{"method":"io.adit.events.Since","parameters":{"after":"x"}}', b'{"method":"io.adit.events.Monitor","parameters":{"after":{}}}',
            b'{"method":"io.adit.services.List","parameters":{"fmris":{"a":[5]}}}', b'{"method":"io.adit.services.List","parameters":{"fmris":7}}',
            b'{"method":"io.adit.routes.Get","parameters":{"words":[{}]}}', b'{"method":5,"parameters":[]}', b'[]', b'5', b'', b'\xff\xfe',
            b'{"method":"io.adit.links.ShowLink","parameters":{"name":' + b"[" * 50000, b"[" * 50000,
            b'{"method":"io.adit.links.ShowLink","parameters":' + b'{"a":' * 10000 + b"1" + b"}" * 10001]


@pytest.mark.parametrize("uid", [0, NOBODY])
def test_no_bytes_of_a_user_end_the_daemon(host, uid):
    for request in REQUESTS:
        with connect(host, uid) as connection:
            connection.sendall(request + b"\0")
            try:
                connection.recv(1 << 16)
            except ConnectionResetError:
                pass
        assert alive(host), request[:100]


def test_a_wrong_type_is_the_answer_to_a_request(host):
    with connect(host, NOBODY) as connection:
        said = ask(connection, "org.varlink.service.GetInterfaceDescription", interface=5)
        assert said == {"error": "org.varlink.service.InvalidParameter", "parameters": {"parameter": "interface"}}
        assert ask(connection, "io.adit.services.List", fmris=[5])["parameters"]["text"] == "parameter 'fmris' must be an array of strings"
        assert "interfaces" in ask(connection, "org.varlink.service.GetInfo")["parameters"]


def test_no_user_holds_the_lock_of_a_restart(host):
    lock = host.run_dir / "aditd.lock"
    assert lock.stat().st_mode & 0o777 == 0o600
    with as_user(NOBODY), pytest.raises(PermissionError):
        open(lock)
    host.kill_aditd()
    lock.chmod(0o644)                              # as one made it before
    with as_user(NOBODY):
        squatted = open(lock)
    fcntl.flock(squatted, fcntl.LOCK_EX | fcntl.LOCK_NB)
    host.start_aditd()
    assert alive(host)
    second = host.sh([BUILD / "bin" / "aditd"], check=False, timeout=20)
    assert second.returncode != 0 and "another aditd" in second.stderr, second
    squatted.close()


def test_what_a_user_may_open_below_the_run_directory(host):
    """Nothing that could be locked, written or listened at: the sockets take connections, a few files tell what everybody may know."""
    host.adit("dladm create-iptun -S -T ipv4 -a local=1.2.3.4,remote=5.6.7.8 v4_bob0", check=False)
    listing = host.sh(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "find", str(host.run_dir), "-writable",
                       "-not", "-type", "s"], check=False)
    assert listing.stdout == "", listing
    for path in host.run_dir.rglob("*"):
        if path.is_socket():
            continue
        assert path.stat().st_uid == 0 and path.stat().st_mode & 0o022 == 0, path
