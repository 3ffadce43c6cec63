"""An SSH connection to the server: reach it, make sure that it is the one meant, and run commands on it.

libssh2 does the work (by ssh2-python): it is imported in a fraction of the time that a library in Python takes, and
leaves the interpreter to whatever else the program does meanwhile.
"""

from __future__ import annotations

import base64
import hashlib
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from flowmaster.host.access import Access
from flowmaster.host.errors import HostAccessError, HostKeyError, HostUnreachableError

REQUEST_SECONDS = 180.0
_CHUNK = 1 << 16
_AGAIN = -37  # LIBSSH2_ERROR_EAGAIN
_KINDS = {"ssh-rsa": "rsa-sha2-512,rsa-sha2-256,ssh-rsa"}
"""By what the owner of a key of that type proves to have it, where that has other names than the key."""


@dataclass(frozen=True)
class Ended:
    """How a command ended. Without a word and an exit code of 0, it may also have been cut off."""

    errors: str
    code: int


class Connection:
    """A connection that is up: the server has proved its key, and let the user in.

    :raises HostKeyError: where somebody else answers; nothing was sent to it.
    :raises HostAccessError: where the user is not let in, or the key is none.
    :raises HostUnreachableError: where nobody answers.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        key = _private_key(access)
        try:
            self._socket = socket.create_connection((access.address, access.port), access.timeout)
        except UnicodeError as err:
            raise _unreachable(access, "that is no name of a host") from err
        except OSError as err:
            raise _unreachable(access, _reason(err, access.timeout)) from err
        self._socket.setblocking(False)  # libssh2 waits by itself
        try:
            self._session = _verified(access, self._socket)
            self._log_in(key)
            # from here on with this program's own patience, and open to Ctrl-C
            self._session.set_blocking(False)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; safe to be called again."""
        from ssh2.exceptions import SSH2Error

        with suppress(SSH2Error):
            self._session.disconnect()
        self._socket.close()

    @property
    def is_open(self) -> bool:
        """Whether the server has not ended it, as far as it has been heard of."""
        try:
            return self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def start(self, command: str, seconds: float = REQUEST_SECONDS) -> Command:
        """Begin a command.

        :raises HostUnreachableError: where the connection is lost, or nothing was heard in that time.
        """
        with self.heard(seconds) as deadline:
            channel = self.done(deadline, self._session.open_session)
            self.done(deadline, channel.execute, command)
        return Command(self, channel)

    @contextmanager
    def heard(self, seconds: float) -> Iterator[float]:
        """The time by which something has to be done, for :meth:`done` and :meth:`wait`.

        :raises HostUnreachableError: where it was not, or the connection is lost meanwhile.
        """
        from ssh2.exceptions import SSH2Error

        try:
            yield time.monotonic() + seconds
        except SSH2Error as err:
            raise lost(self._access, _said(self._session, err)) from err
        except OSError as err:
            raise lost(self._access, _reason(err, seconds)) from err

    def done(self, deadline: float, do: Callable[..., Any], *words: Any) -> Any:
        """The result of something that libssh2 is asked for again until it has one."""
        while (result := do(*words)) == _AGAIN:
            self.wait(deadline)
        return result

    @property
    def is_sending(self) -> bool:
        """Whether a part of a packet still has to be sent, by asking again for what it was sent for."""
        from ssh2.session import LIBSSH2_SESSION_BLOCK_OUTBOUND

        return bool(self._session.block_directions() & LIBSSH2_SESSION_BLOCK_OUTBOUND)

    def wait(self, deadline: float) -> None:
        """Until the connection can be read, or written to where that is what libssh2 waits for."""
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | (select.POLLOUT if self.is_sending else 0))
        poll.poll(remaining * 1000)

    def _log_in(self, key: bytes | None) -> None:
        from ssh2 import exceptions

        access = self._access
        try:
            if key is None:
                self._session.agent_auth(access.user)
            else:
                self._session.userauth_publickey_frommemory(access.user, key)
        except exceptions.FileError as err:
            raise _unusable(access, "it is none, or has a passphrase") from err
        except (exceptions.AgentError, exceptions.AuthenticationError, exceptions.PublickeyUnverifiedError) as err:
            raise _not_let_in(access) from err
        except exceptions.SSH2Error as err:
            raise _unreachable(access, _said(self._session, err)) from err


class Command:
    """A command that runs on the server: it is told something, and answers in a line, until it ends."""

    def __init__(self, connection: Connection, channel: Any) -> None:
        self._connection, self._channel = connection, channel
        self._unsent, self._output, self._errors = bytearray(), bytearray(), bytearray()

    def tell(self, text: str, seconds: float = REQUEST_SECONDS) -> str | Ended:
        """Send some text, and wait for the next line that is not empty, or for the end of the command.

        :raises HostUnreachableError: where the connection is lost, or neither was heard in that time.
        """
        self._unsent += text.encode()
        with self._connection.heard(seconds) as deadline:
            return self._answer(deadline)

    def _answer(self, deadline: float) -> str | Ended:
        channel = self._channel
        while True:
            if self._unsent:
                del self._unsent[: channel.write(bytes(self._unsent))[1]]
            # reading the one takes in what has come of the other, too
            while _taken(channel.read, self._output) + _taken(channel.read_stderr, self._errors):
                pass
            if (line := self._line()) is not None:
                return line
            # Whoever ends before it has read everything, as sudo does, has said why. A packet that was begun has to be
            # sent first: until then libssh2 sends no other, neither the one that closes the channel.
            if channel.eof() and not self._connection.is_sending:
                self._connection.done(deadline, channel.close)
                self._connection.done(deadline, channel.wait_closed)
                return Ended(self._errors.decode("utf-8", "replace"), channel.get_exit_status())
            self._connection.wait(deadline)

    def _line(self) -> str | None:
        """The next whole line that is not empty, taken out of what has come."""
        while (end := self._output.find(b"\n")) >= 0:
            line = self._output[:end].decode()
            del self._output[: end + 1]
            if line:
                return line
        return None


def _taken(read: Callable[[int], tuple[int, bytes]], into: bytearray) -> int:
    """How much there was to be read at once."""
    size, part = read(_CHUNK)
    into.extend(part if size > 0 else b"")
    return max(size, 0)


def _verified(access: Access, connected: socket.socket) -> Any:
    """A session with a server that has proved to have the known key."""
    from ssh2 import exceptions
    from ssh2.session import LIBSSH2_METHOD_HOSTKEY, Session

    kind, key = access.host_key.split()
    session = Session()
    session.set_timeout(int(access.timeout * 1000))
    try:
        known = _raw(key)
        session.method_pref(LIBSSH2_METHOD_HOSTKEY, _KINDS.get(kind, kind))
        session.handshake(connected)
    except (exceptions.MethodNotSupported, ValueError) as err:
        raise HostKeyError(
            f"the host key of {access.address} cannot be read: {kind}", "", "give its ed25519 key, for one"
        ) from err
    except exceptions.KexFailureError as err:
        raise _other_server(access, "a key of another type") from err
    except exceptions.Timeout as err:
        raise _unreachable(access, f"no answer within {access.timeout:g} s") from err
    except exceptions.SSH2Error as err:
        raise _unreachable(access, _said(session, err)) from err
    if known != session.hostkey()[0]:
        raise _other_server(access, _fingerprint(session.hostkey()[0]))
    return session


def _said(session: Any, err: Exception) -> str:
    """What libssh2 says of it."""
    words = session.last_error() or type(err).__name__
    return words.decode("utf-8", "replace") if isinstance(words, bytes) else str(words)


def _private_key(access: Access) -> bytes | None:
    """The key's file as it is; None where an agent is asked."""
    if access.key_file is None:
        return access.private_key.encode() if access.private_key is not None else None
    try:
        return Path(access.key_file).read_bytes()
    except OSError as err:
        raise _unusable(access, err.strerror or str(err)) from err


def _unusable(access: Access, reason: str) -> HostAccessError:
    return HostAccessError(
        f"{access.key_file or 'the key in the configuration'} cannot be used as an SSH key: {reason}",
        "nothing was read or changed on the server",
        "name a private key without a passphrase in FLOWMASTER_HOST_KEY_FILE, or use an SSH agent",
    )


def _not_let_in(access: Access) -> HostAccessError:
    key = access.key_file or ("the key in the configuration" if access.private_key else "the SSH agent's keys")
    return HostAccessError(
        f"{access.address} does not let {access.user} in with {key}",
        "nothing was read or changed on the server",
        "put the public key into its ~/.ssh/authorized_keys, or name another key with FLOWMASTER_HOST_KEY_FILE",
    )


def lost(access: Access, reason: str) -> HostUnreachableError:
    """That the connection ended in the middle."""
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
    known = _fingerprint(_raw(access.host_key.split()[1]))
    return HostKeyError(
        f"HOST KEY CHANGED: {access.address} has {found}, but the known one is {known}",
        "somebody may be in between: nothing was sent to it, nothing read, nothing changed",
        "only after asking its owner, out of band: correct host.hostKey (or FLOWMASTER_HOST_PUBLIC_KEY)",
    )


def _raw(key: str) -> bytes:
    return base64.b64decode(key + "=" * (-len(key) % 4))


def _fingerprint(key: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def _reason(err: Exception, seconds: float) -> str:
    if isinstance(err, TimeoutError):
        return f"no answer within {seconds:g} s"
    if isinstance(err, ConnectionRefusedError):
        return "connection refused"
    return getattr(err, "strerror", None) or str(err) or type(err).__name__
