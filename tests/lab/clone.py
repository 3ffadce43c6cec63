"""A clone of the project at work on a twin: the commands of the README as a person runs them, and what came of it."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.twin import Twin
from lab.twin.api import Body, ready_pods, wait_until
from lab.twin.patience import patience

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "flowmaster"
STACK_FILE = "PULUMI_OPTION_CONFIG_FILE"
CATALOGUE = "FLOWMASTER_CATALOGUE"
DECLARED = 1 + 1 + 32 + 30
"""ConfigMaps, Secrets, Services and Deployments."""
Change = Callable[[dict[str, Any]], object]
_KINDS = {
    "Namespace": "/api/v1/namespaces",
    "ConfigMap": f"/api/v1/namespaces/{NAMESPACE}/configmaps",
    "Secret": f"/api/v1/namespaces/{NAMESPACE}/secrets",
    "Service": f"/api/v1/namespaces/{NAMESPACE}/services",
    "Deployment": f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments",
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """A command that has ended."""

    code: int
    output: str
    """What it said, on either stream."""
    seconds: float

    @property
    def message(self) -> list[str]:
        """The lines of the error as Pulumi shows it at the end, without anything of Pulumi's own."""
        lines = iter(self.output.partition("Diagnostics:")[2].splitlines())
        found: list[str] = []
        for line in lines:
            if line.startswith("    error: "):
                found.append(line.removeprefix("    error: "))
            elif found and line.startswith("    ") and line.strip():
                found.append(line.strip())
            elif found:
                break
        return found


@dataclass(frozen=True)
class Clone:
    """This clone, in a shell with the variables of `lab/lab env`."""

    twin: Twin
    environment: dict[str, str] = field(repr=False)

    @classmethod
    def of(cls, twin: Twin) -> Clone:
        """With nothing of the shell that the tests were started from, besides the tools."""
        return cls(twin, twin.shell())

    def run(self, *argv: str, text: str = "", timeout: float = 300, env: dict[str, str | None] | None = None) -> Run:
        """Run a command in the clone. `env` sets further variables, and unsets those that are None."""
        merged = self.environment | (env or {})
        begun = time.monotonic()
        done = subprocess.run(
            argv,
            cwd=ROOT,
            env={name: value for name, value in merged.items() if value is not None},
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patience(timeout),
            check=False,
        )
        return Run(code=done.returncode, output=done.stdout, seconds=time.monotonic() - begun)

    def pulumi(self, *words: str, text: str = "", env: dict[str, str | None] | None = None) -> Run:
        """Run Pulumi, which asks nothing."""
        return self.run("pulumi", *words, "--non-interactive", text=text, env=env)

    def up(self, env: dict[str, str | None] | None = None) -> Run:
        """Update at once."""
        return self.pulumi("up", "--yes", "--skip-preview", env=env)

    def succeeds(self, run: Run) -> Run:
        """The run, if it succeeded."""
        assert run.code == 0, run.output
        return run

    def deploy(self) -> Run:
        """The first command of the README: a fresh server, and the whole of FlowMaster on it."""
        run = self.succeeds(self.run("lab/demo", "--fresh", env={"FLOWMASTER_TWIN": self.twin.name}))
        self._deployed.touch()
        return run

    def altered(
        self, folder: Path, *, stack: Change | None = None, catalogue: Change | None = None
    ) -> dict[str, str | None]:
        """Variables that name changed copies of the stack's file and of the catalogue, in the folder."""
        copies: dict[str, str | None] = {}
        for variable, name, change in (
            (STACK_FILE, "Pulumi.demo.yaml", stack),
            (CATALOGUE, "catalogue.yaml", catalogue),
        ):
            values = yaml.safe_load(Path(self.environment[variable]).read_text())
            if change:
                change(values)
            path = folder / name
            path.write_text(yaml.safe_dump(values, sort_keys=False))
            copies[variable] = str(path)
        return copies

    def objects(self) -> dict[str, Body]:
        """Everything that the program declares, and whatever else of these kinds is in the namespace, as it is now."""
        with self.twin.api() as api:
            found = {kind: api.items(path) for kind, path in _KINDS.items()}
        return {f"{kind}/{body['metadata']['name']}": body for kind, bodies in found.items() for body in bodies}

    def is_as_declared(self) -> bool:
        """Whether the twin still has what :meth:`deploy` made, and nothing else."""
        return (
            self._deployed.exists()
            and len(self.own()) == DECLARED
            and self.pulumi("preview", "--expect-no-changes").code == 0
        )

    def leave_changed(self) -> None:
        """Say that the twin has something else now than what :meth:`deploy` made."""
        self._deployed.unlink(missing_ok=True)

    @property
    def _deployed(self) -> Path:
        """A mark that goes with the stack's files, when the twin is put into another state."""
        return Path(self.environment[STACK_FILE]).with_name("deployed-by-tests")

    def own(self) -> list[str]:
        """The names of all objects in the namespace besides those that every namespace has."""
        every = ("Namespace/", "ConfigMap/kube-root-ca.crt")
        return [name for name in self.objects() if not name.startswith(every)]

    def versions(self) -> dict[str, str]:
        """The resourceVersion of each object: the same as before only if nobody wrote to it."""
        return {name: body["metadata"]["resourceVersion"] for name, body in self.objects().items()}

    def pods(self) -> dict[str, list[Body]]:
        """Pods that are ready and not on their way out, by service."""
        with self.twin.api() as api:
            found: dict[str, list[Body]] = {}
            for pod in ready_pods(api.items(f"/api/v1/namespaces/{NAMESPACE}/pods")):
                found.setdefault(pod["metadata"]["labels"]["app.kubernetes.io/name"], []).append(pod)
            return found

    def settled(self) -> dict[str, list[str]]:
        """Wait until every Deployment has all its pods, ready, and no other; the pods' identities, by service.

        An API server that was away for longer than a node may be silent leaves every pod unready for a while: the
        node's word did not come through, and its pods are called ready again only when it does.

        :raises TwinError: where that does not come, with what there is instead.
        """
        found: dict[str, list[str]] = {}
        wanted: dict[str, int] = {}

        def reached() -> bool:
            nonlocal found, wanted
            found = self.pod_uids()
            bodies = [body for name, body in self.objects().items() if name.startswith("Deployment/")]
            wanted = {body["metadata"]["name"]: body["spec"]["replicas"] for body in bodies}
            return bool(wanted) and {name: len(uids) for name, uids in found.items()} == {
                name: replicas for name, replicas in wanted.items() if replicas
            }

        def instead() -> str:
            return f"wanted: {wanted}\nready: {found}\n{self._nodes()}"

        wait_until("every service's pods", reached, 120, instead)
        return found

    def _nodes(self) -> str:
        with self.twin.api() as api:
            nodes = api.items("/api/v1/nodes")
        return "; ".join(f"node {node['metadata']['name']}: {node['status'].get('conditions')}" for node in nodes)

    def keeps(self, pods: dict[str, list[str]]) -> None:
        """Wait until these pods, and no others, are ready: one that was made anew never is the same again.

        A pod of a busy machine may be late with the answer to a probe, and is unready for a moment.

        :raises TwinError: where that does not come, with what there is instead.
        """
        wait_until("the pods of before", lambda: self.pod_uids() == pods, 30, lambda: f"{pods}\n{self.pod_uids()}")

    def pod_uids(self) -> dict[str, list[str]]:
        """The identity of each service's pods: the same as before only if none was started again."""
        return {name: [pod["metadata"]["uid"] for pod in pods] for name, pods in self.pods().items()}


@contextmanager
def repeated(look: Callable[[], object], pause: float = 0.1) -> Iterator[None]:
    """Calls the function again and again until the end of the block, where an error of it is raised."""
    ended, errors = threading.Event(), list[Exception]()

    def loop() -> None:
        try:
            while not ended.wait(pause):
                look()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if errors:
        raise errors[0]


def command_lines() -> set[str]:
    """What anybody on this machine can read of the processes that run."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found
