"""Whether a daemon answers yet: one attempt, no waiting."""

import http.client
import socket
import ssl
from typing import Any

_PATIENCE = 2.0

_unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_unverified.check_hostname = False
_unverified.verify_mode = ssl.CERT_NONE


def answers(probe: dict[str, Any]) -> bool:
    """Tries {"unix": path}, {"tcp": [host, port]} or {"http": [host, port, path], "tls": whether}."""
    try:
        if "unix" in probe:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_PATIENCE)
                connection.connect(probe["unix"])
            return True
        if "tcp" in probe:
            socket.create_connection(tuple(probe["tcp"]), timeout=_PATIENCE).close()
            return True
        host, port, path = probe["http"]
        client = (
            http.client.HTTPSConnection(host, port, timeout=_PATIENCE, context=_unverified)
            if probe.get("tls")
            else http.client.HTTPConnection(host, port, timeout=_PATIENCE)
        )
        try:
            client.request("GET", path)
            return client.getresponse().status == http.client.OK
        finally:
            client.close()
    except (OSError, http.client.HTTPException):
        return False
