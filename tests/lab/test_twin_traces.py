"""Two twins side by side, and what is left of one after `down`: nothing, also after a crash in the middle."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.twin import Twin, TwinError, rootfs
from lab.twin.layout import cgroup_name, link_name, state_folder
from lab.twin.patience import patience
from lab.twin.processes import first_process

ROOT = Path(__file__).parents[2]
SECOND = "second-test"
CGROUPS = Path("/sys/fs/cgroup")


def traces(name: str) -> list[str]:
    """Whatever of the twin of that name can be found on the machine."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and cgroup_name(name) in (folder / "cgroup").read_text():
                found.append(f"process {folder.name}")
        except OSError:
            continue
    found += [f"cgroup {path}" for path in CGROUPS.glob(f"**/{cgroup_name(name)}")]
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    found += [f"rule {line}" for line in rules.splitlines() if link_name(name) in line]
    links = json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True, check=True).stdout)
    found += [f"interface {link['ifname']}" for link in links if link["ifname"] == link_name(name)]
    state = str(state_folder(name))
    found += [f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if state in line]
    found += [f"socket {line}" for line in Path("/proc/net/unix").read_text().splitlines() if state in line]
    found += [f"folder {state}"] if Path(state).exists() else []
    return found


def root_cgroups() -> dict[str, str]:
    """How the machine's own cgroups are set: what each that is no twin's hands down (version 2), by its folder."""
    files = [*CGROUPS.glob("cgroup.subtree_control"), *CGROUPS.glob("*/cgroup.subtree_control")]
    return {str(file.parent): file.read_text() for file in files if "flowmaster-twin" not in str(file)}


@pytest.fixture
def second() -> Iterator[Twin]:
    """A name without a twin, before and after."""
    twin = Twin(SECOND)
    twin.down()
    yield twin
    twin.down()


def test_a_second_twin_comes_up_beside_the_first_and_leaves_nothing(twin: Twin, second: Twin) -> None:
    cgroups = root_cgroups()
    second.up()
    assert second.address != twin.address
    for either in (twin, second):
        with either.api() as api:
            assert api.get("/api/v1/namespaces/databases")
    with pytest.raises(TwinError, match="take it down first"):
        Twin(SECOND, "10.99.0.0/24").up()
    assert traces(SECOND)
    assert second.down()
    assert traces(SECOND) == []
    assert not second.down()
    assert root_cgroups() == cgroups, "the first twin still needs what it was given"
    with twin.api() as api:
        assert api.get("/api/v1/namespaces/databases"), "the first twin must not notice"


def test_a_subnet_that_is_taken_is_refused(twin: Twin, second: Twin) -> None:
    with pytest.raises(TwinError, match=rf"is taken by {twin.layout.link}"):
        Twin(SECOND, str(twin.layout.subnet)).up()
    assert traces(second.name) == []


@pytest.mark.parametrize("seconds", [0.3, 0.6, 0.9, 1.5, 4.0])
def test_down_after_up_was_killed_in_the_middle_leaves_nothing(second: Twin, seconds: float) -> None:
    process = begin_up()
    time.sleep(seconds)
    process.kill()
    process.wait()
    second.down()
    assert traces(SECOND) == []


def test_up_after_up_was_killed_starts_from_nothing(second: Twin) -> None:
    process = begin_up()
    deadline = time.monotonic() + patience(60)
    while first_process(SECOND) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not second.is_up()
    second.up()
    assert second.is_up()


def test_what_the_machine_shows_of_its_kernel_the_twin_shows_too(second: Twin, tmp_path: Path) -> None:
    """As lxcfs does on many a rented server, a file lies over /proc/cpuinfo."""
    shown = tmp_path / "cpuinfo"
    shown.write_text("processor\t: 0\ncpu MHz\t\t: 1234.000\n\n")
    script = 'mount --bind "$0" /proc/cpuinfo && exec "$@"'
    up = [sys.executable, "-m", "lab", "--name", SECOND, "up"]
    subprocess.run(["unshare", "--mount", "sh", "-c", script, str(shown), *up], cwd=ROOT, check=True)
    assert second.exec(["cat", "/proc/cpuinfo"]).stdout == shown.read_text()


def test_down_needs_no_state_folder(second: Twin) -> None:
    second.up()
    shutil.rmtree(second.layout.state, ignore_errors=True)  # the daemons go on writing there
    assert second.down()
    assert traces(SECOND) == []


def test_what_was_started_in_a_twin_from_outside_goes_with_it(second: Twin) -> None:
    second.up()
    with subprocess.Popen(second.command(["sleep", "600"])) as process:
        deadline = time.monotonic() + patience(20)
        while not [trace for trace in traces(SECOND) if trace == f"process {process.pid}"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert second.exec(["true"]).returncode == 0
        assert second.down()
        assert process.wait(patience(20)) != 0
    assert traces(SECOND) == []


def test_a_first_process_that_ends_is_the_error_that_is_told(second: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "_top_level_links", lambda: {"no/such/folder": "usr"})
    with pytest.raises(TwinError, match=r"first process has ended:\n(.|\n)*FileNotFoundError"):
        second.up()


def test_when_the_first_process_is_killed_all_the_others_go_with_it(second: Twin) -> None:
    second.up()
    pid = first_process(SECOND)
    assert pid
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + patience(30)
    while [trace for trace in traces(SECOND) if trace.startswith(("process", "interface"))]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not second.is_up()
    with pytest.raises(TwinError, match="is not up"):
        second.exec(["true"])


def begin_up() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "lab", "--name", SECOND, "up"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
