"""Whether every service answers: each is asked once, through the API server, and those behind nginx through it too."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol
from xml.etree import ElementTree

from config.settings import Settings
from flowmaster.cluster.errors import ApiError
from flowmaster.render import nginx

_AT_ONCE = 8
_GATEWAY = frozenset({502, 503, 504})
ROUTE = "nginx"


class Asker(Protocol):
    """What is needed of a connection."""

    def get(self, path: str) -> object:
        """A decoded answer; raises ApiError."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking one service in one way. `problem` is empty where it answered; skipped says why not asked."""

    service: str
    way: str
    seconds: float
    problem: str = ""
    skipped: str = ""
    when: datetime | None = None

    @property
    def ok(self) -> bool:
        """Whether it answered."""
        return not self.problem and not self.skipped


def ask_all(settings: Settings, api: Asker, address: str) -> list[Answer]:
    """Every service once, and every location of nginx once."""
    tasks: list[Callable[[], Answer]] = [partial(_ask_service, settings, api, name) for name in settings.services]
    proxy = settings.stack.reverse_proxy
    if proxy is not None:
        for site in proxy.sites.values():
            for check, location in nginx.located_checks(site):
                tasks.append(partial(_ask_nginx, location.service or check.path, check, address))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [done.result() for done in [pool.submit(task) for task in tasks]]


def _ask_service(settings: Settings, api: Asker, name: str) -> Answer:
    entry = settings.services[name]
    if settings.release(name).replicas == 0:
        return Answer(name, "API server", 0.0, skipped="at 0 replicas")
    if entry.port is None:
        return Answer(name, "API server", 0.0, skipped="nobody knows its port")
    readiness = entry.probes.readiness if entry.probes else None
    path = (readiness.http if readiness else None) or "/"
    started = time.perf_counter()
    problem = ""
    try:
        api.get(f"/api/v1/namespaces/{settings.namespace}/services/{name}:{entry.port}/proxy{path}")
    except ApiError as err:
        # any status but these comes from the service itself: it answers, if only that there is no such page
        if err.status is None or err.status >= 500:
            problem = err.found
    return Answer(name, "API server", time.perf_counter() - started, problem, when=datetime.now(UTC))


def _ask_nginx(service: str, check: nginx.Check, address: str) -> Answer:
    way = f"{ROUTE} {check.path}"
    if check.tls:
        return Answer(service, way, 0.0, skipped="served by TLS; asked on the server itself at each update")
    started, problem = time.perf_counter(), ""
    connection = http.client.HTTPConnection(address, check.port, timeout=10)
    try:
        connection.request("GET", check.path, headers={"Host": check.host})
        status = connection.getresponse().status
        problem = f"nginx answers {status}" if status in _GATEWAY else ""
    except (OSError, http.client.HTTPException) as err:
        problem = f"{address} port {check.port}: {err or type(err).__name__}"
    finally:
        connection.close()
    return Answer(service, way, time.perf_counter() - started, problem, when=datetime.now(UTC))


def junit(answers: Sequence[Answer], stack: str) -> str:
    """The answers as JUnit XML, a test case each."""
    suite = ElementTree.Element(
        "testsuite",
        name=f"flowmaster smoke {stack}",
        tests=str(len(answers)),
        failures=str(sum(bool(a.problem) for a in answers)),
        skipped=str(sum(bool(a.skipped) for a in answers)),
        time=f"{sum(a.seconds for a in answers):.3f}",
    )
    for answer in answers:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"smoke.{stack}", name=f"{answer.service} through {answer.way}",
            time=f"{answer.seconds:.3f}",
        )  # fmt: skip
        if answer.problem:
            ElementTree.SubElement(case, "failure", message=answer.problem)
        if answer.skipped:
            ElementTree.SubElement(case, "skipped", message=answer.skipped)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def by_service(answers: Iterable[Answer]) -> dict[str, tuple[datetime, bool]]:
    """When each service was last asked, and whether it answered in every way."""
    found: dict[str, tuple[datetime, bool]] = {}
    for answer in answers:
        if answer.when is not None:
            before = found.get(answer.service, (answer.when, True))
            found[answer.service] = (max(answer.when, before[0]), before[1] and answer.ok)
    return found
