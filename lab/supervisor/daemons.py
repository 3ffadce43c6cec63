"""Daemons in the order of their dependencies, kept running until somebody asks otherwise."""

import os
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from lab.supervisor import probes

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_STEADY_AFTER = 30.0
_HOPELESS_AFTER = 8
"""How often a daemon ends that was never ready, until nobody should wait for it: the pauses alone are 21 s."""


@dataclass
class Daemon:
    """One daemon; times are seconds of the monotonic clock."""

    name: str
    argv: list[str]
    env: dict[str, str]
    after: list[str]
    ready: dict[str, Any]
    pid: int = 0
    wanted: bool = True
    paused: bool = False
    restarts: int = 0
    pause_before_restart: float = _FIRST_PAUSE
    started: float = 0.0
    last_exit: str = ""
    was_ready: bool = False
    is_ready: threading.Event = field(default_factory=threading.Event)

    def describe(self) -> dict[str, Any]:
        state = "ready" if self.is_ready.is_set() else "starting" if self.pid else "waiting"
        if not self.wanted:
            state = "stopped"
        if self.paused:
            state = "paused"
        return {
            "state": state,
            "pid": self.pid,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
            "waits_for": self.after,
            "hopeless": not self.was_ready and self.restarts >= _HOPELESS_AFTER,
        }


class Daemons:
    """All daemons of the server. The methods may be called from any thread."""

    def __init__(self, entries: list[dict[str, Any]], logs: str) -> None:
        self._all = {entry["name"]: Daemon(**entry) for entry in entries}
        self._logs = logs
        self._lock = threading.RLock()

    def start_all(self) -> None:
        for daemon in self._all.values():
            self._begin(daemon)

    def describe(self) -> dict[str, dict[str, Any]]:
        with self._lock:
            return {name: daemon.describe() for name, daemon in self._all.items()}

    def reap_forever(self) -> None:
        """Buries every process that ends in the twin, and starts daemons again that ended unasked."""
        while True:
            try:
                pid, status = os.waitpid(-1, 0)
            except ChildProcessError:
                time.sleep(0.02)
                continue
            with self._lock:
                for daemon in self._all.values():
                    if daemon.pid == pid:
                        self._ended(daemon, os.waitstatus_to_exitcode(status))

    def pause(self, name: str) -> None:
        """Stops the daemon's threads: it stays connected and says nothing, as an overloaded one would."""
        with self._lock:
            daemon = self._running(name)
            os.kill(daemon.pid, signal.SIGSTOP)
            daemon.paused = True

    def resume(self, name: str) -> None:
        with self._lock:
            daemon = self._running(name)
            os.kill(daemon.pid, signal.SIGCONT)
            daemon.paused = False

    def kill(self, name: str) -> None:
        """Ends the daemon at once; it stays down until started."""
        with self._lock:
            daemon = self._running(name)
            daemon.wanted = False
            os.kill(daemon.pid, signal.SIGKILL)
        while daemon.pid:
            time.sleep(0.005)

    def start(self, name: str) -> None:
        """Starts a daemon that was killed, resumes one that was paused, leaves a running one alone."""
        with self._lock:
            daemon = self._named(name)
            if daemon.pid and daemon.paused:
                self.resume(name)
            if daemon.pid or daemon.wanted:
                return
            daemon.wanted = True
        self._begin(daemon)

    def _named(self, name: str) -> Daemon:
        if name not in self._all:
            raise ValueError(f"no daemon is called {name!r}; there are {', '.join(sorted(self._all))}")
        return self._all[name]

    def _running(self, name: str) -> Daemon:
        daemon = self._named(name)
        if not daemon.pid:
            raise ValueError(f"{name} does not run")
        return daemon

    def _begin(self, daemon: Daemon) -> None:
        threading.Thread(target=self._bring_up, args=(daemon,), name=daemon.name, daemon=True).start()

    def _bring_up(self, daemon: Daemon) -> None:
        for other in daemon.after:
            self._all[other].is_ready.wait()
        with self._lock:
            if not daemon.wanted or daemon.pid:
                return
            log = f"{self._logs}/{daemon.name}.log"
            daemon.pid = os.posix_spawn(
                daemon.argv[0],
                daemon.argv,
                daemon.env,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE],  # Python ignores it, and children would inherit that
            )
            daemon.started = time.monotonic()
            pid = daemon.pid
        while daemon.pid == pid:
            if probes.answers(daemon.ready):
                daemon.was_ready = True
                daemon.is_ready.set()
                return
            time.sleep(0.05)

    def _ended(self, daemon: Daemon, exit_code: int) -> None:
        daemon.pid = 0
        daemon.paused = False
        daemon.is_ready.clear()
        daemon.last_exit = f"exit code {exit_code}" if exit_code >= 0 else f"signal {-exit_code}"
        if not daemon.wanted:
            return
        daemon.restarts += 1
        if time.monotonic() - daemon.started > _STEADY_AFTER:
            daemon.pause_before_restart = _FIRST_PAUSE
        timer = threading.Timer(daemon.pause_before_restart, self._bring_up, args=(daemon,))
        timer.daemon = True
        timer.start()
        daemon.pause_before_restart = min(2 * daemon.pause_before_restart, _LONGEST_PAUSE)
