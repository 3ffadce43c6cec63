"""What a twin asks of the machine it comes up on: cgroups, time, a Docker of its day."""

import sys
from pathlib import Path

import pytest

from lab.supervisor import cgroups as inner
from lab.twin import TwinError, cgroups, daemons, kubernetes
from lab.twin.api import wait_until
from lab.twin.errors import UnreachableError
from lab.twin.patience import patience


class Root:
    """A folder that looks like the root cgroup of version 2. The kernel's file takes words one by one; so does this."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        (folder / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids rdma misc\n")
        (folder / "cgroup.procs").write_text("")
        self.on = {"cpu", "memory", "pids"}
        self.refused: set[str] = set()
        self._save()
        write = Path.write_text

        def kernel(path: Path, text: str, *more: object) -> int:
            if path != folder / "cgroup.subtree_control":
                return write(path, text)
            if text[1:] in self.refused:
                raise OSError(16, "Device or resource busy")
            (self.on.add if text[0] == "+" else self.on.discard)(text[1:])
            self._save(write)
            return len(text)

        monkeypatch.setattr(Path, "write_text", kernel)

    def _save(self, write: object = Path.write_text) -> None:
        write(self.folder / "cgroup.subtree_control", " ".join(sorted(self.on)) + "\n")  # type: ignore[operator]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    folder = tmp_path / "cgroup"
    folder.mkdir()
    monkeypatch.setattr(inner, "ROOT", folder)
    monkeypatch.setattr(cgroups, "_SWITCHED_ON", tmp_path / "switched-on")
    monkeypatch.setattr(cgroups, "_LOCK", str(tmp_path)[-60:])
    return Root(folder, monkeypatch)


def remove(root: Root, name: str) -> None:
    for path in ("init", ""):
        (root.folder / f"flowmaster-twin-{name}" / path).rmdir()
    cgroups.remove(name)


def test_the_root_hands_down_what_containers_need_and_afterwards_what_it_did_before(root: Root) -> None:
    cgroups.make("one")
    assert root.on == {"cpu", "cpuset", "hugetlb", "io", "memory", "pids"}
    remove(root, "one")
    assert root.on == {"cpu", "memory", "pids"}
    assert not cgroups._SWITCHED_ON.exists()


def test_the_last_twin_puts_it_back_whichever_switched_it_on(root: Root) -> None:
    cgroups.make("one")
    cgroups.make("two")
    remove(root, "one")
    assert "io" in root.on
    remove(root, "two")
    assert root.on == {"cpu", "memory", "pids"}


def test_a_crash_between_two_steps_is_put_right_by_the_next_down(root: Root) -> None:
    cgroups.make("one")
    for path in ("init", ""):  # gone as if its remover had been killed right then
        (root.folder / "flowmaster-twin-one" / path).rmdir()
    assert "io" in root.on
    assert not cgroups.remove("another")
    assert root.on == {"cpu", "memory", "pids"}


def test_what_somebody_else_hands_further_down_meanwhile_stays_on(root: Root) -> None:
    cgroups.make("one")
    root.refused = {"io"}
    remove(root, "one")
    assert root.on == {"cpu", "io", "memory", "pids"}
    assert not cgroups._SWITCHED_ON.exists()


def test_a_root_that_cannot_hand_down_is_told_with_the_remedy(root: Root) -> None:
    root.refused = {"cpuset"}
    with pytest.raises(TwinError, match=r"cannot hand down cpuset(.|\n)*mkdir -p .*/init && xargs"):
        cgroups.make("one")


@pytest.mark.parametrize(("text", "seconds"), [(None, 10.0), ("", 10.0), ("1", 10.0), ("4.5", 45.0)])
def test_limits_are_for_two_idle_cores_times_a_factor(
    monkeypatch: pytest.MonkeyPatch, text: str | None, seconds: float
) -> None:
    monkeypatch.delenv("FLOWMASTER_PATIENCE", raising=False)
    monkeypatch.setattr("os.getloadavg", lambda: (0.5, 1.0, 9.0))
    if text is not None:
        monkeypatch.setenv("FLOWMASTER_PATIENCE", text)
    assert patience(10) == seconds


@pytest.mark.parametrize(
    ("load", "cores", "seconds"),
    [((1.0, 1.0, 1.0), 2, 10.0), ((2.0, 6.0, 0.0), 2, 30.0), ((18.0, 1.0, 1.0), 2, 90.0), ((900.0, 0, 0), 2, 200.0)],
)
def test_limits_are_longer_where_more_processes_than_cores_want_to_run(
    monkeypatch: pytest.MonkeyPatch, load: tuple[float, float, float], cores: int, seconds: float
) -> None:
    monkeypatch.delenv("FLOWMASTER_PATIENCE", raising=False)
    monkeypatch.setattr("os.getloadavg", lambda: load)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    assert patience(10) == seconds


def test_a_slow_node_keeps_its_pods_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWMASTER_PATIENCE", "8")
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    assert "--node-monitor-grace-period=400s" in kubernetes.controller_flags()


@pytest.mark.parametrize("text", ["long", "0", "-1", "1000", "nan"])
def test_a_factor_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("FLOWMASTER_PATIENCE", text)
    with pytest.raises(TwinError, match=r"must be a factor from 0.1 to 100"):
        patience(10)


def test_a_limit_that_is_over_names_the_reason_and_the_factor() -> None:
    with pytest.raises(TwinError, match=r"the thing: not within 0 s\nit sleeps\n.*FLOWMASTER_PATIENCE"):
        wait_until("the thing", lambda: False, 0.0, lambda: "it sleeps", pause=0.01)


def test_a_daemon_that_is_back_in_time_was_never_away() -> None:
    answers = iter((UnreachableError("it does not answer"), False, True))

    def reached() -> bool:
        answer = next(answers)
        if isinstance(answer, UnreachableError):
            raise answer
        return answer

    wait_until("the thing", reached, 5.0, lambda: "it sleeps", pause=0.01)
    assert next(answers, None) is None


def test_one_that_stays_away_is_the_reason() -> None:
    def reached() -> bool:
        raise UnreachableError("it does not answer")

    with pytest.raises(UnreachableError, match="it does not answer"):
        wait_until("the thing", reached, 0.0, lambda: "it sleeps", pause=0.01)


@pytest.mark.parametrize(
    ("help_text", "flags"),
    [("  --oom-score-adjust int   Set it (default -500)", ["--oom-score-adjust=0"]), ("  --mtu int   Set it", [])],
)
def test_dockerd_is_told_only_what_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, help_text: str, flags: list[str]
) -> None:
    program = tmp_path / "dockerd"
    program.write_text(f"#!{sys.executable}\nprint({help_text!r})\n")
    program.chmod(0o755)
    monkeypatch.setattr(daemons, "program", lambda _: str(program))
    assert daemons._dockerd_score() == flags
