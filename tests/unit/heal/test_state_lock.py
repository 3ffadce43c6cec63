"""Who holds a stack's lock, and which locks may be released: those whose process is certainly gone."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowmaster.cli.main import main
from flowmaster.heal import state_lock

ME = pwd.getpwuid(os.getuid()).pw_name


def now() -> datetime:
    """Asked in each test: by the time one runs, it may be long since this file was read."""
    return datetime.now(UTC)


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process of somebody else's: alive, and not Pulumi."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process.pid
    process.kill()
    process.wait()


@pytest.fixture
def ended() -> int:
    """The number of a process that is gone."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def locked(
    folder: Path, pid: int, since: datetime | None = None, host: str = "", user: str = ME, name: str = "a"
) -> Path:
    place = folder / ".pulumi/locks/organization/flowmaster/demo"
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{name}.json"
    stamp = (since or now()).isoformat().replace("+00:00", "123Z")
    content = {"pid": pid, "username": user, "hostname": host or socket.gethostname(), "timestamp": stamp}
    path.write_text(json.dumps(content))
    path.with_name(f"{path.name}.attrs").write_text("{}")
    return path


def read(folder: Path) -> list[state_lock.Lock]:
    return state_lock.read_locks(folder, "flowmaster", "demo")


def test_no_lock(tmp_path: Path) -> None:
    assert read(tmp_path) == []
    assert state_lock.release_stale([], "demo") == []


def test_the_lock_of_a_process_that_is_gone_is_released_with_all_its_files(tmp_path: Path, ended: int) -> None:
    path = locked(tmp_path, ended, now() - timedelta(minutes=5))
    [said] = state_lock.release_stale(read(tmp_path), "demo", now())
    assert said.startswith(f"released the lock of {ME}@{socket.gethostname()} (process {ended}) since ")
    assert said.endswith("5 min ago: that process is gone")
    assert list(path.parent.iterdir()) == []


def test_a_number_that_another_process_has_by_now_is_a_process_that_is_gone(tmp_path: Path, sleeper: int) -> None:
    locked(tmp_path, sleeper, now() - timedelta(hours=1))
    assert [found.is_stale for found in read(tmp_path)] == [True]


def test_a_process_that_ended_and_is_not_buried_yet_is_gone(tmp_path: Path) -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    locked(tmp_path, process.pid, now() + timedelta(minutes=1))
    assert [found.is_stale for found in read(tmp_path)] == [True]
    process.wait()


def test_the_lock_of_a_process_that_runs_is_refused_with_who_and_since_when(tmp_path: Path, sleeper: int) -> None:
    path = locked(tmp_path, sleeper, now() + timedelta(minutes=1))
    with pytest.raises(
        state_lock.LockError, match=f"stack demo is locked by {ME}@.* \\(process {sleeper}\\) since 20.*runs"
    ):
        state_lock.release_stale(read(tmp_path), "demo", now() + timedelta(minutes=2))
    assert path.exists()


@pytest.mark.parametrize(("host", "user"), [("elsewhere", ME), ("", "somebody-else")])
def test_of_a_lock_from_elsewhere_nothing_is_known(tmp_path: Path, ended: int, host: str, user: str) -> None:
    path = locked(tmp_path, ended, now() - timedelta(days=2), host, user)
    with pytest.raises(state_lock.LockError, match="whether it still runs can only be checked there") as caught:
        state_lock.release_stale(read(tmp_path), "demo", now())
    assert "2 d ago" in str(caught.value)
    assert "pulumi cancel" in str(caught.value)
    assert path.exists()


def test_one_that_is_held_keeps_all_others(tmp_path: Path, ended: int, sleeper: int) -> None:
    paths = [locked(tmp_path, ended), locked(tmp_path, sleeper, now() + timedelta(minutes=1), name="b")]
    with pytest.raises(state_lock.LockError):
        state_lock.release_stale(read(tmp_path), "demo")
    assert all(path.exists() for path in paths)


def test_a_lock_that_cannot_be_read_is_no_stale_one(tmp_path: Path) -> None:
    locked(tmp_path, 1).write_text("{")
    with pytest.raises(state_lock.LockError, match="cannot be read as a lock"):
        read(tmp_path)


def test_the_verb_shows_releases_and_says_what_was_not_finished(
    tmp_path: Path, ended: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    state = tmp_path / ".pulumi/stacks/flowmaster/demo.json"
    state.parent.mkdir(parents=True)
    urn = "urn:pulumi:demo::flowmaster::flowmaster:index:FlowMaster$kubernetes:apps/v1:Deployment::ai-agent"
    pending = [{"type": "updating", "resource": {"urn": urn}}]
    state.write_text(json.dumps({"checkpoint": {"latest": {"pending_operations": pending}}}))
    path = locked(tmp_path, ended)

    assert main(["unlock", "--show"]) == 0
    assert "that process is gone" in capsys.readouterr().out
    assert path.exists()
    assert main(["unlock"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("released the lock of ")
    assert "an update was interrupted while updating Deployment/ai-agent: the next `pulumi up` resumes" in said
    assert not path.exists()
    assert main(["unlock"]) == 0
    assert capsys.readouterr().out.startswith("stack demo is not locked")


def test_a_description_of_the_state_that_was_left_half_written_is_removed_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    place = tmp_path / ".pulumi/stacks/flowmaster"
    place.mkdir(parents=True)
    (place / "demo.json").write_text(json.dumps({"checkpoint": {"latest": {}}}))
    for name, text in (("demo.json", ""), ("demo.json.bak", '{"md5": "x"}'), ("demo2.json", "")):
        (place / f"{name}.attrs").write_text(text)
    assert main(["unlock", "--show"]) == 0
    assert (place / "demo.json.attrs").exists()
    assert main(["unlock"]) == 0
    assert (
        "removed demo.json.attrs, which a killed update left truncated; the state is complete"
        in capsys.readouterr().out
    )
    assert sorted(path.name for path in place.iterdir()) == ["demo.json", "demo.json.bak.attrs", "demo2.json.attrs"]


def test_the_verb_fails_where_the_stack_is_locked(
    tmp_path: Path, sleeper: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    locked(tmp_path, sleeper, now() + timedelta(minutes=1))
    assert main(["unlock"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(f"error: stack demo is locked by {ME}@")
    assert len(said) == 3


def test_a_backend_that_keeps_no_files_looks_after_its_own_locks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://bucket")
    assert main(["unlock"]) == 0
    assert "s3://bucket" in capsys.readouterr().out
