import os
import pathlib
import subprocess

import pytest

REPO = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("ADIT_BUILD", REPO / "build" / "release"))


class Tool:
    """esp_tool, one process for all tests: a line in, a line out (tests/interop/esp_tool.cpp)."""

    def __init__(self):
        self.process = subprocess.Popen([BUILD / "tests" / "interop" / "esp_tool"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def ask(self, verb, data, **values):
        words = [verb] + [f"{name}={value}" for name, value in values.items()] + [data.hex() or "-"]
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        assert answer[:1] == ["ok"], f"{words[:-1]}: {' '.join(answer)}"
        return int(answer[1]), int(answer[2]), bytes.fromhex(answer[3].strip("-"))

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture(scope="session")
def tool():
    made = Tool()
    yield made
    made.close()
