"""Asking nginx itself, on the server, whether its locations answer."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

from flowmaster.host.remote.common import Json, master
from flowmaster.host.remote.effective_config import config_files, newer, tested

GATEWAY_ERRORS = frozenset({502, 504})
"""What nginx says where the service behind it does not answer. Any other status comes from the service itself."""
PATIENCE = 15.0
"""Seconds until a location must have answered once, unless a request says otherwise."""
BRIEFLY = 1.0
"""Seconds for one answer where it is only asked how things were before."""
_ONCE = 5.0


def check(request: Json) -> Json:
    """Whether nginx runs, takes its whole configuration, has read it, and every location answers. Changes nothing."""
    paths = config_files()
    code, words = tested(paths, "-q")
    pid = master()
    return {
        "valid": code == 0,
        "words": words,
        "running": pid is not None,
        "newer": newer(pid, paths) if pid is not None else [],
        "answers": ask(request["checks"], float(request.get("patience", PATIENCE))),
    }


def ask(checks: list[Json], patience: float, timeout: float = _ONCE) -> list[Json]:
    """Whether each location answers within the timeout: `path`, `ok`, `words`. Asked again for `patience` seconds."""
    if not checks:
        return []
    with ThreadPoolExecutor(len(checks)) as pool:
        return list(pool.map(lambda check: _settled(check, patience, timeout), checks))


def _settled(check: Json, patience: float, timeout: float) -> Json:
    deadline = time.monotonic() + patience
    while True:
        words = _words(check, timeout)
        if not words or time.monotonic() >= deadline:
            return {"path": check["path"], "ok": not words, "words": words}
        time.sleep(0.1)


def _words(check: Json, timeout: float) -> str:
    """What is wrong with the answer; nothing where it is one."""
    try:
        connection = _connection(check, timeout)
        try:
            connection.request("GET", check["path"], headers={"Host": check["host"], "Connection": "close"})
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as err:
        return f"does not answer: {str(err) or type(err).__name__}"
    return f"answers {status} {http.client.responses.get(status, '')}" if status in GATEWAY_ERRORS else ""


def _connection(check: Json, timeout: float) -> http.client.HTTPConnection:
    address, port = check.get("address", "127.0.0.1"), int(check["port"])
    if not check.get("tls"):
        return http.client.HTTPConnection(address, port, timeout=timeout)
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    # whether the certificate is good is for browsers to say; here it is asked whether the location answers
    context = ssl._create_unverified_context()  # noqa: S323
    plain = socket.create_connection((address, port), timeout=timeout)
    connection.sock = context.wrap_socket(plain, server_hostname=check["host"])
    return connection
