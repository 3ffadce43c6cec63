"""The socket over which the machine asks the supervisor: one line of JSON in, one line of JSON out."""

import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

from lab.supervisor.daemons import Daemons

SOCKET_NAME = "control.sock"


def _short_path(folder: Path) -> tuple[int, str]:
    """A path to the socket of at most 108 characters (the kernel's limit), whatever the folder's length."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    return descriptor, f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"


def listen(folder: Path) -> socket.socket:
    """Opens the socket in the folder. Raises OSError where there is one already."""
    server = socket.socket(socket.AF_UNIX)
    descriptor, path = _short_path(folder)
    try:
        server.bind(path)
    finally:
        os.close(descriptor)
    server.listen(16)
    return server


def ask(folder: Path, question: dict[str, Any], patience: float = 10.0) -> dict[str, Any]:
    """Asks the supervisor whose socket is in the folder. Raises OSError where none answers in time (seconds)."""
    descriptor, path = _short_path(folder)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(patience)
        try:
            connection.connect(path)
        finally:
            os.close(descriptor)
        connection.sendall(json.dumps(question).encode() + b"\n")
        with connection.makefile() as reply:
            line = reply.readline()
    if not line:
        raise ConnectionError("the supervisor hung up")
    answer: dict[str, Any] = json.loads(line)
    return answer


def serve(server: socket.socket, daemons: Daemons) -> None:
    """Answers questions in a thread of its own, until the process ends."""

    def accept() -> None:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_converse, args=(connection, daemons), daemon=True).start()

    threading.Thread(target=accept, name="control", daemon=True).start()


def _converse(connection: socket.socket, daemons: Daemons) -> None:
    with connection, connection.makefile("rw") as stream:
        try:
            answer = _answer(json.loads(stream.readline()), daemons)
        except (ValueError, KeyError, OSError) as error:
            answer = {"error": str(error)}
        try:
            stream.write(json.dumps(answer) + "\n")
            stream.flush()
        except OSError:
            return  # who asked has gone


def _answer(question: dict[str, Any], daemons: Daemons) -> dict[str, Any]:
    actions = {"pause": daemons.pause, "resume": daemons.resume, "kill": daemons.kill, "start": daemons.start}
    do = question["do"]
    if do in actions:
        actions[do](question["name"])
    elif do != "status":
        raise ValueError(f"unknown question {do!r}")
    return {"daemons": daemons.describe()}
