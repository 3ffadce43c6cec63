"""What a newcomer sees: how long it takes and why, what goes on, and what a machine lacks where the twin cannot be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab.tools import ToolError, cache, ensure, manifest, places, plugins
from lab.tools.estimate import COSTS, Cost, Estimate, minutes
from lab.tools.manifest import DEFAULT_GROUPS, PROGRAMS, Group
from lab.tools.meanwhile import Meanwhile
from lab.tools.places import PROJECT
from lab.tools.progress import Progress

COREDNS, COMMAND = (manifest.program_of(name) for name in ("coredns", "pulumi-resource-command"))
SLOW_COMPILER = """#!/bin/sh
# Stands for go: takes its time, and says which packages it compiles.
case "$1" in
    version) echo "go version go1.99.0 linux/amd64" ;;
    env) echo /nowhere ;;
    build)
        while [ "$1" != -o ]; do shift; done
        for package in one/a one/b; do echo $package >&2; done
        while [ ! -e "$FAKE_GO_MAY_END" ] && [ "${2##*/}" != coredns ]; do sleep 0.05; done
        echo program >"$2" ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache, a compiler that takes its time, and no way out."""
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(SLOW_COMPILER)
    go.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    monkeypatch.setenv("FLOWMASTER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FLOWMASTER_DOWNLOADS", "off")
    monkeypatch.setenv("FAKE_GO_MAY_END", str(tmp_path / "end"))
    return tmp_path


# How long


def test_every_program_has_a_cost() -> None:
    assert set(COSTS) == {program.name for program in PROGRAMS}


def test_the_estimate_goes_by_the_cores_first_and_by_the_pace_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COSTS, "coredns", Cost(100, 100))
    monkeypatch.setitem(COSTS, "pulumi-resource-command", Cost(100, 100))
    left = Estimate(cores=2)
    left.expect(COREDNS)
    left.expect(COMMAND)
    assert left.left() == 100
    left.compiled("coredns", 10)
    assert left.left(60) == 95, "a twentieth tells nothing of the pace"
    left.compiled("coredns", 50)
    assert left.left(100) == 300, "fifty in a hundred seconds, a hundred and fifty to go"
    left.done("coredns")
    assert left.left(100) == 100


def test_a_program_is_never_said_to_be_done_before_it_is() -> None:
    left = Estimate(cores=2)
    left.expect(COREDNS)
    assert left.compiled("coredns", 10 * COSTS["coredns"].packages) < 1


@pytest.mark.parametrize(("seconds", "said"), [(20, "under a minute"), (60, "about 1 min"), (631, "about 11 min")])
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert minutes(seconds) == said


def test_it_is_said_at_the_start_how_long_it_takes_and_why(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (machine / "end").touch()
    with Progress() as progress:
        ensure.provide((COREDNS, COMMAND), progress)
    first = capsys.readouterr().err.splitlines()[0]
    assert re.fullmatch(
        rf"\[   \d s\] compiling coredns {COREDNS.version}, pulumi-resource-command {COMMAND.version}, which cannot be "
        rf"downloaded here: about \d+ min of {os.cpu_count()} idle cores, the first time only",
        first,
    )


def test_a_terminal_gets_one_line_that_is_redrawn(machine: Path) -> None:
    code = (
        "import sys, time\n"
        "from lab.tools.progress import Progress\n"
        "with Progress() as progress:\n"
        "    for number in range(3):\n"
        "        progress.at('coredns', f'{number}0 MB downloaded')\n"
        "        time.sleep(0.7)\n"
        "    progress.say('coredns downloaded')\n"
    )
    command = ["script", "--quiet", "--return", "--command", f'{sys.executable} -c "{code}"', "/dev/null"]
    shown = subprocess.run(command, cwd=PROJECT, capture_output=True, check=True).stdout.decode()
    assert shown.count("\n") == 1
    assert "coredns 10 MB downloaded\r" in shown
    assert shown.rstrip().endswith("coredns downloaded")


# The twin comes up while the rest is compiled


def test_what_needs_the_twin_alone_begins_while_pulumi_is_compiled(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(places, "wanted", lambda *_: (COREDNS, COMMAND))
    monkeypatch.setattr(plugins, "missing", lambda: ())
    assert (COREDNS.group, COMMAND.group) == (Group.TWIN, Group.PULUMI)
    # The compiler of what Pulumi needs ends only when the command has run.
    meanwhile = Meanwhile(f"echo the twin is up; touch {machine / 'end'}")
    with Progress() as progress:
        ensure.ensure(DEFAULT_GROUPS, progress, meanwhile)
    said = [line.partition("] ")[2] for line in capsys.readouterr().err.splitlines()]
    assert said.index("the twin is up") < next(n for n, line in enumerate(said) if line.startswith(COMMAND.name))
    assert cache.is_there(COREDNS)
    assert cache.is_there(COMMAND)


def test_what_the_twin_needs_comes_first(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(places, "wanted", lambda *_: PROGRAMS)
    monkeypatch.setattr(plugins, "missing", lambda: ())
    monkeypatch.setattr(ensure, "provide", lambda missing, *_: asked.extend(program.group for program in missing))
    with Progress() as progress:
        ensure.ensure((Group.PULUMI, Group.TWIN, Group.BENCH), progress)
    assert len(asked) == len(PROGRAMS)
    assert asked[:3] == [Group.TWIN] * 3
    assert Group.TWIN not in asked[3:]


def test_where_everything_is_there_it_runs_at_once(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(places, "wanted", lambda *_: ())
    monkeypatch.setattr(plugins, "missing", lambda: ())
    with Progress() as progress:
        ensure.ensure(DEFAULT_GROUPS, progress, Meanwhile("echo up"))
    assert capfd.readouterr().out == "up\n"


@pytest.mark.parametrize("missing", [(), (COREDNS,)])
def test_its_failure_is_an_error(machine: Path, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]) -> None:
    monkeypatch.setattr(places, "wanted", lambda *_: missing)
    monkeypatch.setattr(plugins, "missing", lambda: ())
    with Progress() as progress, pytest.raises(ToolError, match=r"`exit 3` ended with 3 \(see above\)"):
        ensure.ensure(DEFAULT_GROUPS, progress, Meanwhile("exit 3"))


# Machines where the twin cannot be


def bootstrap(tmp_path: Path, *arguments: str, **commands: str) -> subprocess.CompletedProcess[str]:
    """`lab/bootstrap` where those commands print those words."""
    for name, words in commands.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\necho '{words}'\n")
        path.chmod(0o755)
    return subprocess.run(
        [PROJECT / "lab/bootstrap", *arguments],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("commands", "here", "remedy"),
    [
        ({"uname": "Darwin"}, "is Darwin", "run this in a virtual machine with Debian or Ubuntu"),
        ({"id": "1000"}, "the user is 1000", "run this as root, in a clone of root"),
    ],
)
@pytest.mark.parametrize("arguments", [(), ("--packages",), ("--meanwhile", "lab/lab up")])
def test_one_message_says_what_the_twin_needs_and_that_all_else_works(
    tmp_path: Path, commands: dict[str, str], here: str, remedy: str, arguments: tuple[str, ...]
) -> None:
    run = bootstrap(tmp_path, *arguments, **commands)
    assert run.returncode == 1
    assert run.stderr.startswith(
        "error: the twin of the demo server needs Linux, root and Debian's or Ubuntu's packages"
    )
    assert f"here {here}." in run.stderr
    assert "Everything else works without them: lab/bootstrap --no-twin" in run.stderr
    assert run.stderr.endswith(f"For the twin: {remedy}.\n")


# Names of packages


def named(tmp_path: Path, candidates: dict[str, str], *packages: str) -> list[str]:
    """What `lab/bootstrap` would have apt install, where apt has those versions."""
    lines = [
        f"{name}) echo '{name}:'; echo '  Installed: (none)'; echo '  Candidate: {v}' ;;"
        for name, v in candidates.items()
    ]
    script = tmp_path / "apt-cache"
    script.write_text("#!/bin/sh\ncase $2 in\n" + "\n".join(lines) + "\nesac\n")
    script.chmod(0o755)
    text = (PROJECT / "lab/bootstrap").read_text()
    functions = [
        re.search(rf"^{name}\(\) \{{(?: .*\}}|\n(?:.*\n)*?\}})$", text, re.MULTILINE) for name in ("named", "candidate")
    ]
    settings = re.findall(r"^compose_\w+=.*$", text, re.MULTILINE)
    assert all(functions)
    assert len(settings) == 2
    code = "\n".join(["set -eu", *settings, *(found[0] for found in functions if found), 'named "$@"'])
    run = subprocess.run(
        ["sh", "-c", code, "sh", *packages], env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return run.stdout.split()


DEBIAN_12 = {"docker.io": "20.10.24+dfsg1-1", "docker-compose": "1.29.2-3"}
DEBIAN_13 = {"docker.io": "26.1.5+dfsg1-9", "docker-cli": "26.1.5+dfsg1-9", "docker-compose": "2.26.1-4"}
UBUNTU_24 = {
    "docker.io": "24.0.7-0ubuntu4", "docker-compose": "1.29.2-6ubuntu1", "docker-compose-v2": "2.24.6+ds1-0ubuntu1",
}  # fmt: skip
MISSING = ("runc", "docker.io", "docker-cli|docker.io")


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        (DEBIAN_12, ["runc", "docker.io"]),
        (DEBIAN_13, ["runc", "docker.io", "docker-cli", "docker-compose"]),
        (UBUNTU_24, ["runc", "docker.io", "docker-compose-v2"]),
    ],
    ids=["Debian 12", "Debian 13", "Ubuntu 24.04"],
)
def test_packages_are_called_what_the_distribution_calls_them(
    tmp_path: Path, candidates: dict[str, str], expected: list[str]
) -> None:
    assert named(tmp_path, candidates, *MISSING) == expected


def test_where_docker_is_there_only_its_command_may_be_lacking(tmp_path: Path) -> None:
    assert named(tmp_path, DEBIAN_13, "docker-cli|docker.io") == ["docker-cli"]
    assert named(tmp_path, {**DEBIAN_12, "docker-cli": "(none)"}, "curl") == ["curl"]
