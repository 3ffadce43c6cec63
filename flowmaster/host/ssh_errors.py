"""What OpenSSH's client says when it fails, as errors that tell what to do. Its own line is kept as evidence."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path

from flowmaster.host.access import KEY_FILE, PUBLIC_KEY, Access
from flowmaster.host.errors import HostAccessError, HostError, HostKeyError, HostUnreachableError

FAILED = 255
"""The exit code of ssh itself, whatever went wrong. No command of this project ends with it."""
PINNED = "flowmaster-host"
"""The name under which ssh looks up a host key that the stack gives, whatever the server's own names are."""
_NOTHING = "nothing was read or changed on the server"
_CHANGED = re.compile(r"^Host key for (\S+) has changed", re.M)
_UNKNOWN = re.compile(r"^No (\S+) host key is known for (\S+) and .*", re.M)
_SENT = re.compile(r"sent by the remote host is\s+(\S+?)\.?\s")
_OFFER = re.compile(r"^.*no matching host key type found\. Their offer: (\S+)", re.M)
_DENIED = re.compile(r"^(?:(\S+)@\S+: Permission denied|.*Too many authentication failures).*", re.M)
_SIGNING = re.compile(r"^sign_and_send_pubkey: .*", re.M)
_NAME = re.compile(r"^ssh: Could not resolve hostname .*?: (.+)", re.M)
_CONNECT = re.compile(r"^ssh: connect to (?:host )?\S+ port \S+: (.+)", re.M)
_TIMED_OUT = re.compile(r"^.*timed out.*", re.M | re.I)
_CLOSED = re.compile(r"^.*(?:Connection (?:closed|reset)|closed by remote host|Broken pipe).*", re.M)
_CONFIGURATION = re.compile(
    r"^.*(?:onfiguration option|Bad owner or permissions|invalid characters|line \d+: ).*", re.M
)
_BAD_TYPE = re.compile(r"^.*(?:Bad key types|Bad protocol 2 host key algorithms).*", re.M)
_OLD_CLIENT = "knownhostscommand"


def failure(access: Access, said: str, key: Path | None) -> HostError:
    """Why ssh has not got as far as to run a command. Where the key was refused, it is looked at once more."""
    said = said.replace("\r", "")
    return (
        _of_the_host_key(access, said)
        or _of_the_user(access, said, key)
        or _of_the_client(access, said)
        or unreachable(access, *_reason(access, said))
    )


def unreachable(access: Access, reason: str, line: str = "") -> HostUnreachableError:
    """That nobody answers."""
    port = f" port {access.port}" if access.port else ""
    return HostUnreachableError(
        f"{access.address}{port} does not answer over SSH: {reason}" + (f" ({line})" if line else ""),
        _NOTHING,
        "check that it is up, and host.address and host.port of the stack, or what ssh_config says of it",
    )


def lost(access: Access, said: str) -> HostUnreachableError:
    """That the connection ended in the middle."""
    return HostUnreachableError(
        f"the connection to {access.address} was lost: {last_line(said) or 'it closed the connection'}",
        "the server finishes or undoes by itself what was begun; nothing is half written",
        "run this again: it goes on from there",
    )


def missing() -> HostAccessError:
    """That there is no client here."""
    return HostAccessError(
        "there is no ssh on PATH, OpenSSH's client, by which the server is reached",
        _NOTHING,
        "install it: apt-get install openssh-client (Debian, Ubuntu), dnf install openssh-clients (Fedora, RHEL)",
    )


def unusable(access: Access, reason: str, remedy: str = "") -> HostAccessError:
    """That the private key is of no use."""
    return HostAccessError(
        f"{access.key_file or 'the key in the configuration'} cannot be used as an SSH key: {reason}",
        _NOTHING,
        remedy or f"name a private key without a passphrase in {KEY_FILE}, or use an SSH agent",
    )


def _of_the_host_key(access: Access, said: str) -> HostError | None:
    impostor = "somebody may be in between: nothing was sent to it, nothing read, nothing changed"
    changed, unknown, offer = _CHANGED.search(said), _UNKNOWN.search(said), _OFFER.search(said)
    name = changed[1] if changed else unknown[2] if unknown else ""
    sent = _SENT.search(said)
    if access.host_key is not None and (name == PINNED or offer):
        found = sent[1] if sent else f"a key of another type{f', {offer[1]}' if offer else ''}"
        return HostKeyError(
            f"HOST KEY CHANGED: {access.address} has {found}, but the known one is {_fingerprint(access.host_key)}",
            impostor,
            f"only after asking its owner, out of band: correct host.hostKey (or {PUBLIC_KEY})",
        )
    if changed:
        return HostKeyError(
            f"HOST KEY CHANGED: {name} has {sent[1] if sent else 'another key'}, but known_hosts has another one",
            impostor,
            f"only after asking its owner, out of band: ssh-keygen -R '{name}', then log in once by hand",
        )
    if unknown:
        return HostKeyError(
            f"the host key of {name} is not known, so the server cannot be told from another one ({unknown[0]})",
            "nothing was sent to it",
            f"ask its owner for /etc/ssh/ssh_host_ed25519_key.pub, then set host.hostKey, or export {PUBLIC_KEY}, "
            "or compare it when you log in once by hand",
        )
    if "Host key verification failed." in said:
        # ssh says no more where it would have asked, as on the way through a jump host that it does not know
        return HostKeyError(
            f"{access.address} is not reached: Host key verification failed.",
            "nothing was sent to it",
            f"log in once by hand (ssh {access.address}): a jump host of ssh_config may not be known here",
        )
    if bad := _BAD_TYPE.search(said):
        return HostKeyError(
            f"the host key of {access.address} cannot be read ({bad[0]})", "", "give its ed25519 key, for one"
        )
    return None


def _of_the_user(access: Access, said: str, key: Path | None) -> HostError | None:
    denied = _DENIED.search(said)
    if denied is None:
        return None
    if key is not None and (reason := _defect(access, key)):
        return unusable(access, *reason)
    used = access.key_file or ("the key in the configuration" if access.private_key else "the keys that ssh has here")
    evidence = _SIGNING.search(said) or denied
    return HostAccessError(
        f"{access.address} does not let {access.user or denied[1] or 'you'} in with {used} ({evidence[0]})",
        _NOTHING,
        f"put the public key into its ~/.ssh/authorized_keys, name another key with {KEY_FILE}, or see `ssh-add -l`",
    )


def _defect(access: Access, key: Path) -> tuple[str, str] | None:
    """Why a file is no key that can be used without asking anybody, and what to do; None where it is one."""
    with suppress(OSError):
        done = subprocess.run(
            ["ssh-keygen", "-y", "-P", "", "-f", str(key)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
        if not done.returncode:
            return None
        if "UNPROTECTED" in done.stderr:
            return "others may read it", f"chmod 600 {key}"
        if "passphrase" in done.stderr:
            how = f"ssh-add {key}" if access.key_file else "ssh-add, and leave host.privateKey out"
            return "it has a passphrase, and nobody is asked for one here", f"give it to an SSH agent: {how}"
        return f"it is none ({last_line(done.stderr)})", ""
    return None


def _of_the_client(access: Access, said: str) -> HostError | None:
    found = _CONFIGURATION.search(said)
    if found is None:
        return None
    old = _OLD_CLIENT in said.lower()
    return HostAccessError(
        f"ssh cannot be used for {access.address} ({found[0]})",
        _NOTHING,
        "a host key of the stack needs OpenSSH 8.5 or later here" if old else "correct ~/.ssh/config or host.address",
    )


def _reason(access: Access, said: str) -> tuple[str, str]:
    """In a few words why the server does not answer, and the line that says so."""
    if found := _NAME.search(said) or _CONNECT.search(said):
        words = found[1].strip()
        known = {"Connection refused": "connection refused", "Connection timed out": _patience(access)}
        return known.get(words, words), found[0]
    if found := _TIMED_OUT.search(said):
        return _patience(access), found[0]
    if found := _CLOSED.search(said):
        return "it closed the connection", found[0]
    return "ssh does not say why", last_line(said)


def _patience(access: Access) -> str:
    return f"no answer within {access.timeout:g} s"


def last_line(said: str) -> str:
    """The last line that says anything."""
    return next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")


def _fingerprint(host_key: str) -> str:
    key = host_key.split()[1]
    try:
        raw = base64.b64decode(key + "=" * (-len(key) % 4))
    except ValueError:
        return "none that can be read"
    return "SHA256:" + base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")
