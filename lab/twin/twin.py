"""One twin: bring it up, take it down, run things in it, make its daemons fail."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, TypeVar

from lab.supervisor import control, linux
from lab.twin import (
    base,
    cgroups,
    cleanup,
    environment,
    images,
    keys,
    locks,
    network,
    processes,
    requirements,
    rootfs,
    service,
)
from lab.twin.api import Api, node_is_ready, wait_until
from lab.twin.errors import TwinError
from lab.twin.layout import DEFAULT_NAME, REGISTRY_PORT, Layout, state_folder, valid_name
from lab.twin.patience import patience
from lab.twin.registry import Registry

PROJECT = Path(__file__).parents[2]
_LOCK_PATIENCE = 300.0
_UP_PATIENCE = 120.0
_ANSWER_PATIENCE = 10.0

Result = TypeVar("Result")


def _silent(_: str) -> None:
    """Progress that nobody wants to see."""


class Twin:
    """The twin of that name, whether it is up or not. Methods raise TwinError with a remedy.

    `subnet` matters to `up` alone: a twin that is up has one, and without one a free one is chosen.
    `say` gets a line of progress at a time.
    """

    def __init__(
        self, name: str = DEFAULT_NAME, subnet: str | None = None, say: Callable[[str], None] = _silent
    ) -> None:
        self.name = valid_name(name)
        self._asked_subnet = subnet
        self.say = say

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def layout(self) -> Layout:
        """Where it is. Raises TwinError unless it is up or on its way."""
        state = state_folder(self.name)
        try:
            subnet = json.loads((state / "twin.json").read_text())["subnet"]
        except (FileNotFoundError, ValueError) as error:
            raise TwinError(f"the twin {self.name} is not up\nbring it up: lab/lab --name {self.name} up") from error
        return Layout(name=self.name, subnet=IPv4Network(subnet), state=state)

    @property
    def kubeconfig(self) -> Path:
        return self.layout.kubeconfig

    @property
    def address(self) -> str:
        """The server's address."""
        return self.layout.server_address

    def api(self) -> Api:
        """A new connection to its Kubernetes API as administrator."""
        return Api(self.layout)

    def environment(self) -> dict[str, str]:
        """The variables with which pulumi, kubectl and the project's program work on this twin."""
        return environment.variables(self.layout)

    def shell(self) -> dict[str, str]:
        """All variables of a shell that works on this twin, and does so whichever shell it was started from."""
        return environment.shell(self.layout)

    def is_up(self) -> bool:
        """Whether `up` came to its end and the first process lives."""
        pid = processes.first_process(self.name)
        try:
            return pid is not None and (state_folder(self.name) / "ready").read_text() == str(pid)
        except FileNotFoundError:
            return False

    def daemons(self) -> dict[str, dict[str, Any]]:
        """State, process id inside, restarts and last exit of each daemon."""
        return self._ask(do="status")

    def memory_bytes(self) -> int:
        """What it uses: own pages whole, shared ones by share."""
        return processes.memory_bytes(self.name)

    # -- up and down --------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Brings it up, or what of it is down; does nothing to one that is up."""
        requirements.check()
        requirements.check_folder(state_folder(self.name))
        with self.locked():
            if self.is_up():
                self.say(f"the twin {self.name} is up at {self._checked_address()}")
                self.start_stopped_daemons()
                return
            if cleanup.remove(self.name):
                self.say("removed what an interrupted run had left")
            with network.reserved_subnet(self.name, self._asked_subnet) as subnet:
                self._bring_up(Layout(name=self.name, subnet=subnet, state=state_folder(self.name)))

    def down(self) -> bool:
        """Takes it away with all that belongs to it; returns whether there was anything."""
        with self.locked():
            return cleanup.remove(self.name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from changing this twin meanwhile. Raises TwinError when one goes on for 5 minutes."""
        waiting = f"waiting for another process that works on the twin {self.name}"
        with locks.held(f"twin {self.name}", patience(_LOCK_PATIENCE), lambda: self.say(waiting)):
            yield

    def _checked_address(self) -> str:
        layout = self.layout
        if self._asked_subnet and IPv4Network(self._asked_subnet) != layout.subnet:
            raise TwinError(
                f"the twin {self.name} is up on {layout.subnet}, not on {self._asked_subnet}\n"
                f"take it down first: lab/lab --name {self.name} down"
            )
        return layout.server_address

    def start_stopped_daemons(self) -> None:
        """Undoes what fault injection left."""
        for name, daemon in self.daemons().items():
            if daemon["state"] in {"stopped", "paused"}:
                self.say(f"starting {name}, which was {daemon['state']}")
                self.start_process(name)

    def _bring_up(self, layout: Layout) -> None:
        layout.state.mkdir(parents=True, mode=0o700)
        (layout.state / "twin.json").write_text(json.dumps({"name": self.name, "subnet": str(layout.subnet)}))
        layout.pulumi.mkdir()
        layer = images.make_layer(service.program().read_bytes())
        keys.make(layout)
        rootfs.build(layout)
        self.say("disk, keys and configuration written")
        cgroups.make(self.name)
        pid = self._start_supervisor(layout)
        with self._first_cause(layout):
            network.plug_in(layout, pid)
            self.say(f"server {layout.server_address} switched on")
            self._await_all(layout, layer)
        self.say("databases ready")
        layout.ready_marker.write_text(str(pid))

    @contextmanager
    def _first_cause(self, layout: Layout) -> Iterator[None]:
        """Where the first process has ended, that is the error to tell, not what then was no longer there."""
        try:
            yield
        except TwinError as error:
            if processes.first_process(self.name) is None:
                raise TwinError(f"the twin's first process has ended:\n{self._last_words(layout)}") from error
            raise

    def _await_all(self, layout: Layout, layer: images.Layer) -> None:
        with ThreadPoolExecutor(1) as pool:
            pushed = pool.submit(self._push_images, layer)
            self._await_daemon("kube-apiserver")
            with Api(layout) as api:
                base.apply(api, layout)
                self._await_node(api)
                self._await_images(pushed)
                for name in self.daemons():
                    self._await_daemon(name)
                base.wait_for_databases(api, _UP_PATIENCE)

    def _start_supervisor(self, layout: Layout) -> int:
        with (layout.logs / "supervisor.log").open("w") as log:
            started = subprocess.run(
                [sys.executable, "-m", "lab.supervisor", f"--twin={self.name}", str(layout.specification)],
                cwd=PROJECT,
                env={"PATH": os.environ.get("PATH", ""), "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                check=False,
            )
        pid = int(layout.pid_file.read_text()) if started.returncode == 0 else None
        if pid is None:
            raise TwinError(f"the twin's first process did not start:\n{self._last_words(layout)}")
        return pid

    def _last_words(self, layout: Layout, daemon: str = "supervisor") -> str:
        log = layout.logs / f"{daemon}.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join([*lines[-8:], f"whole log: {log}"])

    def _why_unready(self, layout: Layout, name: str) -> str:
        """The last words of the daemon, and of each that it waits for and that does not become ready."""
        states = self.daemons()
        waited_for = [other for other in states if other == name or other in states[name]["waits_for"]]
        failing = [other for other in waited_for if states[other]["state"] not in {"ready", "waiting"}]
        return "\n".join(
            f"{other} is {states[other]['state']}, ended {states[other]['restarts']} times"
            f"{', last with ' + states[other]['last_exit'] if states[other]['last_exit'] else ''}:\n"
            f"{self._last_words(layout, other)}"
            for other in failing or [name]
        )

    def _await_daemon(self, name: str) -> None:
        layout = self.layout

        def is_ready() -> bool:
            if processes.first_process(self.name) is None:
                raise TwinError(f"the twin's first process has ended:\n{self._last_words(layout)}")
            states = self.daemons()
            for other in (name, *states[name]["waits_for"]):
                if states[other]["hopeless"]:
                    raise TwinError(f"{other} ends again and again\n{self._why_unready(layout, other)}")
            return bool(states[name]["state"] == "ready")

        wait_until(f"{name} ready", is_ready, _UP_PATIENCE, lambda: self._why_unready(layout, name))

    def _await_node(self, api: Api) -> None:
        self.say("Kubernetes API ready")
        self._await_daemon("kubelet")
        wait_until(
            "node ready", lambda: node_is_ready(api), _UP_PATIENCE, lambda: self._last_words(self.layout, "kubelet")
        )
        self.say("node ready")

    def _await_images(self, pushed: Future[int]) -> None:
        self.say(f"{pushed.result()} images in the registry")

    def _push_images(self, layer: images.Layer) -> int:
        self._await_daemon("registry")
        return self.in_network(lambda: Registry("127.0.0.1", REGISTRY_PORT).push(layer, images.registry_images(layer)))

    # -- inside -------------------------------------------------------------------------------------------------

    def in_network(self, function: Callable[[], Result]) -> Result:
        """Calls the function in a thread whose sockets are the server's own, for what only the server reaches."""
        return linux.in_network(self._first_process(), function)

    def command(self, argv: Sequence[str], user: str = "root") -> list[str]:
        """The command line, for a process of the machine, that runs argv inside as that user."""
        home = "/root" if user == "root" else f"/home/{user}"
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        variables = [f"PATH={path}", f"HOME={home}", f"USER={user}", f"TERM={os.environ.get('TERM', 'dumb')}"]
        as_user = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]
        # What is started here belongs to the twin's cgroups too: `down` finds it there.
        joined = [str(file) for file in cgroups.joined(self.name)]
        join = 'for left in $(seq "$0"); do echo $$ >"$1" || exit 1; shift; done; exec "$@"'
        # The root, too: where the machine is a chroot, its mount namespace begins further up than the twin.
        namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
        enter = ["nsenter", f"--target={self._first_process()}", *namespaces, "--"]
        inside = ["env", "-i", *variables, "LANG=C.UTF-8", *as_user, *argv]
        return ["sh", "-c", join, str(len(joined)), *joined, *enter, *inside]

    def exec(
        self,
        argv: Sequence[str],
        *,
        user: str = "root",
        text: str | None = None,
        check: bool = True,
        timeout: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command inside and returns what it said; `text` is its input.

        Raises TwinError where it fails (unless check is off) or takes longer than `timeout` seconds, of a machine
        with two idle cores.
        """
        timeout = patience(timeout)
        try:
            done = subprocess.run(
                self.command(argv, user), input=text or "", capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise TwinError(f"in the twin, {' '.join(argv)} has not ended within {timeout:.0f} s") from error
        if check and done.returncode != 0:
            said = (done.stderr + done.stdout).strip()
            raise TwinError(f"in the twin, {' '.join(argv)} ended with {done.returncode}: {said}")
        return done

    def _first_process(self) -> int:
        pid = processes.first_process(self.name)
        if pid is None:
            raise TwinError(f"the twin {self.name} is not up\nbring it up: lab/lab --name {self.name} up")
        return pid

    # -- faults -------------------------------------------------------------------------------------------------

    def pause_process(self, name: str) -> None:
        """Stops a daemon such as "kube-apiserver": it keeps its connections and answers nothing."""
        self._ask(do="pause", name=name)

    def kill_process(self, name: str) -> None:
        """Ends a daemon at once; it stays down until start_process."""
        self._ask(do="kill", name=name)

    def start_process(self, name: str, seconds: float = 60.0) -> None:
        """Starts or resumes a daemon and waits until it is ready, for at most that many seconds."""
        self._ask(do="start", name=name)
        wait_until(
            f"{name} ready",
            lambda: self.daemons()[name]["state"] == "ready",
            seconds,
            lambda: self._why_unready(self.layout, name),
        )

    def _ask(self, **question: str) -> dict[str, dict[str, Any]]:
        try:
            answer = control.ask(self.layout.state, question, patience(_ANSWER_PATIENCE))
        except OSError as error:
            raise TwinError(f"the twin {self.name} does not answer: {error}") from error
        if "error" in answer:
            raise TwinError(f"the twin {self.name}: {answer['error']}")
        found: dict[str, dict[str, Any]] = answer["daemons"]
        return found
