"""Updates that are killed, cut off or overtaken in the middle: nothing is lost, and the next run finishes."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.twin import Twin
from lab.twin.patience import patience
from tests.lab.batch import told, until, until_told
from tests.lab.operate import ROOT, Operator

SERVICES = ("agent-service", "ai-agent", "api-gateway", "frontend", "scheduling", "websocket-gateway")
PROGRAM = "pulumi-language-python-exec"
OLD_IMAGE = "localhost:30500/flowmaster/agent-service:r40"
DRIFT = [
    ("drift", "Deployment/agent-service", "spec.template.spec.containers[agent-service].image"),
    ("drift", "Deployment/scheduling", ""),
    ("drift", "Service/ai-agent", ""),
    ("foreign", "Deployment/ai-agent", "metadata.labels[team]"),
    ("foreign", "Service/frontend", "metadata.labels[team]"),
]

OTHER_ADDRESS = ("drift", "Service/ai-agent", "spec.clusterIP")
"""What is told of a Service that was made again, until an update writes down which address it has now."""


def only_a_few(settings: dict[str, Any]) -> None:
    """Of a stack or a catalogue only some services."""
    services = settings["services"]
    for name in set(services) - set(SERVICES):
        del services[name]


class Update:
    """A `pulumi up` under way, whose output is read as it comes."""

    def __init__(self, operator: Operator) -> None:
        self.process = operator.start("pulumi", "up", "--yes", "--skip-preview", "--suppress-outputs")
        self.lines: list[str] = []
        self.children: set[int] = set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def reached(self, pattern: str, seconds: float = 120) -> None:
        """Wait until it has said so."""
        assert self.comes_to(pattern, seconds), f"it ended before {pattern}:\n{self.text}"

    def comes_to(self, pattern: str, seconds: float = 120) -> bool:
        """Wait until it has said so; False where it ended well without."""
        deadline = time.monotonic() + patience(seconds)
        while not re.search(pattern, self.text):
            if self.process.poll() is not None:
                assert self.ended() == 0, self.text
                return re.search(pattern, self.text) is not None
            assert time.monotonic() < deadline, self.text
            time.sleep(0.02)
        return True

    def kill(self) -> None:
        """End the CLI as the kernel does when memory runs out; its children are left to themselves."""
        self.children = descendants(self.process.pid)
        self.process.kill()
        self.process.wait()

    def kill_program(self) -> None:
        """End the program that the CLI runs."""
        until(lambda: any(PROGRAM in command_of(pid) for pid in descendants(self.process.pid)), "the program", 60)
        self.children = descendants(self.process.pid)
        [program] = [pid for pid in self.children if PROGRAM in command_of(pid)]
        os.kill(program, signal.SIGKILL)

    def ended(self, seconds: float = 300) -> int:
        """Its exit code."""
        code = self.process.wait(patience(seconds))
        self._reader.join(10)
        return code

    def clean_up(self) -> None:
        """End whatever of it is left."""
        for pid in {self.process.pid, *self.children, *descendants(self.process.pid)}:
            if "pulumi" in command_of(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(10)
        if self.process.stdout:
            self.process.stdout.close()


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def descendants(pid: int) -> set[int]:
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


@pytest.fixture(scope="module")
def operator(empty_twin: Twin) -> Operator:
    """Somebody at a fresh server, with a stack of a few services; nothing was made yet."""
    operator = Operator.of(empty_twin)
    operator.edit_stack(only_a_few)
    operator.edit_catalogue(only_a_few)
    return operator


@pytest.fixture
def begin(operator: Operator) -> Iterator[Callable[..., Update]]:
    """Begins updates; what is left of them is ended after the test."""
    begun: list[Update] = []

    def up(**environ: str) -> Update:
        begun.append(Update(operator.knowing(**environ)))
        return begun[-1]

    yield up
    for update in begun:
        update.clean_up()


@pytest.fixture
def changed(operator: Operator) -> Operator:
    """The same, with the server changed by hand in several ways."""
    operator.run("flowmaster", "unlock")  # after a test that failed with its update killed
    if told(operator.report()) != []:
        operator.up()
    operator.kubectl_all(
        [
            ("set", "image", "deployment/agent-service", f"agent-service={OLD_IMAGE}"),
            ("delete", "deployment", "scheduling"),
            ("delete", "service", "ai-agent"),
            ("label", "deployment/ai-agent", "team=blue"),
            ("label", "service/frontend", "team=blue"),
        ]
    )
    until_told(operator, DRIFT)
    return operator


@contextmanager
def waits_for_pods(twin: Twin) -> Iterator[None]:
    """No pod starts meanwhile, so that an update has something to wait for however busy the machine is."""
    twin.pause_process("kube-scheduler")
    try:
        yield
    finally:
        twin.start_process("kube-scheduler")


def pending(operator: Operator) -> list[str]:
    document = json.loads(operator.run("pulumi", "stack", "export").stdout)
    return [each["type"] for each in document["deployment"].get("pending_operations") or []]


def finishes(operator: Operator) -> None:
    """The next run, begun as `make up` begins it, finishes what is left."""
    operator.run("flowmaster", "unlock")
    update = operator.up()
    assert "pending operations" not in update.text or pending(operator) == []
    assert told(operator.report()) == []
    assert operator.preview("--expect-no-changes").changes == {}
    assert pending(operator) == []


# -- killed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checkpoints", [False, True])
def test_killed_while_it_creates(operator: Operator, begin: Callable[..., Update], checkpoints: bool) -> None:
    operator.run("flowmaster", "unlock")
    operator.run("pulumi", "destroy", "--yes", "--skip-preview")
    update = begin(PULUMI_SKIP_CHECKPOINTS=str(not checkpoints).lower())
    update.reached(r"Deployment \S+ created")
    update.kill()
    assert ("creating" in pending(operator)) is checkpoints
    refused = operator.up(code=None)
    assert refused.code != 0
    assert f"(pid {update.process.pid})" in refused.text
    state = Path(operator.environ["PULUMI_BACKEND_URL"].removeprefix("file://")) / ".pulumi/stacks/flowmaster/demo.json"
    if not checkpoints:  # as a kill leaves it in the very moment in which Pulumi writes there
        state.with_name(f"{state.name}.attrs").write_text("")
    shown = operator.run("flowmaster", "unlock", "--show").stdout
    assert re.search(rf"\(process {update.process.pid}\) since \d{{4}}-.* ago: that process is gone", shown)
    assert ("an update was interrupted while creating" in shown) is checkpoints
    finishes(operator)
    assert len(operator.objects()) > 2 * len(SERVICES)


@pytest.mark.parametrize("step", [r" updated \(", r"of 6 services run"])
def test_killed_while_it_heals(changed: Operator, begin: Callable[..., Update], step: str) -> None:
    with waits_for_pods(changed.twin):
        update = begin()
        update.reached(step)
        update.kill()
    finishes(changed)


def test_what_heals_is_killed_at_each_write(changed: Operator) -> None:
    """Each object is as it was or as it is declared, whenever that is: there is nothing in between."""
    for number in (1, 2, 3, len(DRIFT)):
        healed = heal(changed, number)
        found = told(changed.report())
        left = [f for f in found if f[0] in ("drift", "foreign", "conflict") and f != OTHER_ADDRESS]
        assert [finding for finding in left if finding not in DRIFT] == []
        assert {resource for _, resource, _ in left} & healed == set()
    # the last one wrote what the others had left, and came to its end
    assert left == []
    finishes(changed)


def heal(operator: Operator, number: int) -> set[str]:
    """Heal without Pulumi, and kill that when it begins its write of that number; the objects that it wrote before."""
    begun: list[str] = []
    with operator.start(sys.executable, "-m", "tests.lab.healer") as process:
        assert process.stdout
        for line in process.stdout:
            begun.append(line.strip())
            if line.startswith((f"write {number}:", "done")):
                break
        process.kill()
    assert begun, "it ended before it wrote"
    assert begun[-1].startswith((f"write {number}:", "done")), begun
    return {line.split()[2] for line in begun[:-1] if line.startswith("write ")}


@pytest.mark.parametrize("step", [r" updating \(", r"of 6 services run"])
def test_its_program_is_killed(changed: Operator, begin: Callable[..., Update], step: str) -> None:
    with waits_for_pods(changed.twin):
        update = begin()
        update.reached(step)
        update.kill_program()
    assert update.ended() != 0
    assert changed.run("flowmaster", "unlock", "--show").stdout.startswith("stack demo is not locked")
    finishes(changed)


# -- cut off -------------------------------------------------------------------------------------------------------


def test_the_api_server_is_killed_and_started_again(changed: Operator, begin: Callable[..., Update]) -> None:
    update = begin()
    update.reached(r" updating \(")
    changed.twin.kill_process("kube-apiserver")
    time.sleep(2)
    changed.twin.start_process("kube-apiserver")
    update.ended()
    assert "Traceback" not in update.text
    finishes(changed)


@pytest.mark.parametrize("step", [r" updating \(", r"of 6 services run"])
def test_the_api_server_says_nothing_for_a_while(changed: Operator, begin: Callable[..., Update], step: str) -> None:
    with waits_for_pods(changed.twin):
        update = begin()
        update.reached(step)
        changed.twin.pause_process("kube-apiserver")
        time.sleep(4)
        changed.twin.start_process("kube-apiserver")
    assert update.ended() == 0, update.text
    assert told(changed.report()) == []


# -- two at once, and approval -------------------------------------------------------------------------------------


def test_of_two_updates_the_second_says_who_holds_the_lock_and_since_when(
    changed: Operator, begin: Callable[..., Update]
) -> None:
    first = begin()
    first.reached(r"Updating \(")
    # held as long as it takes to look, however busy the machine
    first.process.send_signal(signal.SIGSTOP)
    held = changed.run("flowmaster", "unlock", code=1).stderr
    assert re.match(
        rf"error: stack demo is locked by \S+@\S+ \(process {first.process.pid}\) since 20[-0-9: ]+ UTC, \d+ s ago",
        held,
    )
    second = changed.up(code=None)
    first.process.send_signal(signal.SIGCONT)
    assert second.code != 0
    assert f"(pid {first.process.pid}) at 20" in second.text
    assert first.ended() == 0, first.text
    assert told(changed.report()) == []


def test_an_update_that_was_approved_does_not_run_if_the_server_changes_in_between(changed: Operator) -> None:
    before = changed.objects()
    said = answer_yes(changed, lambda: changed.kubectl("label", "deployment/websocket-gateway", "late=yes"))
    assert "the server changed after the preview that was approved" in said
    assert "new: foreign Deployment/websocket-gateway metadata.labels[late]: yes" in said
    assert "so nothing was changed" in said
    for resource, body in changed.objects().items():
        if resource != "Deployment/websocket-gateway":
            assert body["metadata"].get("generation") == before[resource]["metadata"].get("generation")
    assert len(told(changed.report())) == len(DRIFT) + 1
    said = answer_yes(changed, lambda: None)
    assert "the server changed" not in said
    assert told(changed.report()) == []


def test_an_approval_is_handed_over_by_its_fingerprint(changed: Operator) -> None:
    approved = changed.report()["fingerprint"]
    changed.kubectl("label", "service/websocket-gateway", "late=yes")
    refused = changed.knowing(FLOWMASTER_APPROVED=approved).up(code=None)
    assert refused.code != 0
    assert f"{approved} was approved, but the server and the program are now at " in refused.text
    now = changed.report()["fingerprint"]
    assert now in refused.text
    changed.knowing(FLOWMASTER_APPROVED=now).up()
    assert told(changed.report()) == []


def test_a_deleted_object_that_is_held_is_waited_for_and_nobody_s_finalizer_is_taken_away(
    changed: Operator, begin: Callable[..., Update]
) -> None:
    hold = {"metadata": {"finalizers": ["example.com/hold"]}}
    changed.kubectl("patch", "service", "websocket-gateway", "--patch", json.dumps(hold))
    changed.kubectl("delete", "service", "websocket-gateway", "--wait=false")
    was = changed.get("Service/websocket-gateway")["metadata"]
    assert told(changed.report()) == sorted([*DRIFT, ("drift", "Service/websocket-gateway", "")])
    [line] = changed.preview().about("Service/websocket-gateway")
    assert "being deleted, held by finalizer example.com/hold" in line
    refused = changed.up(code=None)
    assert refused.code != 0
    assert "is being deleted, but is still there after 30 s, held by finalizer example.com/hold" in refused.text
    assert changed.get("Service/websocket-gateway")["metadata"]["finalizers"] == ["example.com/hold"]
    assert told(changed.report()) == [("drift", "Service/websocket-gateway", "")]
    update = begin()
    update.reached(r"websocket-gateway updating")
    changed.kubectl("patch", "service", "websocket-gateway", "--patch", json.dumps({"metadata": {"finalizers": None}}))
    assert update.ended(120) == 0
    assert changed.get("Service/websocket-gateway")["metadata"]["uid"] != was["uid"]
    finishes(changed)


def answer_yes(operator: Operator, meanwhile: Callable[[], object]) -> str:
    """`pulumi up` at a terminal: wait for its question, do something else, then say yes; returns all it said."""
    ours, theirs = pty.openpty()
    environ = {**operator.environ, "TERM": "xterm", "NO_COLOR": "1"}
    process = subprocess.Popen(
        ["pulumi", "up", "--suppress-outputs"], cwd=ROOT, env=environ, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    text, asked = "", False
    deadline = time.monotonic() + patience(300)
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                text += os.read(ours, 65536).decode(errors="replace")
            except OSError:  # the other end is closed
                break
        if not asked and "Do you want to perform this update?" in text:
            asked = True
            meanwhile()
            os.write(ours, b"yes\r")
    os.close(ours)
    process.wait(patience(30))
    assert asked, text
    return " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).split())
