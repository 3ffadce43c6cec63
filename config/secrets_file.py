"""The secrets file beside a stack file: plain-text names, each value encrypted separately.

Pulumi hands its configuration to the program in one environment variable of at most 128 KiB, so the values are not part
of it. What is, is the data key: a value of the stack that Pulumi's secrets provider encrypts (a passphrase, a key in a
cloud), so that whoever may read the stack's secrets may read these. Values are encrypted by AES-256-GCM with their name
as associated data: one that was moved to another name, or cut off, does not decrypt.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from config.errors import ConfigError, closest
from config.read_yaml import read_yaml

KEY = "secretsKey"
"""The stack's key for the data key. While it is being rotated: the new one, then the old one."""
GROUPS = ("secrets", "sealed", "compose", "sources")
"""Groups of values: of Secrets, of Deployments (sealed), of compose projects (sealed), and compose sources."""
SOURCE = "compose"
"""The key of a compose project's source in its group."""
_VERSION = 1
_NONCE = 12
_END = "..."
_HEAD = """\
# Secret values of this stack: names in the clear, each value encrypted by itself (docs/configuration.md).
# Written by `flowmaster secret`, `adopt` and `compose`; it belongs into the repository, beside the stack's file.
"""


class Entry(NamedTuple):
    """The name of a value."""

    group: str
    owner: str
    """The Secret, the service, or the compose project."""
    key: str

    def __str__(self) -> str:
        return "/".join(self if self.group != "secrets" else self[1:])


Values = dict[Entry, str]


def beside(stack_file: Path) -> Path:
    """Return the secrets file of a stack file: ``Pulumi.demo.secrets.yaml``."""
    return stack_file.with_name(f"{stack_file.stem}.secrets.yaml")


def new_key() -> str:
    """Return a random data key."""
    return base64.b64encode(os.urandom(32)).decode()


def merged(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the stack's values with those of the secrets file. The stack file takes precedence.

    :param values: decrypted, without ``flowmaster:``.
    :raises ConfigError: where the file cannot be read with the stack's key.
    """
    result = dict(values)
    if not path.exists():
        return result
    for entry, value in read(path, str(values.get(KEY) or "")).items():
        if entry.group in ("secrets", "sealed"):
            _below(result, entry.group, entry.owner).setdefault(entry.key, value)
        elif entry.owner in (result.get("compose") or {}):
            project = _below(result, "compose", entry.owner)
            if entry.group == "sources":
                project.setdefault("source", json.loads(value))
            else:
                project["sealed"] = {entry.key: value, **(project.get("sealed") or {})}
    return result


def _below(values: dict[str, Any], group: str, owner: str) -> dict[str, Any]:
    """Return a copied mapping within the values that may be modified."""
    owned = dict((values.get(group) or {}).get(owner) or {})
    values[group] = {**(values.get(group) or {}), owner: owned}
    return owned


def names(path: Path) -> list[Entry]:
    """Return the names of all values; empty if there is no file."""
    return list(_document(path)[1]) if path.exists() else []


def read(path: Path, keys: str) -> Values:
    """Decrypt all values.

    :param keys: the stack's :data:`KEY`.
    :raises ConfigError: where the key is another one, or an entry does not decrypt, with its name.
    """
    identity, encrypted = _document(path)
    known = {_identity(key): key for key in keys.split()}
    if identity not in known:
        raise ConfigError(
            f"{path.name}: encrypted with the data key {identity}, and the stack has "
            f"{', '.join(known) or 'none (flowmaster:secretsKey)'}",
            "no value of it can be decrypted",
            "put the stack's file and this one back from the same commit",
        )
    cipher = _cipher(known[identity])
    return {entry: _decrypted(cipher, entry, text, path) for entry, text in encrypted.items()}


def fits(path: Path, key: str) -> bool:
    """Return whether the file is encrypted with that data key."""
    return _document(path)[0] == _identity(key)


def text(values: Mapping[Entry, str], key: str, before: Path | None = None) -> str:
    """Return the text of a file with these values. Unchanged values keep their lines from `before`."""
    cipher = _cipher(key)
    kept: dict[Entry, str] = {}
    if before is not None and before.exists():
        identity, encrypted = _document(before)
        if identity == _identity(key):
            same = (e for e in encrypted if values.get(e) == _decrypted(cipher, e, encrypted[e], before))
            kept = {entry: encrypted[entry] for entry in same}
    lines = [f"{_HEAD}version: {_VERSION}\nkey: {json.dumps(_identity(key))}"]
    ordered = sorted(values, key=lambda entry: (GROUPS.index(entry.group), entry.owner, entry.key))
    for group, entries in groupby(ordered, key=lambda entry: entry.group):
        lines.append(f"{group}:")
        for owner, owned in groupby(entries, key=lambda entry: entry.owner):
            lines.append(f"  {json.dumps(owner)}:")
            lines += [f"    {json.dumps(e.key)}: {kept.get(e) or _encrypted(cipher, e, values[e])}" for e in owned]
    return "\n".join([*lines, _END, ""])


def named(word: str, known: Iterable[Entry] = ()) -> Entry:
    """Parse ``SECRET/KEY``, ``sealed/SERVICE/VARIABLE`` or ``compose/PROJECT/KEY``.

    :raises ConfigError: where it is none.
    """
    first, _, rest = word.partition("/")
    group, owner, key = ("secrets", first, rest)
    if first in GROUPS and "/" in rest:
        group, (owner, _, key) = first, rest.partition("/")
    entry = Entry(group, owner, key)
    candidates = [str(entry) for entry in known]
    if not owner or not key or (candidates and str(entry) not in candidates):
        raise ConfigError(
            f"there is no secret value {word!r}{closest(word, candidates)}",
            "values are called SECRET/KEY, sealed/SERVICE/VARIABLE, compose/PROJECT/KEY",
            "see `flowmaster secret list`",
        )
    return entry


def _document(path: Path) -> tuple[str, dict[Entry, str]]:
    """Return the ID of the data key, and all encrypted entries."""
    # before it is read as YAML, where a part of a file may look like a whole one
    if not path.read_text(encoding="utf-8", errors="replace").rstrip().endswith(f"\n{_END}"):
        last = (_entries_of_part(path) or ["none"])[-1]
        raise ConfigError(
            f"{path.name}: cut off, the last entry is {last}",
            "what stood behind it is lost, and that entry may be cut, too",
            f"put it back (`git checkout {path.name}`)",
        )
    document = read_yaml(path)
    if not isinstance(document, Mapping) or document.get("version") != _VERSION:
        raise ConfigError(
            f"{path.name}: not a file of secret values of version {_VERSION}",
            "it is read beside the stack's file of the same name",
            "use a version of this project that knows it, or give it another name if it is something else",
        )
    found: dict[Entry, str] = {}
    for group in GROUPS:
        for owner, keys in (document.get(group) or {}).items():
            found.update({Entry(group, str(owner), str(key)): str(value) for key, value in keys.items()})
    return str(document.get("key")), found


def _entries_of_part(path: Path) -> list[str]:
    """Return the keys of an incomplete file, from the beginnings of its lines."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.partition('"')[2].partition('"')[0] for line in lines if line.startswith('    "')]


def _identity(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def _cipher(key: str) -> Any:
    # slow to import, and only needed where there is something to encrypt
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError) as err:
        raise ConfigError(
            f"flowmaster:{KEY} is no data key: {err}",
            "the secret values beside the stack's file cannot be decrypted without it",
            "put the stack's file back from the commit that the file of secret values is from",
        ) from err


def _encrypted(cipher: Any, entry: Entry, value: str) -> str:
    nonce = os.urandom(_NONCE)
    content = value.encode(errors="surrogatepass")
    return base64.b64encode(nonce + cipher.encrypt(nonce, content, _associated(entry))).decode()


def _decrypted(cipher: Any, entry: Entry, encrypted: str, path: Path) -> str:
    from cryptography.exceptions import InvalidTag

    try:
        content = base64.b64decode(encrypted, validate=True)
        plain: bytes = cipher.decrypt(content[:_NONCE], content[_NONCE:], _associated(entry))
    except (InvalidTag, ValueError) as err:
        raise ConfigError(
            f"{path.name}: the value of {entry} does not decrypt",
            "it was cut off, changed, or belongs to another name",
            f"put the line back (`git log -p {path.name}`), or set it again: flowmaster secret set {entry}",
        ) from err
    return plain.decode(errors="surrogatepass")


def _associated(entry: Entry) -> bytes:
    return json.dumps(entry).encode()
