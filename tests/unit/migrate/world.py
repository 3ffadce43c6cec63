"""A server and a cluster that are a few variables, with somebody who writes and reads after everything that happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from config.compose import Phase
from config.errors import UserError
from flowmaster.compose.transfer import DataVolume, PublishedPort, Transfer

PORT, BESIDE = 8010, 18010
MOVED = Transfer(
    project="sdx",
    folder="/opt/sdx",
    ports=(PublishedPort(port=PORT, service="backend", target=8010),),
    data=(DataVolume(name="data", docker="/docker", cluster="/cluster", services=("backend",), read_only=False),),
    objects={"backend": "sdx-backend"},
    images={"backend": {"id": "sha256:1", "name": "localhost:30500/sdx:1", "digest": "sha256:2"}},
    checks={},
    files={"/opt/sdx/compose.yaml": "abc"},
    bytes=1000,
)


class Killed(BaseException):
    """The program is gone, from one moment to the next."""


@dataclass
class World:
    """What there is, and what people have been promised."""

    docker_runs: bool = True
    containers: bool = True
    restart: bool = True
    pods: int = 0
    data: dict[str, set[int]] = field(default_factory=lambda: {"/docker": set(), "/cluster": set()})
    incoming: dict[str, set[int]] = field(default_factory=dict)
    rules: bool = False
    site: str = ""
    journal: dict[str, Any] = field(default_factory=lambda: {"phase": "docker", "move": None})
    noted: dict[str, Any] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)
    number: int = 0
    refused_writes: int = 0
    refused_reads: list[str] = field(default_factory=list)
    disturb: Callable[[str], None] = lambda _: None
    """Called before and after each thing that is done, with what it is."""
    flushes: int = 0
    """How often docker still writes something when it is stopped."""
    late: set[int] = field(default_factory=set)
    """What it then wrote: nobody was told yet, but it is to be there in the end."""
    foreign: bool = False

    # -- what people notice

    def people(self) -> None:
        """Somebody reads everything that was acknowledged, and writes one thing more."""
        side = self._reached()
        if side is None:
            self.refused_reads.append(f"nobody answers: {self}")
            self.refused_writes += 1
            return
        there = self.data[f"/{side}"]
        assert self.acknowledged <= there, f"lost: {self.acknowledged - there}"
        if self._through_nginx() and "return 503" in self.site:
            self.refused_writes += 1
            return
        self.number += 1
        there.add(self.number)
        self.acknowledged.add(self.number)

    def _through_nginx(self) -> bool:
        if self.rules:
            return True
        return f"listen {PORT};" in self.site

    def _reached(self) -> str | None:
        if self._through_nginx():
            if self.rules and f"listen {BESIDE};" not in self.site:
                return None
            side = "docker" if "127.0.0.2" in self.site else "cluster"
        else:
            side = "docker"
        runs = self.docker_runs if side == "docker" else self.pods > 0
        return side if runs else None

    def settled(self, phase: Phase) -> None:
        """Everything is as the phase wants it."""
        assert (self.journal["phase"], self.journal["move"]) == (phase, None)
        serves = phase in (Phase.DOCKER, Phase.SHADOW)
        assert self.docker_runs == serves
        assert self.restart == serves
        assert self.rules == (phase is Phase.SHADOW)
        assert self.containers == (phase is not Phase.RETIRED)
        assert "return 503" not in self.site
        assert self.late <= self.data["/docker" if serves else "/cluster"]
        self.people()

    # -- what is done

    def acquire(self, seconds: float) -> dict[str, Any]:
        self.noted = {}
        return dict(self.journal)

    def note_next(self, **fields: Any) -> None:
        self.noted.update(fields)

    def write_journal(self, **fields: Any) -> None:
        self._do("note", lambda: self.journal.update(fields))

    def request(self, do: str, **more: Any) -> Any:
        return self._do(do, lambda: getattr(self, f"_{do}")(**more))

    def write_site(self, name: str, content: str, checks: Any = (), patience: float = 0) -> None:
        def write() -> None:
            if f"listen {PORT};" in content and self.docker_runs:
                raise UserError("bind() to 0.0.0.0:8010 failed", "", "")
            self.site = content

        self._do("site", write)

    def _do(self, what: str, action: Callable[[], Any]) -> Any:
        self.disturb(f"before {what}")
        self.journal.update(self.noted)
        self.noted = {}
        answer = action()
        self.people()
        self.disturb(f"after {what}")
        return answer

    def _journal(self, what: str) -> dict[str, Any]:
        return dict(self.journal)

    def _state(self) -> dict[str, Any]:
        entry = {"service": "backend", "name": "sdx-backend", "image": "sha256:1"}
        entry["state"] = "running" if self.docker_runs else "exited"
        entry["restart"] = "always" if self.restart else "no"
        other = {"service": "other", "name": "sdx-other", "image": "x", "state": "running", "restart": "no"}
        foreign = [other] if self.foreign else []
        return {
            "problem": "",
            "containers": [entry, *foreign] if self.containers else foreign,
            "files": {"/opt/sdx/compose.yaml": "abc"},
            "rules": {"ports": [], "hooks": ["PREROUTING"] if self.rules else []},
        }

    def _smoke(self, checks: Any) -> dict[str, Any]:
        runs = {"127.0.0.1": self.docker_runs, "10.43.0.1": self.pods > 0}
        return {"answers": [{**c, "words": "" if runs[c["address"]] else "does not answer"} for c in checks]}

    def _room(self, volumes: Any) -> None:
        return

    def _copy(self, volumes: Any, prove: bool = False) -> dict[str, Any]:
        found = {}
        for volume in volumes:
            self.incoming[volume["target"]] = set(self.data[volume["source"]])
            sha = repr(sorted(self.incoming[volume["target"]]))
            found[volume["name"]] = {"copied": 1, "copiedBytes": 1, "bytes": 1, "files": 1, "sha256": sha}
        return {"volumes": found}

    def _swap(self, volumes: Any, keep: int) -> None:
        for volume in volumes:
            target = volume["target"]
            assert not (self.pods if target == "/cluster" else self.docker_runs), "somebody runs on it"
            if target in self.incoming:
                self.data[target] = self.incoming.pop(target)

    def _compare(self, volumes: Any) -> dict[str, Any]:
        return {"changed": [v["name"] for v in volumes if repr(sorted(self.data[v["source"]])) != v["sha256"]]}

    def _start(self, services: Any, patience: float = 60) -> None:
        if not self.containers:
            raise UserError("there is no container", "", "")
        if f"listen {PORT};" in self.site and not self.docker_runs:
            raise UserError("port is already allocated", "", "")
        self.docker_runs = self.restart = True

    def _stop(self) -> None:
        if self.docker_runs and self.flushes:
            self.flushes -= 1
            self.number += 1
            self.data["/docker"].add(self.number)
            self.late.add(self.number)
        self.docker_runs = self.restart = False

    def _create(self) -> None:
        self.containers, self.restart = True, False

    def _remove(self) -> None:
        assert not self.docker_runs
        self.containers = False

    def _archive(self, volumes: Any) -> dict[str, Any]:
        return {"backup": "x.tar", "bytes": 1}

    def _redirect(self, ports: Any) -> None:
        self.rules = bool(ports)

    def _drained(self, addresses: Any) -> None:
        return

    # -- the cluster

    def addresses(self, objects: Mapping[str, str]) -> dict[str, str]:
        return dict.fromkeys(objects, "10.43.0.1")

    def scale(self, names: Iterable[str], replicas: int) -> None:
        if list(names):
            self._do("scale", lambda: setattr(self, "pods", replicas))

    def ready(self, names: Iterable[str], most: float | None = None) -> None:
        if not self.pods:
            raise UserError("Deployment/sdx-backend does not run", "", "")

    def heal(self, phase: Phase) -> None:
        """What Pulumi does before it comes to the move: pods as declared."""
        self.pods = 0 if phase is Phase.DOCKER and self.journal["phase"] == "docker" else 1
