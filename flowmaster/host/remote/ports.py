"""Asks ports of the server whether this nginx takes connections: opens some, sends nothing, and looks who holds them.

At its usual levels nginx logs neither a connection that ends without a byte nor a TLS handshake without a request.
"""

from __future__ import annotations

import base64
import errno
import os
import select
import socket
import struct
import time
from typing import Tuple  # noqa: UP035  the server's Python may be an older one

from flowmaster.host.remote.common import Json, master, workers

CONNECT_SECONDS = 2.0
"""How long a connection to an address of the server itself may take."""
ACCEPT_SECONDS = 1.0
"""How long one may wait in the kernel until a worker of nginx takes it."""
HANDSHAKE_SECONDS = 3.0
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
SYN_RECEIVED, LISTENING = "03", "0A"
_MAPPED = bytes(10) + b"\xff\xff"
_FAILURES = {errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "timeout"}
Row = Tuple[str, str, int, str, int, int]  # noqa: UP006
"""State of a socket, its address and port, its peer's, and its inode, which is 0 while nobody has taken it."""


def ask(asked: list[Json], address: str) -> list[Json]:
    """Who takes connections to these places: those of the server itself (`inside`), open ones of others (`outside`).

    Each entry has an `address` as nginx listens on it, a `port`, `names` to be asked for by TLS, and, if somebody has
    connected from outside, the `peer`. Answers: `nginx`, `other` (another process here), `elsewhere` (led away before
    any process here), `waiting` (in the kernel), `refused`, `timeout`, `unreachable`, `unknown`.

    :param address: the server's own, for listening places without one.
    """
    probes = [_Probe(entry, address) for entry in asked]
    try:
        _connect(probes)
        try:
            _look(probes)
        except OSError as err:
            for probe in probes:
                probe.inside, probe.outside = "unknown", "unknown" if probe.peer else ""
                probe.words = f"{err.filename}: {err.strerror}"
    finally:
        for probe in probes:
            if probe.socket is not None:
                probe.socket.close()
    return [probe.answer() for probe in probes]


class _Probe:
    def __init__(self, entry: Json, address: str) -> None:
        self.port, self.names = entry["port"], entry.get("names", [])
        self.peer: tuple[str, int] | None = tuple(entry["peer"]) if entry.get("peer") else None
        self.place = place(entry["address"], address)
        self.inside, self.outside, self.words = "waiting", "waiting" if self.peer else "", ""
        self.socket: socket.socket | None = None

    def begin(self) -> None:
        try:
            family, _, _, _, where = socket.getaddrinfo(self.place, self.port, type=socket.SOCK_STREAM)[0]
            self.socket = socket.socket(family, socket.SOCK_STREAM)
            self.socket.setblocking(False)
            self.failed(self.socket.connect_ex(where))
        except OSError as err:
            self.inside, self.words = "unknown", str(err)

    def failed(self, code: int) -> None:
        if code not in (0, errno.EINPROGRESS):
            self.inside, self.words = _FAILURES.get(code, "unreachable"), os.strerror(code)

    def answer(self) -> Json:
        found: Json = {"at": self.place, "inside": self.inside, "outside": self.outside, "words": self.words}
        if self.inside == "nginx" and self.names:
            found["certificates"] = [_certificate(self.place, self.port, name) for name in self.names]
        return found


def own_address(reached: str, addresses: list[str]) -> str:
    """The server's own address: that by which it is reached, unless a router has that one; else that of its way out."""
    if reached in addresses:
        return reached
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            # nothing is sent: the kernel only chooses an address
            way.connect(("192.0.2.1", 9))
            return str(way.getsockname()[0])
        except OSError:
            return addresses[0] if addresses else "127.0.0.1"


def place(listening: str, address: str) -> str:
    """The address to connect to for one that nginx listens on, as it writes it."""
    if listening == "":
        return address
    if listening == "[::]":
        return _own_ipv6()
    return listening.strip("[]")


def _own_ipv6() -> str:
    try:
        with open("/proc/net/if_inet6") as stream:
            lines = [line.split() for line in stream]
    except OSError:
        return "::1"
    return next((socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line[0])) for line in lines if line[3] == "00"), "::1")


def _connect(probes: list[_Probe]) -> None:
    """Connect to all at once, and wait for those that do not answer at once."""
    poll, pending = select.poll(), {}
    for probe in probes:
        probe.begin()
        if probe.inside == "waiting" and probe.socket is not None:
            poll.register(probe.socket, select.POLLOUT)
            pending[probe.socket.fileno()] = probe
    # names may have taken their time
    deadline = time.monotonic() + CONNECT_SECONDS
    while pending:
        ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
        if not ready:
            break
        for descriptor, _ in ready:
            poll.unregister(descriptor)
            probe = pending.pop(descriptor)
            if probe.socket is not None:
                probe.failed(probe.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    for probe in pending.values():
        probe.inside = "timeout"


def _look(probes: list[_Probe]) -> None:
    """See who holds the connections, for as long as one of them may still be taken.

    :raises OSError: where the kernel does not tell.
    """
    deadline, ports = time.monotonic() + ACCEPT_SECONDS, {probe.port for probe in probes}
    while True:
        rows = table(ports)
        own = held(master(), {row[5] for row in rows})
        for probe in probes:
            if probe.inside in ("waiting", "elsewhere") and probe.socket is not None:
                probe.inside = holder(rows, own, probe.port, probe.socket.getsockname()[:2])
            if probe.peer is not None:
                probe.outside = holder(rows, own, probe.port, probe.peer)
        late = any({"waiting", "elsewhere"} & {probe.inside, probe.outside} for probe in probes)
        if not late or time.monotonic() > deadline:
            return
        time.sleep(0.02)


def table(ports: set[int] | None = None) -> list[Row]:
    """The TCP sockets at these ports, or all.

    :raises OSError: where the kernel does not tell.
    """
    wanted = None if ports is None else {f"{port:04X}" for port in ports}
    found: list[Row] = []
    for path in TABLES:
        if path == TABLES[1] and not os.path.exists(path):
            continue
        with open(path) as stream:
            next(stream, "")
            for line in stream:
                words = line.split()
                if wanted is None or words[1].rpartition(":")[2] in wanted:
                    found.append((words[3], *_end(words[1]), *_end(words[2]), int(words[9])))
    return found


def _end(text: str) -> tuple[str, int]:
    """Address and port as the kernel writes them: words of four bytes, each as the machine keeps a number."""
    digits, _, port = text.partition(":")
    raw = b"".join(struct.pack("=I", int(digits[at : at + 8], 16)) for at in range(0, len(digits), 8))
    raw = raw[12:] if raw[:12] == _MAPPED else raw
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw), int(port, 16)


def held(pid: int | None, inodes: set[int]) -> set[int]:
    """Those of the sockets that nginx holds: its master, or a process that this has made.

    :raises OSError: where it may not be seen.
    """
    if pid is None:
        return set()
    return set().union(*(sockets(process) & inodes for process in (pid, *workers(pid))))


def sockets(pid: int) -> set[int]:
    """The inodes of a process's sockets; none of one that has ended.

    :raises OSError: where they may not be seen.
    """
    found, folder = set(), f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            try:
                target = os.readlink(f"{folder}/{name}")
            except FileNotFoundError:
                continue
            if target.startswith("socket:["):
                found.add(int(target[8:-1]))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def holder(rows: list[Row], own: set[int], port: int, peer: tuple[str, int]) -> str:
    """Who holds the connection that a peer has opened to a port. Pure."""
    for state, _, local, address, peer_port, inode in rows:
        if (local, address, peer_port) == (port, *peer):
            if inode:
                return "nginx" if inode in own else "other"
            # a listening socket may wait for the first byte (`deferred`): then it says who will take it
            taker = [row[5] in own for row in rows if row[0] == LISTENING and row[2] == port]
            return "nginx" if state == SYN_RECEIVED and taker and all(taker) else "waiting"
    return "elsewhere"


def _certificate(address: str, port: int, name: str) -> Json:
    """The certificate that nginx presents to somebody who asks for a name, or for none: in DER, as base64."""
    try:
        import ssl
    except ImportError as err:
        return {"name": name, "unknown": f"the server's Python: {err}"}
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # whether it is good is judged by who asked
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection((address, port), timeout=HANDSHAKE_SECONDS)
        with plain, context.wrap_socket(plain, server_hostname=name or None) as secured:
            content = secured.getpeercert(True) or b""
    except (OSError, ValueError) as err:
        return {"name": name, "problem": str(err) or type(err).__name__}
    return {"name": name, "der": base64.b64encode(content).decode()}
