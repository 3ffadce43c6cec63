"""The command line of the twin: what is read, and what is said when it is wrong."""

import os
import platform
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from lab.supervisor import control, probes
from lab.twin import TwinError, cli, locks, requirements
from lab.twin.twin import Twin


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWMASTER_CACHE", str(tmp_path / "a-folder-whose-name-is-longer" / ("x" * 90)))
    monkeypatch.delenv("FLOWMASTER_TWIN", raising=False)


@pytest.mark.parametrize(
    ("words", "name", "subnet"),
    [
        (["up"], "demo", None),
        (["--name", "two", "up"], "two", None),
        (["up", "--name", "two"], "two", None),
        (["--name=two", "--subnet=10.78.0.0/24", "up"], "two", "10.78.0.0/24"),
        (["--name", "two", "up", "--subnet", "10.78.0.0/24"], "two", "10.78.0.0/24"),
    ],
)
def test_options_stand_before_or_behind_the_verb(words: list[str], name: str, subnet: str | None) -> None:
    arguments = cli._parser().parse_args(words)
    assert (arguments.name, arguments.subnet) == (name, subnet)


def test_the_environment_names_the_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWMASTER_TWIN", "mine")
    assert cli._parser().parse_args(["env"]).name == "mine"


def test_a_command_keeps_its_own_options() -> None:
    arguments = cli._parser().parse_args(["exec", "--user", "ben", "--", "ls", "-l", "--name"])
    assert (arguments.user, arguments.argv) == ("ben", ["ls", "-l", "--name"])


@pytest.mark.parametrize("verb", ["env", "exec", "shell", "hand-made", "empty"])
def test_a_twin_that_is_not_up_is_named_with_the_remedy(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [verb, "--", "true"] if verb == "exec" else [verb]
    assert cli.main(["--name", "nobody", *words]) == 1
    said = capsys.readouterr().err
    assert said == "error: the twin nobody is not up\nbring it up: lab/lab --name nobody up\n"


def test_status_of_a_twin_that_is_not_up_can_be_asked_by_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--name", "nobody", "status"]) == 1
    assert capsys.readouterr().out == "the twin nobody is not up\n"


def test_a_bad_name_is_an_error_of_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--name", "Not_A_Name", "up"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_another_system_and_a_user_without_rights_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(TwinError, match="needs Linux, this is Darwin"):
        Twin().up()
    monkeypatch.undo()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(TwinError, match="needs root"):
        Twin().up()


def test_missing_programs_are_named_by_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(requirements, "_SEARCHED", "/nowhere")
    with pytest.raises(TwinError, match=r"lacks: .*containerd.*docker.io.*\nbring them: lab/bootstrap"):
        requirements.check()


MOUNTS = """\
1 0 254:0 / / rw - overlay overlay rw
2 1 254:1 / /data rw,relatime shared:1 - ext4 /dev/vdb rw
3 1 254:2 / /home/ben/.cache rw - nfs4 server:/home rw
"""


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("/root/.cache/flowmaster/twins/demo", "kind overlay"),
        ("/home/ben/.cache/flowmaster/twins/demo", "kind nfs4"),
        ("/data/a,b/twins/demo", "has a comma"),
    ],
)
def test_a_folder_that_cannot_hold_the_disk_is_refused_with_the_remedy(folder: str, reason: str) -> None:
    with pytest.raises(TwinError, match=rf"{reason}.*\nset FLOWMASTER_CACHE"):
        requirements.check_folder(Path(folder), MOUNTS)
    requirements.check_folder(Path("/data/twins/demo"), MOUNTS)


def test_one_process_at_a_time_works_on_a_twin() -> None:
    waited: list[bool] = []
    with (
        locks.held("unit-test", 1),
        pytest.raises(TwinError, match="another process"),
        locks.held("unit-test", 0.1, lambda: waited.append(True)),
    ):
        pass
    assert waited == [True]
    with locks.held("unit-test", 0.1):
        pass


class FakeDaemons:
    """One daemon that can be paused and nothing else."""

    state = "ready"

    def describe(self) -> dict[str, Any]:
        return {"etcd": {"state": self.state}}

    def pause(self, name: str) -> None:
        if name != "etcd":
            raise ValueError(f"no daemon is called {name!r}")
        self.state = "paused"

    resume = kill = start = pause


def test_the_control_socket_answers_also_in_a_folder_with_a_long_name(tmp_path: Path) -> None:
    folder = tmp_path / ("y" * 120)
    folder.mkdir()
    with control.listen(folder) as server:

        def answer() -> None:
            for _ in range(3):
                connection, _address = server.accept()
                control._converse(connection, FakeDaemons())  # type: ignore[arg-type]

        thread = threading.Thread(target=answer)
        thread.start()
        assert control.ask(folder, {"do": "pause", "name": "etcd"}) == {"daemons": {"etcd": {"state": "paused"}}}
        assert control.ask(folder, {"do": "pause", "name": "mail"}) == {"error": "no daemon is called 'mail'"}
        assert control.ask(folder, {"do": "dance"}) == {"error": "unknown question 'dance'"}
        thread.join()


def test_a_probe_tells_an_open_port_from_a_closed_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert probes.answers({"tcp": ["127.0.0.1", port]})
    assert not probes.answers({"tcp": ["127.0.0.1", port]})
    assert not probes.answers({"http": ["127.0.0.1", port, "/"]})
    assert not probes.answers({"unix": "/nowhere.sock"})
