"""Smoke test: requests every service once through the API server, and every location of nginx."""

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
from flowmaster.drift import ports
from flowmaster.drift.certificates import days_left
from flowmaster.render import nginx

_PARALLEL_REQUESTS = 8
_GATEWAY_ERRORS = frozenset({502, 503, 504})
ROUTE = "nginx"


class Client(Protocol):
    """The methods used of a connection."""

    def get(self, path: str) -> object:
        """Get a path; raises ApiError."""


@dataclass(frozen=True, slots=True)
class Result:
    """Result of one request. `problem` is empty if the service answered; `skipped` is why it was not requested.

    `detail` is what is said of an answer other than how long it took.
    """

    service: str
    way: str
    seconds: float
    problem: str = ""
    skipped: str = ""
    when: datetime | None = None
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether the service answered."""
        return not self.problem and not self.skipped


def check_all(settings: Settings, api: Client, address: str) -> list[Result]:
    """Check every service, and every location of nginx."""
    tasks: list[Callable[[], Result]] = [partial(_check_service, settings, api, name) for name in settings.services]
    proxy = settings.stack.reverse_proxy
    if proxy is not None:
        for site in proxy.sites.values():
            for check, services in nginx.location_checks(site):
                tasks.append(partial(_check_nginx, next(iter(services), check.path), check, address))
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        return [done.result() for done in [pool.submit(task) for task in tasks]]


def _check_service(settings: Settings, api: Client, name: str) -> Result:
    entry = settings.services[name]
    if settings.release(name).replicas == 0:
        return Result(name, "API server", 0.0, skipped="at 0 replicas")
    if entry.port is None:
        return Result(name, "API server", 0.0, skipped="its port is unknown")
    readiness = entry.probes.readiness if entry.probes else None
    path = (readiness.http if readiness else None) or "/"
    started = time.perf_counter()
    problem = ""
    try:
        api.get(f"/api/v1/namespaces/{settings.namespace}/services/{name}:{entry.port}/proxy{path}")
    except ApiError as err:
        # lower statuses come from the service itself: it answers, even if the page does not exist
        if err.status is None or err.status >= 500:
            problem = err.found
    return Result(name, "API server", time.perf_counter() - started, problem, when=datetime.now(UTC))


def _check_nginx(service: str, check: nginx.Check, address: str) -> Result:
    way = f"{ROUTE} {check.path}"
    if check.tls:
        return Result(service, way, 0.0, skipped="uses TLS; checked on the server at each update")
    started, problem = time.perf_counter(), ""
    connection = http.client.HTTPConnection(address, check.port, timeout=10)
    try:
        connection.request("GET", check.path, headers={"Host": check.host})
        status = connection.getresponse().status
        problem = f"nginx answers {status}" if status in _GATEWAY_ERRORS else ""
    except (OSError, http.client.HTTPException) as err:
        problem = f"{address} port {check.port}: {err or type(err).__name__}"
    finally:
        connection.close()
    return Result(service, way, time.perf_counter() - started, problem, when=datetime.now(UTC))


def of_ports(asked: ports.Ports) -> list[Result]:
    """Return the ports of the host that nginx should answer on, and the certificates that it presents."""
    problems = {finding.path.removesuffix(".outside"): str(finding.live) for finding in ports.findings(asked)}
    found = []
    for answer in asked.host.answers:
        path = ports.path(answer)
        detail = "nginx answers" + ("" if answer.outside else f", asked on {asked.host.hostname} itself")
        problem = problems.get(path, "" if answer.well else "nginx does not answer")
        found.append(Result(ROUTE, f"port {path[6:-1]}", 0.0, problem, detail=detail))
    for name, words, well in days_left(asked.certificates, asked.now):
        problem = "" if well else f"the certificate {words}"
        found.append(Result(ROUTE, f"certificate {name}", 0.0, problem, detail=words))
    return found


def junit(answers: Sequence[Result], stack: str) -> str:
    """Render the results as JUnit XML, one test case each."""
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


def by_service(answers: Iterable[Result]) -> dict[str, tuple[datetime, bool]]:
    """Return, by service, the time of the last check, and whether all checks succeeded."""
    found: dict[str, tuple[datetime, bool]] = {}
    for answer in answers:
        if answer.when is not None:
            before = found.get(answer.service, (answer.when, True))
            found[answer.service] = (max(answer.when, before[0]), before[1] and answer.ok)
    return found
