"""SDX on a twin: read into a stack as `flowmaster compose` reads it, and moved by the operator from phase to phase."""

from __future__ import annotations

import http.client
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from flowmaster.host import docker
from lab.twin import Twin
from lab.twin.patience import patience
from tests.lab.operate import Operator
from tests.lab.server import Server

SDX, FOLDER = "sdx", "/opt/sdx"
FEW = ("api-gateway", "frontend", "scheduling", "websocket-gateway")
PORTS = (8010, 3010, 8011)


def only_a_few(settings: dict[str, Any]) -> None:
    """Of a stack or a catalogue only some services: the rest has nothing to do with SDX."""
    services = settings["services"]
    for name in set(services) - set(FEW):
        del services[name]


def operator_of(twin: Twin) -> Operator:
    """Somebody with a stack of a few services, at a server where SDX runs in docker."""
    operator = Operator.of(twin)
    operator.edit_stack(only_a_few)
    operator.edit_catalogue(only_a_few)
    return operator


def read(operator: Operator) -> None:
    """Write down what runs."""
    operator.run("flowmaster", "compose", SDX, "--folder", FOLDER)


def phase(operator: Operator, word: str, **more: Any) -> None:
    """Say where SDX is to be."""

    def change(settings: dict[str, Any]) -> None:
        settings["compose"][SDX].update(phase=str(word), **more)

    operator.edit_stack(change)


def journal(server: Server) -> dict[str, Any]:
    """The journal of SDX on the server."""
    found: dict[str, Any] = docker.read_state(server.access, SDX, FOLDER)["journal"]
    return found


def plane(server: Server) -> str:
    """Plane's containers by id and start."""
    shown = "docker ps --all --filter name=plane --format '{{.Names}} {{.ID}}' | sort"
    started = (
        "docker inspect --format '{{.Name}} {{.State.StartedAt}}' $(docker ps --all --quiet --filter name=plane) | sort"
    )
    return server.sh(f"{shown}; {started}; find /opt/plane* -printf '%p %s %T@\\n' | sort")


class Users:
    """People who read and write through SDX's old addresses all the time, each request on a connection of its own.

    A write that was acknowledged must be read from then on, whoever answers.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.kept: dict[str, int] = {}
        """By key, the number that was acknowledged last."""
        self.writes = 0
        """Acknowledged writes."""
        self.wrong: list[str] = []
        self.refused_reads: list[str] = []
        self.refusals: list[tuple[float, str]] = []
        """Writes that were told to come again, or that nobody took: when, and how."""
        self.reads = 0
        self._taken: list[float] = []
        self._stop = threading.Event()
        works: list[Callable[[], None]] = [
            partial(self._write, itertools.count(1)),
            partial(self._write_big, itertools.count(1)),
            self._read,
            self._read_others,
        ]
        self._threads = [threading.Thread(target=self._go_on, args=(work,), daemon=True) for work in works]

    def __enter__(self) -> Users:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(patience(20))

    def settle(self) -> None:
        """Let them go on for a moment, after whatever was done."""
        until = time.monotonic() + patience(15)
        known = self.writes
        while self.writes < known + 10 and time.monotonic() < until:
            time.sleep(0.05)

    def seconds_refused(self) -> float:
        """From the first refused write to the last one, the longest such time without an acknowledged one between."""
        longest, begin, last = 0.0, None, 0.0
        for when, words in sorted([*self.refusals, *((when, "") for when in self._taken)]):
            if words:
                begin = when if begin is None else begin
                last = when
                longest = max(longest, last - begin)
            else:
                begin = None
        return longest

    def missing(self) -> list[str]:
        """Acknowledged writes that cannot be read now."""
        return [key for key, number in self.kept.items() if not _at_least(number, self._get(key))]

    def _go_on(self, work: Callable[[], None]) -> None:
        while not self._stop.is_set():
            work()
            time.sleep(0.05)

    def _write(self, numbers: Iterator[int], size: int = 20, keys: int = 100) -> None:
        """One more number into the next of some keys that nobody else writes to."""
        number = next(numbers)
        key = f"k{size}-{number % keys}"
        began = time.monotonic()
        try:
            status, answer, headers = self._ask("PUT", 8010, f"/kv/{key}", f"{number:0{size}}")
        except OSError as err:
            self.refusals.append((began, str(err) or type(err).__name__))
            return
        if status == 200:
            self.kept[key] = number
            self.writes += 1
            self._taken.append(began)
        elif status in (502, 504) or (status == 503 and headers.get("Retry-After")):
            self.refusals.append((began, str(status)))
        else:
            self.wrong.append(f"PUT {key}: {status} {answer[:100]}")

    def _write_big(self, numbers: Iterator[int]) -> None:
        self._write(numbers, 200_000, 10)
        time.sleep(0.5)

    def _read(self) -> None:
        if not self.kept:
            return
        key = random.choice(list(self.kept))  # noqa: S311
        self._check(f"GET {key}", lambda: self._get(key), partial(_at_least, self.kept[key]))

    def _read_others(self) -> None:
        for port, service in ((3010, "sdx-frontend"), (8011, "sdx-mcp-server")):
            self._check(
                f"GET :{port}/",
                partial(self._page, port),
                partial(_said_by, service),
            )
        time.sleep(0.05)

    def _check(self, what: str, ask: Callable[[], tuple[int, str]], good: Callable[[tuple[int, str]], bool]) -> None:
        self.reads += 1
        try:
            got = ask()
        except OSError as err:
            self.refused_reads.append(f"{what}: {err}")
            return
        if got[0] in (502, 503, 504):
            self.refused_reads.append(f"{what}: {got[0]}")
        elif not good(got):
            self.wrong.append(f"{what}: {got[0]} {got[1][:100]}")

    def _page(self, port: int) -> tuple[int, str]:
        return self._ask("GET", port, "/")[:2]

    def _get(self, key: str) -> tuple[int, str]:
        return self._ask("GET", 8010, f"/kv/{key}")[:2]

    def _ask(self, method: str, port: int, path: str, body: str | None = None) -> tuple[int, str, dict[str, str]]:
        client = http.client.HTTPConnection(self.address, port, timeout=patience(20))
        try:
            client.request(method, path, body)
            answer = client.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())
        except http.client.HTTPException as err:
            raise OSError(f"{type(err).__name__}: {err}") from err
        finally:
            client.close()


def _at_least(number: int, got: tuple[int, str]) -> bool:
    """Whether what was read is what was acknowledged, or written since."""
    return got[0] == 200 and got[1].isdigit() and int(got[1].lstrip("0") or "0") >= number


def _said_by(service: str, got: tuple[int, str]) -> bool:
    return got[0] == 200 and f'"{service}"' in got[1]
