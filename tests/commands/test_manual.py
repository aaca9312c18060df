"""The manual says what stands: every page formats, its options are those of --help, its tables those of the sources, and its
examples run as they are printed.

In a page's EXAMPLES, literal lines that begin with `# ` are commands, typed on Alice in the order of the page; a here-document
and lines that end in a backslash belong to their command. What stands below a command is its whole output; `...` stands for
anything, alone on a line for any lines. Without output nothing is asked of it but to succeed.
"""
import os
import re
import signal
import subprocess
import time

import guide
import pytest
from lab import BUILD, REPO

MAN = REPO / "man"
PAGES = sorted(page for page in MAN.glob("*.[1-8]") if not page.read_text().startswith(".so "))
ALIASES = sorted(page for page in MAN.glob("*.[1-8]") if page.read_text().startswith(".so "))
ELSEWHERE = {("poll", "2"), ("nft", "8"), ("ip", "8"), ("systemd", "1"), ("networks", "5"), ("services", "5"), ("protocols", "5")}

# adit.8 holds the commands that have no page of their own.
SHARED = ("route", "netstat", "status", "explain", "trace", "monitor", "guard")
COMMANDS = {"adit": [[], *([name] for name in SHARED)], **{name: [[name]] for name in
            ("dladm", "ipadm", "ipsecconf", "ipsecalgs", "ipseckey", "svcadm", "svcs")}, "adit-namespace": [["namespace"]]}
WORDS_WITH_ONE_DASH = {"inet", "inet6", "net", "host", "netmask", "prefixlen", "interface", "ifp", "setsrc", "reject", "blackhole"}


def names(paths):
    return [path.name for path in paths]


def sections(page):
    """Heading -> source lines."""
    found, heading = {}, ""
    for line in page.read_text().splitlines():
        if line.startswith(".Sh "):
            heading = line[4:].strip('"')
        found.setdefault(heading, []).append(line)
    return found


# ---- form

@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_a_page_formats_without_a_warning(page):
    done = subprocess.run(["groff", "-t", "-ww", "-mdoc", "-Kutf8", "-Tutf8", "-z", page], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    found = sections(page)
    assert {"NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "SEE ALSO"} <= set(found)
    assert f".Dt {page.stem.upper()} {page.suffix[1:]}" in found[""]


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_a_page_points_only_at_pages_that_are_there(page):
    for name, section in re.findall(r"^\.Xr (\S+) (\d)", page.read_text(), re.M):
        assert (MAN / f"{name}.{section}").exists() or (name, section) in ELSEWHERE, f"{name}({section})"


@pytest.mark.parametrize("page", ALIASES, ids=names(ALIASES))
def test_an_alias_leads_to_a_page(page):
    folder, target = page.read_text().split()[1].split("/")
    assert MAN / target in PAGES and folder == f"man{target[-1]}"


def test_every_command_has_a_page():
    listed = subprocess.run([BUILD / "bin" / "adit", "--help"], capture_output=True, text=True).stdout
    commands = re.findall(r"^  (\w+) ", listed, re.M)
    assert len(commands) > 10
    for command in commands:
        assert any((MAN / f"{prefix}{command}.{section}").exists() for prefix in ("", "adit-") for section in "18"), command


# ---- tables

def test_the_drop_reasons_are_those_of_the_table():
    done = subprocess.run([MAN / "drop-reasons", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (MAN / "adit.8").read_text()
    reasons = re.findall(r"^ADIT_DROP\((\w+),", (REPO / "src/base/drop_reason.def").read_text(), re.M)
    assert len(reasons) > 30
    assert [name for name in reasons if f".It Sy {name} Pq " not in page] == []


@pytest.mark.parametrize("page,header", [("pf_policy.4", "pfpolicy.h"), ("pf_key.4", "pfkeyv2.h")])
def test_every_number_of_a_header_is_in_its_page(page, header):
    text = (MAN / page).read_text()
    constants = re.findall(r"^#define ((?:SPD|SADB)_\w+) (0x[0-9a-fA-F]+|\d+)", (REPO / "include/adit" / header).read_text(), re.M)
    left_out = {"SPD_RESERVED", "SPD_MIN", "SPD_MAX", "SPD_EXT_MAX", "SPD_MAX_MESSAGE", "SADB_RESERVED", "SADB_MAX",
                "SADB_EXT_RESERVED", "SADB_AALG_MAX", "SADB_EALG_MAX", "SADB_IDENTTYPE_RESERVED"}
    assert len(constants) > 100
    missing = [f"{name} {value}" for name, value in constants
               if name not in left_out and not re.search(rf"\b{name}(?: Ta)? {value}\b", text)]
    assert missing == []


def test_libadit_3_names_all_of_its_header():
    header, text = (REPO / "include/adit/adit.h").read_text(), (MAN / "libadit.3").read_text()
    functions = re.findall(r"^(?:int|void|uint32_t) (adit_\w+)\(", header, re.M)
    constants = re.findall(r"^#define (ADIT_\w+) \d", header, re.M)
    exported = re.findall(r"\b(adit_\w+);", (REPO / "src/libadit/libadit.map").read_text())
    assert len(functions) > 15 and sorted(functions) == sorted(exported)
    assert [name for name in functions if not re.search(rf"^\.F[no] {name}\b", text, re.M)] == []
    assert [name for name in constants if f".Dv {name}" not in text] == []


def test_every_kind_of_event_is_in_libadit_3():
    kinds = re.findall(r'^ADIT_EVENT\(\w+, "([a-z.-]+)"', (REPO / "src/control/event_kind.def").read_text(), re.M)
    page = (MAN / "libadit.3").read_text().partition("The kinds that there are")[2].partition("No event holds a key")[0]
    listed = [kind.strip() for line in re.findall(r"^\.It Sy (.*)", page, re.M) for kind in line.split(" , ")]
    assert len(kinds) > 50 and sorted(kinds) == sorted(listed)


def test_libadit_exports_nothing_else():
    names = subprocess.run(["nm", "-D", "--defined-only", BUILD / "lib" / "libadit.so"], capture_output=True, text=True).stdout
    shown = {line.split()[-1].split("@")[0] for line in names.splitlines()}
    exported = set(re.findall(r"\b(adit_\w+);", (REPO / "src/libadit/libadit.map").read_text()))
    assert exported <= shown and {name for name in shown - exported - {"ADIT_1"} if not name.startswith("__")} == set()
    names = subprocess.run(["nm", "-g", "--defined-only", BUILD / "lib" / "libadit.a"], capture_output=True, text=True).stdout
    assert [name for name in re.findall(r" T (\w+)$", names, re.M) if not name.startswith("adit_")] == []


# ---- options

def spread(token):
    """-aHv is three options, -inet one, --json one."""
    if token.startswith("--"):
        return {token}
    word = token[1:]
    return {token} if word in WORDS_WITH_ONE_DASH else {f"-{letter}" for letter in word}


def options_of_help(words):
    """The options that a usage text names, but for those of commands that it quotes; -r[n] is -r and -n."""
    text = subprocess.run([BUILD / "bin" / "adit", *words, "--help"], capture_output=True, text=True).stdout
    assert "usage" in text.lower(), words
    text = re.sub(r"(?<!\w)'[^'\n]*'", "", text)
    tokens = re.findall(r"(?<![\w-])(--?[A-Za-z][A-Za-z0-9-]*)", re.sub(r"-(\w)\[(\w)\]", r"-\1 -\2", text))
    return set().union(*map(spread, tokens))


def options_in(lines):
    tokens = set()
    for line in lines:
        if not line.startswith("."):
            continue
        words = line[1:].replace('"', "").split()
        for at, word in enumerate(words):
            if word != "Fl" or at + 1 == len(words):
                continue
            for token in words[at + 1:]:          # .Fl n , v
                token = token.removeprefix("\\&")
                if token in (",", "|"):
                    continue
                if not re.fullmatch(r"-?[A-Za-z][A-Za-z0-9-]*", token) or re.fullmatch(r"[A-Z][a-z]", token) and token != "It":
                    break
                tokens.add("-" + token)
    return set().union(set(), *map(spread, tokens))


def subcommands_in(lines):
    return set(re.findall(r"Cm ([a-z][a-z-]+)", "\n".join(lines))) | {""}


def is_known(option, command, page):
    """Does some form of the command take it, as its parser says without a daemon?"""
    for words in COMMANDS[command]:
        for sub in subcommands_in(sections(page)["SYNOPSIS"]):
            argv = [BUILD / "bin" / "adit", *words, *([sub] if sub else []), option]
            done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20,
                                  env=dict(os.environ, ADIT_RUNDIR="/nonexistent/adit"))
            said = done.stdout + done.stderr
            if "unrecognized option" not in said and "unknown" not in said and "Bad usage" not in said:
                return True
    return False


@pytest.mark.parametrize("command", COMMANDS)
def test_options_of_the_page_are_those_of_help(command):
    page, = [page for page in PAGES if page.stem == command]
    in_help = set().union(*(options_of_help(words) for words in COMMANDS[command]))
    if command == "adit":
        in_help |= {"--help", "--version"}
    in_synopsis = options_in(sections(page)["SYNOPSIS"])
    body = [line for heading, lines in sections(page).items() if heading not in ("", "NAME", "SYNOPSIS") for line in lines]
    in_body = options_in(body)
    assert in_help - in_synopsis - in_body == set(), "not in the page"
    assert in_synopsis - in_help == set(), "not in --help"
    assert [option for option in sorted(in_body - in_help) if not is_known(option, command, page)] == []


@pytest.mark.parametrize("daemon", ("aditd", "adit-guard"))
def test_options_of_a_daemon_are_those_of_help(daemon):
    text = subprocess.run([BUILD / "bin" / daemon, "--help"], capture_output=True, text=True).stdout
    in_help = {token for token in re.findall(r"(?<![\w-])(--?[A-Za-z][A-Za-z-]*)", text)} - {"-S"}
    page = MAN / f"{daemon}.8"
    assert len(in_help) > 3 and options_in(sections(page)["SYNOPSIS"]) == in_help
    assert options_in(sections(page)["DESCRIPTION"]) == in_help


# ---- examples

class Example:
    def __init__(self, command):
        self.command, self.output = command, []


def plain(line):
    return line.replace("\\&", "").replace("\\(ha", "^").replace("\\-", "-").replace("\\e", "\\")


def literal_lines(page):
    inside = False
    for line in sections(page)["EXAMPLES"]:
        if line.startswith(".Bd "):
            inside = True
        elif line.startswith(".Ed"):
            inside = False
            yield None
        elif inside:
            yield plain(line)


def examples(page):
    found, until, continued = [], None, False
    for line in literal_lines(page):
        if line is None:
            continued = until = None
            current = None
        elif until is not None or continued:
            found[-1].command += "\n" + line
            continued = until is None and line.endswith("\\")
            until = None if line == until else until
        elif line.startswith("# "):
            current = Example(line[2:])
            found.append(current)
            word = re.search(r"<<'?(\w+)'?", line)
            until = word.group(1) if word else None
            continued = until is None and line.endswith("\\")
        elif current is not None:
            current.output.append(line)
    return found


def pattern_of(line):
    words = " ".join(line.split())
    return re.compile(".*".join(re.escape(part.strip()) for part in words.split("...")))


def matches(wanted, lines):
    """Is `lines` what `wanted` shows, where a line `...` stands for any lines?"""
    if not wanted:
        return not lines
    if wanted[0].strip() == "...":
        return any(matches(wanted[1:], lines[at:]) for at in range(len(lines) + 1))
    return bool(lines) and bool(pattern_of(wanted[0]).fullmatch(lines[0])) and matches(wanted[1:], lines[1:])


def shown(text):
    """Without empty lines, and with single blanks: columns may be wider where names are long."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


class Desk:
    """Alice's desk: commands by their installed names, and a service manager of sorts."""

    def __init__(self, world):
        self.host, self.world = world.alice, world
        self.links = world.lab.tmp / "links"
        self.links.mkdir()
        for name in (*COMMANDS, "aditd"):
            (self.links / name).symlink_to(BUILD / "bin" / ("aditd" if name == "aditd" else "adit"))
        self.offer_libadit()

    def offer_libadit(self):
        """As pkg-config finds it where it is installed."""
        sanitizers = "-fsanitize=address,undefined" if BUILD.name == "asan" else ""
        text = (BUILD / "lib" / "libadit.pc.in").read_text().replace("prefix=%PREFIX%", f"prefix={REPO}")
        text = text.replace("libdir=${prefix}/lib", f"libdir={BUILD}/lib").replace("-ladit", f"-ladit -Wl,-rpath,{BUILD}/lib {sanitizers}")
        (self.links / "libadit.pc").write_text(text)

    def here(self, text):
        """The files of the page are those of this instance."""
        for folder in ("/etc/inet", "/etc/adit", "/etc/dladm", "/etc/ipadm"):
            text = re.sub(rf"(?<![\w/.]){folder}\b", f"{self.host.root}{folder}", text)
        return re.sub(r"(?<![\w/.])/run/adit\b", str(self.host.run_dir), text)

    def type(self, command):
        """(exit status, output)"""
        if command.startswith("systemctl "):
            return 0, self.manage(command.split()[1:])
        script = ["env", f"PATH={self.links}:{os.environ['PATH']}", f"PKG_CONFIG_PATH={self.links}", "sh", "-c", "exec 2>&1\n" + self.here(command)]
        if re.match(r"adit (trace|monitor)\b", command):
            return 0, self.watch(script)
        done = self.host.sh(script, check=False)
        if command.startswith("kill -KILL"):
            self.host.daemon.wait(timeout=10)       # it takes the system a moment to bury it
        return done.returncode, done.stdout

    def watch(self, script):
        """A command that goes on: for some seconds, while there is traffic."""
        process = self.host.popen(["timeout", "6", *script], stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        self.host.ping("10.0.1.1", count=8, interval=0.1, wait=1)
        return process.communicate(timeout=20)[0]

    def manage(self, words):
        if words[0] == "reload":
            self.host.daemon.send_signal(signal.SIGHUP)
            time.sleep(0.5)
        elif words[0] == "start":
            self.host.daemon.wait(timeout=10)
            self.host.start_aditd()
        else:
            assert words[:2] == ["enable", "--now"] and self.host.daemon.poll() is None
        return ""


def may_fail(example):
    """The page shows what it says then."""
    name = example.command.split()[1 if example.command.startswith("adit ") else 0]
    return any("error:" in line or line.startswith(f"{name}: ") for line in example.output)


@pytest.fixture
def desk(world):
    """Bob is set up; on Alice the daemon runs and the keys are there, and nothing else."""
    for host, site in ((world.bob, guide.BOB), (world.alice, guide.ALICE)):
        (_, policy, _), (path, keys, mode) = guide.files(site)
        host.write(path, keys, mode)
        if host is world.bob:
            host.write("/etc/inet/ipsecinit.conf", policy)
        host.start_aditd()
    for command in guide.commands(guide.BOB):
        world.bob.adit(command)
    return Desk(world)


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_the_examples_run_as_they_are_printed(desk, page):
    listed = examples(page)
    assert listed, "a page without an example that runs"
    for example in listed:
        status, output = desk.type(example.command)
        told = f"# {example.command}\nexit {status}\n{output}"
        assert status == 0 or may_fail(example), told
        if example.output:
            assert matches([desk.here(line) for line in example.output if line.strip()], shown(output)), \
                told + "\nthe page shows:\n" + "\n".join(example.output)
