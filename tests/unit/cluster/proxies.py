"""Proxies on loopback, HTTP and SOCKS 5, that find every server on 127.0.0.1 and note what they are asked."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any


@dataclass
class ProxyServer:
    """A running proxy."""

    port: int
    asked: list[tuple[str, int]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    """`user:password` of each request that had one."""
    refuse: bool = False


@contextmanager
def proxy(kind: str) -> Iterator[ProxyServer]:
    """A proxy, `http` or `socks5`, for as long as the block runs."""
    server = _Server(("127.0.0.1", 0), {"http": _Http, "socks5": _Socks}[kind])
    server.state = ProxyServer(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    state: ProxyServer


class _Handler(BaseRequestHandler):
    request: socket.socket

    @property
    def state(self) -> ProxyServer:
        server: Any = self.server
        state: ProxyServer = server.state
        return state

    def relay(self, port: int) -> None:
        """Copy bytes both ways until both have ended."""
        with socket.create_connection(("127.0.0.1", port), 5) as far:
            back = threading.Thread(target=_copy, args=(far, self.request), daemon=True)
            back.start()
            _copy(self.request, far)
            back.join(5)


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


class _Http(_Handler):
    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.request.recv(1)
        first, *headers = head.decode().split("\r\n")
        host, _, port = first.split()[1].rpartition(":")
        self.state.asked.append((host, int(port)))
        for line in headers:
            name, _, value = line.partition(": ")
            if name.lower() == "proxy-authorization":
                self.state.logins.append(base64.b64decode(value.removeprefix("Basic ")).decode())
        if self.state.refuse:
            self.request.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        self.relay(int(port))


class _Socks(_Handler):
    def handle(self) -> None:
        read = self.request.recv
        methods = read(read(2)[1])
        if 2 in methods:
            self.request.sendall(b"\x05\x02")
            user = read(read(2)[1])
            password = read(read(1)[0])
            self.state.logins.append(f"{user.decode()}:{password.decode()}")
            self.request.sendall(b"\x01\x00")
        else:
            self.request.sendall(b"\x05\x00")
        kind = read(4)[3]
        host = read(read(1)[0]).decode() if kind == 3 else socket.inet_ntoa(read(4))
        port = int.from_bytes(read(2), "big")
        self.state.asked.append((host, port))
        code = b"\x02" if self.state.refuse else b"\x00"
        self.request.sendall(b"\x05" + code + b"\x00\x01\x7f\x00\x00\x01\x00\x00")
        if not self.state.refuse:
            self.relay(port)
