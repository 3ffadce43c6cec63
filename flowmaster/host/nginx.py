"""Reads the server, and writes nginx sites. All access goes through this module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowmaster.host import policy
from flowmaster.host.access import Access
from flowmaster.host.connection import Session, ask
from flowmaster.host.ports import Answer, Place, asked

if TYPE_CHECKING:
    from flowmaster.render.nginx import Check

MAIN = "/etc/nginx/nginx.conf"
"""The file that nginx is started with, unless its command line names another one (`-c`)."""
ENABLED = "/etc/nginx/sites-enabled"
AVAILABLE = "/etc/nginx/sites-available"


@dataclass(frozen=True, slots=True)
class File:
    """A file on the server, with its content where that could be read."""

    path: str
    kind: str
    mode: str = ""
    owner: str = ""
    group: str = ""
    content: str | None = None
    sha256: str | None = None
    target: str | None = None
    changed: datetime | None = None
    """Time of the last change of its content."""
    touched: datetime | None = None
    """When anything of it was changed last: content, mode, owner or name."""
    writer: str = ""
    """Who ran sudo on it when its content was changed last, if the server's log tells."""

    @property
    def manager(self) -> str | None:
        """Who changed it, as far as that is known."""
        if self.writer:
            return f"{self.writer} (sudo)"
        return f"{self.owner} (owner)" if self.owner not in ("", "root") else None


@dataclass(frozen=True, slots=True)
class Process:
    """A process on the server: nginx's master, or whoever listens in its place."""

    pid: int
    name: str
    program: str = ""
    """Its file; ends with ` (deleted)` where that was removed or replaced since the process was started."""
    arguments: Sequence[str] = ()
    inside: bool = False
    """It has another file system than the server: a container's."""
    login: str = ""
    """Who had logged in to start it."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container of the server's Docker."""

    name: str
    id: str
    image: str
    state: str
    health: str
    started: str
    restarts: int
    project: str


@dataclass(frozen=True, slots=True)
class Nginx:
    """nginx itself. `newer` are files that it has not read since they were changed."""

    installed: bool
    running: bool = False
    valid: bool = True
    words: str = ""
    newer: tuple[str, ...] = ()
    since: datetime | None = None
    process: Process | None = None
    """Its master."""
    holders: Mapping[str, Process] = field(default_factory=dict)
    """By port, who listens on it where that is not this nginx."""

    @property
    def taken(self) -> Mapping[str, str]:
        """By port, the name of whoever listens on it where that is not this nginx."""
        return {port: process.name for port, process in self.holders.items()}


@dataclass(frozen=True)
class HostState:
    """The state of the server, from one request."""

    address: str
    hostname: str
    nginx: Nginx
    files: Mapping[str, File]
    containers: Sequence[Container] = ()
    containers_problem: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)
    """By site, why an update does not write it, in words that go on from the path of its entry in sites-enabled."""
    addresses: Sequence[str] = ()
    """The machine's own, IPv4, but for loopback."""
    answers: Sequence[Answer] = ()
    """Who takes connections to the places where declared sites listen, if that was asked."""
    not_outside: str = ""
    """Why these were asked on the server itself alone."""
    configuration: str = MAIN
    """The file with which the configuration begins that is served."""

    def site(self, name: str) -> File | None:
        """The file of an enabled site."""
        return self.files.get(f"{ENABLED}/{name}")

    def disabled(self, name: str) -> File | None:
        """The file of a site that is kept, but not enabled."""
        return None if self.site(name) else self.files.get(f"{AVAILABLE}/{name}")

    @property
    def plane(self) -> Mapping[str, str]:
        """Plane's containers by name, with what changes when one is made anew or started again."""
        return {c.name: f"{c.id[:12]} {c.started}" for c in self.containers if is_plane(c)}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a change. `failing` are locations that did not answer before either."""

    changed: bool
    reloaded: bool
    failing: tuple[str, ...]


def is_plane(container: Container) -> bool:
    """Return whether a container belongs to Plane, which this project never touches."""
    return container.project.startswith("plane") or container.name.startswith("plane")


def read(
    server: Access | Session,
    sites: Sequence[str],
    ports: Sequence[int] = (80,),
    *,
    containers: bool = False,
    places: Sequence[Place] = (),
    recorded: Mapping[str, str] = {},
) -> HostState:
    """Everything that is to be known of the server: one connection, one request. `places` are asked who answers there.

    :param recorded: the beginning of the hash of files as they were recorded, by path.
    :raises flowmaster.host.errors.HostError: where it cannot be read.
    """
    request = {"verb": "read", "sites": list(sites), "ports": list(ports), "containers": containers}
    request["recorded"] = dict(recorded)
    policy.check_request(request)
    if not places:
        return _state(server.address, ask(server, request))
    facts, answers, why = asked(server, request, places)
    return replace(_state(server.address, facts), answers=answers, not_outside=why)


def write_site(
    server: Access | Session,
    name: str,
    content: str,
    checks: Sequence[Check | Mapping[str, Any]] = (),
    **how: Any,
) -> Outcome:
    """Write a site and load it into nginx, or roll back.

    `expected` among the further arguments is the hash of the file as it was looked at, or None for no file.

    :raises flowmaster.host.errors.HostError: in nginx's own words; the old configuration is then in place and served.
    """
    asked = [dict(check) if isinstance(check, Mapping) else asdict(check) for check in checks]
    return _change(server, {"name": name, "content": content, "checks": asked, **how})


def check(access: Access, checks: Sequence[Check], patience: float = 15.0) -> list[str]:
    """What is wrong with nginx, a line each: its own test, whether it runs what is in its files, every location.

    :raises flowmaster.host.errors.HostError: where it cannot be asked.
    """
    request = {"verb": "check", "checks": [asdict(entry) for entry in checks], "patience": patience}
    policy.check_request(request)
    answer = ask(access, request)
    lines = [] if answer["valid"] else [f"nginx -t: {answer['words']}"]
    if not answer["running"]:
        lines.append("nginx does not run")
    lines += [f"nginx has not read {path} since it was changed" for path in answer["newer"]]
    return lines + [f"location {entry['path']} {entry['words']}" for entry in answer["answers"] if not entry["ok"]]


def remove_site(access: Access, name: str) -> Outcome:
    """Remove a site; a backup stays on the server.

    :raises flowmaster.host.errors.HostError: where nginx would not run without it; everything is then as it was.
    """
    return _change(access, {"name": name, "content": None})


def _change(server: Access | Session, request: Mapping[str, Any]) -> Outcome:
    whole = {"verb": "change", **request}
    policy.check_request(whole)
    answer = ask(server, whole)
    failing = tuple(f"{entry['path']} {entry['words']}" for entry in answer["failing"])
    return Outcome(answer["changed"], answer["reloaded"], failing)


def _state(address: str, facts: Mapping[str, Any]) -> HostState:
    about, containers = facts["nginx"], facts.get("containers", [])
    test = about.get("test", {"ok": True, "words": ""})
    nginx = Nginx(
        installed=about["installed"],
        running=about.get("pid") is not None,
        valid=test["ok"],
        words=test["words"],
        newer=tuple(about.get("newer", ())),
        since=_time(about.get("since")),
        process=Process(**about["process"]) if "process" in about else None,
        holders={port: Process(**entry) for port, entry in about.get("holders", {}).items()},
    )
    problem = containers if isinstance(containers, str) else ""
    return HostState(
        address=address,
        hostname=facts["hostname"],
        nginx=nginx,
        files={path: _file(path, entry, facts.get("writers", {})) for path, entry in facts["files"].items()},
        configuration=facts.get("configuration", MAIN),
        containers=() if problem else tuple(Container(**entry) for entry in containers),
        containers_problem=problem,
        addresses=facts.get("addresses", ()),
        problems=facts.get("problems", {}),
    )


def _file(path: str, facts: Mapping[str, Any], writers: Mapping[str, str]) -> File:
    return File(
        path=path,
        kind=facts["kind"],
        mode=facts.get("mode", ""),
        owner=facts.get("owner", ""),
        group=facts.get("group", ""),
        content=facts.get("content"),
        sha256=facts.get("sha256"),
        target=facts.get("target"),
        changed=_time(facts.get("mtime")),
        touched=_time(facts.get("ctime")),
        writer=writers.get(path, ""),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
