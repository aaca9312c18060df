"""What the varlink interfaces answer is what they say that they answer: every method that changes nothing is asked, and each
field of its answer is held against the description that a client reads."""
import re

import pytest

from test_doors import ask, connect

NAME = r"[A-Za-z_][A-Za-z0-9_]*"


def fields_of(text):
    """name -> type of "a: int, b: []Link"."""
    return dict(part.strip().split(": ", 1) for part in text.split(",") if part.strip())


def read(description):
    text = " ".join(line.partition("#")[0] for line in description.splitlines())
    types = {name: fields_of(fields) for name, fields in re.findall(rf"\btype ({NAME})\s*\(([^)]*)\)", text)}
    methods = {name: fields_of(answer) for name, answer in re.findall(rf"\bmethod ({NAME})\s*\([^)]*\)\s*->\s*\(([^)]*)\)", text)}
    return types, methods


def wrong_in(value, kind, types, where):
    """Sentences about what is not as described."""
    optional, kind = kind.startswith("?"), kind.removeprefix("?")
    if value is None:
        return [] if optional else [f"{where} is null"]
    if kind.startswith("[]"):
        if not isinstance(value, list):
            return [f"{where} is no array"]
        return [sentence for item in value for sentence in wrong_in(item, kind[2:], types, f"{where}[]")]
    if kind in types:
        return wrong_fields(value, types[kind], types, where)
    fits = {"string": str, "int": int, "bool": bool, "object": dict}[kind]
    return [] if isinstance(value, fits) and (kind == "bool" or not isinstance(value, bool)) else [f"{where} is not of type {kind}: {value!r}"]


def wrong_fields(value, fields, types, where):
    needed = {name for name, kind in fields.items() if not kind.startswith("?")}
    wrong = [f"{where}.{name} is not described" for name in value.keys() - fields.keys()]
    wrong += [f"{where}.{name} is described and not there" for name in needed - value.keys()]
    for name in value.keys() & fields.keys():
        wrong += wrong_in(value[name], fields[name], types, f"{where}.{name}")
    return wrong


ASKED = {
    "io.adit.addresses": {"ShowAddr": {}, "ShowIf": {}, "ShowProp": {}, "ShowIfProp": {}},
    "io.adit.events": {"Since": {"after": 0}, "Notable": {}, "Missing": {}},
    "io.adit.explain": {"Outbound": {"source": "10.0.0.2", "destination": "10.0.1.2", "protocol": 6, "source_port": 1, "destination_port": 2},
                        "Inbound": {"source": "10.0.1.2", "destination": "10.0.0.2", "protocol": 6, "source_port": 1, "destination_port": 2}},
    "io.adit.guard": {"List": {}, "WouldCut": {"session": "192.0.2.1", "closings": [{"network": "10.9.0.0/24", "tunnel": "v4_bob0"}]}},
    "io.adit.links": {"ShowIptun": {"persistent": False}, "ShowLink": {}, "ShowUnlinked": {}, "ShowLinkProp": {"persistent": False}},
    "io.adit.namespaces": {"List": {}},
    "io.adit.policy": {"Diff": {}},
    "io.adit.routes": {"Show": {}, "Persistent": {}, "Get": {"words": ["10.0.1.2"]}},
    "io.adit.services": {"List": {}},
}


@pytest.mark.parametrize("interface", sorted(ASKED))
def test_answers_are_as_described(up, interface):
    with connect(up.alice) as connection:
        types, methods = read(ask(connection, "org.varlink.service.GetInterfaceDescription", interface=interface)["parameters"]["description"])
        for name, parameters in ASKED[interface].items():
            answer = ask(connection, f"{interface}.{name}", **parameters)
            assert "error" not in answer, answer
            assert wrong_fields(answer["parameters"], methods[name], types, name) == []
