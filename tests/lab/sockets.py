"""A WebSocket that stays open."""

import base64
import os
import socket

from lab.twin.patience import patience


class Socket:
    """A connection to an echo: what is sent comes back."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self._connection = socket.create_connection((host, port), timeout=patience(10))
        self._stream = self._connection.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        self._connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: demo.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        status = self._stream.readline().decode()
        assert " 101 " in status, status
        while self._stream.readline() not in (b"\r\n", b""):
            pass

    def echo(self, message: str) -> str:
        """Send one text message of at most 125 bytes; what comes back."""
        mask, payload = os.urandom(4), message.encode()
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        self._connection.sendall(bytes([0x81, 0x80 | len(payload)]) + mask + masked)
        header = self._stream.read(2)
        return self._stream.read(header[1] & 0x7F).decode()

    def close(self) -> None:
        """Leave."""
        self._connection.close()
