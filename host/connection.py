"""One request to the server over SSH: connect, run the program there, read its answer."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host.access import Access
from host.errors import HostAccessError, HostError, HostKeyError, HostUnreachableError

if TYPE_CHECKING:
    import paramiko

_REMOTE = ("common", "answers", "facts", "change", "main")
_COMPOSE = ("common", "docker", "docker_verbs", "main")
"""What is sent for a request about compose projects."""
_HERE = Path(__file__).parent / "remote"
PYTHON = "python3 -I -S -"
REQUEST_SECONDS = 180.0


def ask(access: Access, request: Mapping[str, Any]) -> Any:
    """The server's answer to a request of :mod:`host.remote`.

    :raises HostError: where the server cannot be asked, or refuses; the latter with its `stage`.
    """
    program = source(request)
    with _connected(access) as client:
        output, errors, code = _run(access, client, ("sudo -n " if access.sudo else "") + PYTHON, program)
    last = output.rstrip().rpartition("\n")[2]
    try:
        answer = json.loads(last)
    except ValueError as err:
        raise _no_answer(access, errors, code) from err
    if not answer["ok"]:
        raise RefusedError(access, answer["stage"], answer["words"])
    return answer["answer"]


class RefusedError(HostError):
    """The server was reached, and what was asked of it was not done there; everything is as it was before."""

    def __init__(self, access: Access, stage: str, words: str) -> None:
        self.stage, self.words = stage, words
        super().__init__(f"{access.address}: {_STAGES.get(stage, stage)}: {' '.join(words.split())}", *_AFTER(stage))


_STAGES = {
    "installed": "nothing can be set up",
    "lock": "the server is busy",
    "expected": "not written",
    "place": "not written",
    "write": "the site cannot be written",
    "backup": "the old site cannot be kept",
    "test": "nginx refuses the new configuration",
    "foreign": "not written",
    "reload": "nginx does not take the new configuration",
    "start": "nginx does not start",
    "answer": "with the new configuration a location does not answer",
}
_REMEDIES = {
    "installed": "install nginx on the server (apt-get install nginx), then run this again",
    "lock": "wait for the other update, then run this again",
    "expected": "run preview again: it shows the change",
    "foreign": "nginx names the file; put it right or take it out of sites-enabled, then run this again",
    "start": "see what else listens on its ports (ss -ltnp), then run this again",
    "answer": "look at that service first (kubectl get pods), then run this again",
}


def _AFTER(stage: str) -> tuple[str, str]:  # noqa: N802
    return "the old configuration is in place and served", _REMEDIES.get(stage, "correct that and run this again")


def source(request: Mapping[str, Any]) -> str:
    """The program that is sent: the modules of :mod:`host.remote`, and last the call. Cut short it does nothing.

    Everything goes through standard input, so that nothing of it is seen in the server's list of processes.
    """
    lines = ["import sys, types"]
    lines += [f"sys.modules[{name!r}] = types.ModuleType({name!r})" for name in ("host", "host.remote")]
    for name in _COMPOSE if request.get("verb") == "compose" else _REMOTE:
        full, text = f"host.remote.{name}", (_HERE / f"{name}.py").read_text(encoding="utf-8")
        lines.append(f"module = sys.modules[{full!r}] = types.ModuleType({full!r})")
        lines.append(f"sys.modules['host.remote'].{name} = module")
        lines.append(f"exec(compile({text!r}, {full!r}, 'exec'), module.__dict__)")
    lines.append(f"module.main({json.dumps(request)!r})")
    return "\n".join(lines) + "\n"


@contextmanager
def _connected(access: Access) -> Iterator[paramiko.SSHClient]:
    import paramiko

    client = paramiko.SSHClient()
    name = access.address if access.port == 22 else f"[{access.address}]:{access.port}"
    kind, key = access.host_key.split()
    entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{name} {kind} {key}")
    if entry is None or entry.key is None:
        raise HostKeyError(
            f"the host key of {access.address} cannot be read: {kind}", "", "give its ed25519 key, for one"
        )
    client.get_host_keys().add(name, kind, entry.key)
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    try:
        _connect(access, client)
        yield client
    finally:
        client.close()


def _connect(access: Access, client: paramiko.SSHClient) -> None:
    import paramiko

    try:
        client.connect(
            access.address,
            access.port,
            access.user,
            pkey=_private_key(access),
            look_for_keys=False,
            allow_agent=access.key_file is None and access.private_key is None,
            timeout=access.timeout,
            banner_timeout=access.timeout,
            auth_timeout=access.timeout,
        )
    except paramiko.BadHostKeyException as err:
        raise _other_server(
            access,
            err.key.get_fingerprint_sha256()
            if hasattr(err.key, "get_fingerprint_sha256")
            else _fingerprint(err.key.get_base64()),
        ) from err
    except paramiko.AuthenticationException as err:
        key = access.key_file or ("the key in the configuration" if access.private_key else "the SSH agent's keys")
        raise HostAccessError(
            f"{access.address} does not let {access.user} in with {key}",
            "nothing was read or changed on the server",
            "put the public key into its ~/.ssh/authorized_keys, or name another key with FLOWMASTER_HOST_KEY_FILE",
        ) from err
    except paramiko.SSHException as err:
        if "not found in known_hosts" in str(err) or "host key" in str(err).lower():
            raise _other_server(access, "a key of another type") from err
        raise _unreachable(access, str(err)) from err
    except (OSError, EOFError) as err:
        raise _unreachable(access, _reason(err, access.timeout)) from err


def _private_key(access: Access) -> paramiko.PKey | None:
    import paramiko

    if access.key_file is None and access.private_key is None:
        return None
    try:
        if access.key_file is not None:
            return paramiko.PKey.from_path(access.key_file)
        return _parsed(access.private_key or "")
    except (OSError, ValueError, TypeError, paramiko.SSHException) as err:
        words = getattr(err, "strerror", None) or str(err) or type(err).__name__
        raise HostAccessError(
            f"{access.key_file or 'the key in the configuration'} cannot be used as an SSH key: {words}",
            "nothing was read or changed on the server",
            "name a private key without a passphrase in FLOWMASTER_HOST_KEY_FILE, or use an SSH agent",
        ) from err


def _parsed(text: str) -> paramiko.PKey:
    import paramiko

    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with suppress(paramiko.SSHException):
            return kind.from_private_key(io.StringIO(text))
    raise ValueError("neither ed25519 nor ECDSA nor RSA")


def _run(access: Access, client: paramiko.SSHClient, command: str, text: str) -> tuple[str, str, int]:
    import paramiko

    try:
        stdin, stdout, stderr = client.exec_command(command, timeout=REQUEST_SECONDS)
        # whoever ends before it has read everything, as sudo does, says why
        with suppress(OSError):
            stdin.write(text.encode("utf-8", "surrogateescape"))
            stdin.channel.shutdown_write()
        output, errors = stdout.read().decode(), stderr.read().decode("utf-8", "replace")
        return output, errors, stdout.channel.recv_exit_status()
    except (OSError, EOFError, paramiko.SSHException) as err:
        raise _lost(access, _reason(err, REQUEST_SECONDS)) from err


def _no_answer(access: Access, errors: str, code: int) -> HostError:
    words = " ".join(errors.split())[:300]
    if access.sudo and ("password is required" in words or "no tty present" in words or "a terminal is" in words):
        return HostAccessError(
            f"sudo asks {access.user} for a password on {access.address}",
            "nothing was read or changed on the server",
            f"allow it without: `{access.user} ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d, or connect as root",
        )
    if access.sudo and ("sudoers" in words or "not allowed" in words):
        return HostAccessError(
            f"{access.user} may not use sudo on {access.address}: {words}",
            "nothing was read or changed on the server",
            "allow it in /etc/sudoers.d, or connect as root",
        )
    if code == 127 or "not found" in words:
        return HostError(
            f"{access.address} has no python3: {words}",
            "it carries out what is asked",
            "apt-get install python3-minimal",
        )
    if code == -1:
        return _lost(access, "it closed the connection")
    return HostError(
        f"{access.address}: the request ended with {code}: {words}", "what was begun was finished or undone"
    )


def _lost(access: Access, reason: str) -> HostUnreachableError:
    return HostUnreachableError(
        f"the connection to {access.address} was lost: {reason}",
        "the server finishes or undoes by itself what was begun; nothing is half written",
        "run this again: it goes on from there",
    )


def _unreachable(access: Access, reason: str) -> HostUnreachableError:
    return HostUnreachableError(
        f"{access.address} port {access.port} does not answer over SSH: {reason}",
        "nothing was read or changed on the server",
        "check that it is up, and host.address and host.port of the stack",
    )


def _other_server(access: Access, found: str) -> HostKeyError:
    known = _fingerprint(access.host_key.split()[1])
    return HostKeyError(
        f"HOST KEY CHANGED: {access.address} has {found}, but the known one is {known}",
        "somebody may be in between: nothing was sent to it, nothing read, nothing changed",
        "only after asking its owner, out of band: correct host.hostKey (or FLOWMASTER_HOST_PUBLIC_KEY)",
    )


def _fingerprint(key: str) -> str:
    digest = hashlib.sha256(base64.b64decode(key + "==")).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _reason(err: Exception, seconds: float) -> str:
    if isinstance(err, (TimeoutError, socket.timeout)):
        return f"no answer within {seconds:g} s"
    if isinstance(err, ConnectionRefusedError):
        return "connection refused"
    nested = getattr(err, "errors", None)
    if isinstance(nested, dict) and nested:
        return _reason(next(iter(nested.values())), seconds)
    return getattr(err, "strerror", None) or str(err) or type(err).__name__
