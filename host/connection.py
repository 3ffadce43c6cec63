"""One request to the server over SSH: connect, run the program there, read its answer."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from host.access import Access
from host.errors import HostAccessError, HostError, HostKeyError, HostUnreachableError

if TYPE_CHECKING:
    import paramiko

_REMOTE = ("common", "answers", "facts", "change", "main")
_DOCKER = ("common", "docker", "docker_journal", "docker_volumes", "docker_steps", "docker_verbs")
"""What is sent besides, or alone, for a request about compose projects."""
_HERE = Path(__file__).parent / "remote"
PYTHON = "python3 -I -S -"
REQUEST_SECONDS = 180.0


def ask(access: Access, request: Mapping[str, Any]) -> Any:
    """The server's answer to a request of :mod:`host.remote`.

    :raises HostError: where the server cannot be asked, or refuses; the latter with its `stage`.
    """
    with _connected(access) as client:
        return _asked(access, client, request)


class Session:
    """A connection that is kept for several requests, and made anew where it was lost in between."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._open = ExitStack()
        self._client: paramiko.SSHClient | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; the next request begins another one."""
        self._client = None
        self._open.close()

    def ask(self, request: Mapping[str, Any]) -> Any:
        """The server's answer, as :func:`ask` has it."""
        transport = self._client.get_transport() if self._client else None
        if self._client is None or transport is None or not transport.is_active():
            self.close()
            self._client = self._open.enter_context(_connected(self.access))
        try:
            return _asked(self.access, self._client, request)
        except HostUnreachableError:
            self.close()
            raise


def _asked(access: Access, client: paramiko.SSHClient, request: Mapping[str, Any]) -> Any:
    program = source(request)
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

    @property
    def waits(self) -> bool:
        """Whether it is somebody else's turn, and will be ours."""
        return self.stage == "busy"


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
    "docker": "Docker cannot be asked",
    "project": "the compose project cannot be read",
    "busy": "somebody else is at work",
    "taken": "another run has taken over",
    "journal": "the journal of the project cannot be read",
    "source": "the volumes cannot be copied",
    "room": "there is not enough room",
    "verify": "the copy is not proved",
    "swap": "the copy cannot be put into place",
    "containers": "the containers are not as they should be",
    "rules": "connections cannot be led to nginx",
    "image": "an image cannot be had",
    "archive": "the backup cannot be written",
}
_NGINX = ("installed", "lock", "expected", "place", "write", "backup", "test", "foreign", "reload", "start", "answer")
_REMEDIES = {
    "installed": "install nginx on the server (apt-get install nginx), then run this again",
    "lock": "wait for the other update, then run this again",
    "expected": "run preview again: it shows the change",
    "foreign": "nginx names the file; put it right or take it out of sites-enabled, then run this again",
    "start": "see what else listens on its ports (ss -ltnp), then run this again",
    "answer": "look at that service first (kubectl get pods), then run this again",
    "docker": "see `docker info` on the server, then run this again",
    "project": "correct that in the project's folder on the server, then run this again",
    "busy": "wait until it is done, then run this again",
    "taken": "see what the other run came to",
    "room": "make room on the server's disk, then run this again",
    "verify": "somebody writes into the volume past its ports: stop that, then run this again",
    "image": "bring the image back (docker pull, docker load), then run this again",
}


def _AFTER(stage: str) -> tuple[str, str]:  # noqa: N802
    kept = "the old configuration is in place and served" if stage in _NGINX else "nothing was changed by this"
    return kept, _REMEDIES.get(stage, "correct that and run this again")


def source(request: Mapping[str, Any]) -> str:
    """The program that is sent: the modules of :mod:`host.remote`, and last the call. Cut short it does nothing.

    Everything goes through standard input, so that nothing of it is seen in the server's list of processes.
    """
    lines = ["import sys, types"]
    lines += [f"sys.modules[{name!r}] = types.ModuleType({name!r})" for name in ("host", "host.remote")]
    for name in _modules(request):
        full, text = f"host.remote.{name}", (_HERE / f"{name}.py").read_text(encoding="utf-8")
        lines.append(f"module = sys.modules[{full!r}] = types.ModuleType({full!r})")
        lines.append(f"sys.modules['host.remote'].{name} = module")
        lines.append(f"exec(compile({text!r}, {full!r}, 'exec'), module.__dict__)")
    lines.append(f"module.main({json.dumps(request)!r})")
    return "\n".join(lines) + "\n"


def _modules(request: Mapping[str, Any]) -> tuple[str, ...]:
    if request.get("verb") == "compose":
        return (*_DOCKER, "main")
    if request.get("verb") == "read" and not {"run", "noted"} & set(request):
        # what is asked most often, and waited for: nothing is sent, compiled and imported there that it does not need
        return ("common", "facts", "main")
    return (*_DOCKER, *_REMOTE[1:]) if "run" in request else _REMOTE


def _without_invoke() -> None:
    """Import paramiko without the task runner that it takes half of its time for.

    It needs that for one directive of ssh_config (`Match exec`), and such a file is never read here.
    """
    if "paramiko" in sys.modules or "invoke" in sys.modules:
        return
    sys.modules["invoke"] = None  # type: ignore[assignment]  # what is None there cannot be imported
    try:
        import paramiko  # noqa: F401
    finally:
        del sys.modules["invoke"]


@contextmanager
def _connected(access: Access) -> Iterator[paramiko.SSHClient]:
    _without_invoke()
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
