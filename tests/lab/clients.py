"""Small clients that ask the twin from where its users are: the machine."""

import base64
import http.client
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

from lab.twin import Twin
from lab.twin.patience import patience


def get(host: str, port: int, path: str, method: str = "GET", body: str | None = None) -> tuple[int, Any]:
    """Status and body of an answer, the body read as JSON where it is some."""
    client = http.client.HTTPConnection(host, port, timeout=patience(10))
    try:
        client.request(method, path, body, {"Host": "demo.example"})
        answer = client.getresponse()
        text = answer.read().decode()
    finally:
        client.close()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text


def echo_by_websocket(host: str, port: int, path: str, message: str) -> str:
    """Opens a WebSocket, sends one text message of at most 125 bytes, returns what comes back."""
    with socket.create_connection((host, port), timeout=patience(10)) as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: demo.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        stream = connection.makefile("rb")
        status = stream.readline().decode()
        assert " 101 " in status, status
        while stream.readline() not in (b"\r\n", b""):
            pass
        mask, payload = os.urandom(4), message.encode()
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        connection.sendall(bytes([0x81, 0x80 | len(payload)]) + mask + masked)
        header = stream.read(2)
        return stream.read(header[1] & 0x7F).decode()


def ssh(twin: Twin, user: str, command: str, known_hosts: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command over SSH; the host key must be in the file of known hosts."""
    environment = twin.environment()
    options = {
        "UserKnownHostsFile": str(known_hosts),
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "ConnectTimeout": "10",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return subprocess.run(
        ["ssh", "-F", "none", "-i", environment["FLOWMASTER_HOST_KEY_FILE"], *words, f"{user}@{twin.address}", command],
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
    )
