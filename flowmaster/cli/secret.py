"""`flowmaster secret`: manages the secret values of a stack, encrypted in a file beside the stack file."""

from __future__ import annotations

import argparse
import base64
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import ConfigError, closest

if TYPE_CHECKING:
    from config.secret_store import Store
    from config.secrets_file import Entry

_SHOWN = 10
EPILOG = """\
a NAME is SECRET/KEY, sealed/SERVICE/VARIABLE or compose/PROJECT/KEY, as `flowmaster secret list` shows them

  set      from the standard input (without the line end at its end), or as a file has it (--file)
  get      to the standard output; to a terminal only with --show
  list     names, never values; those that are still in the stack's own file are marked
  remove   take a value away
  rotate   make a new data key and encrypt everything with it
  migrate  move what the stack's own file has encrypted into the file of secret values
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("action", choices=("set", "get", "list", "remove", "rotate", "migrate"))
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.add_argument("--file", type=Path, metavar="PATH", help="set: take the value from a file, as it is")
    parser.add_argument("--show", action="store_true", help="get: show the value although the output is a terminal")


def run(options: argparse.Namespace) -> int:
    """Run one action.

    :raises ConfigError: where the name, the value, the key or the file is not usable; nothing is changed then.
    """
    from config.load import ROOT
    from config.secret_store import opened

    needs = options.action in ("set", "get", "remove")
    if needs != bool(options.name):
        wrong = "needs the NAME of a value" if needs else "is about all values, and takes no NAME"
        raise ConfigError(f"secret {options.action} {wrong}", "", f"flowmaster secret {options.action} --help")
    value = _given(options) if options.action == "set" else b""
    with opened(options.stack, ROOT) as store:
        match options.action:
            case "set":
                _set(store, options.name, value)
            case "get":
                _get(store, options.name, show=options.show)
            case "list":
                _list(store)
            case "remove":
                _remove(store, options.name)
            case "rotate":
                print(f"{store.rotate()} values are encrypted with a new data key; commit {_files(store)}")
            case _:
                _migrate(store)
    return 0


def _given(options: argparse.Namespace) -> bytes:
    if options.file is not None:
        try:
            return bytes(options.file.read_bytes())
        except OSError as err:
            raise ConfigError(f"{options.file}: {err.strerror}", "nothing was changed", "correct the path") from err
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(f"{options.name}: ").encode()
    given = sys.stdin.buffer.read()
    return given.removesuffix(b"\n").removesuffix(b"\r")


def _set(store: Store, name: str, value: bytes) -> None:
    from config import secrets_file

    entry = secrets_file.named(name)
    text = _text(store, entry, value)
    store.write({**store.values(), entry: text})
    print(f"{entry} is set ({len(value)} bytes); commit {_files(store)}")


def _text(store: Store, entry: Entry, value: bytes) -> str:
    """Return the value in the form of the configuration: text, or base64 for a binary key of a Secret.

    :raises ConfigError: where the catalogue has no such key, or the value is no text and has to be one.
    """
    from config.catalogue import Catalogue
    from config.load import catalogue_file, validate
    from config.read_yaml import read_yaml

    if entry.group == "secrets":
        path = catalogue_file(store.given.get("catalogue"), store.root)
        known = validate(Catalogue, read_yaml(path), path.name).secrets
        found = known.get(entry.owner)
        keys = (*found.keys, *found.binary_keys) if found else ()
        if entry.key not in keys:
            names = [f"{owner}/{key}" for owner, s in known.items() for key in (*s.keys, *s.binary_keys)]
            raise ConfigError(
                f"{path.name} has no key {entry.key} of a secret {entry.owner}{closest(str(entry), names)}",
                f"known: {', '.join(keys or list(known)[:_SHOWN]) or 'none'}",
                f"add it to secrets.{entry.owner}.keys of the catalogue, or correct the name",
            )
        if found and entry.key in found.binary_keys:
            return base64.b64encode(value).decode()
    try:
        return value.decode()
    except UnicodeDecodeError as err:
        raise ConfigError(
            f"the value for {entry} is not text", "it is written down as text", "make its key one of binaryKeys"
        ) from err


def _get(store: Store, name: str, show: bool) -> None:
    from config import secrets_file

    values = {**store.values(), **store.in_stack()}
    entry = secrets_file.named(name, values)
    if sys.stdout.isatty():
        if not show:
            raise ConfigError(
                f"{entry} would be shown on this terminal",
                "whoever looks on, and whatever keeps its output, would have it",
                "send it to where it is needed (| COMMAND), or add --show",
            )
        print(f"warning: {entry} in the clear", file=sys.stderr)
        print(values[entry])
    else:
        sys.stdout.write(values[entry])


def _list(store: Store) -> None:
    from config import secrets_file

    own = store.in_stack()
    for entry in sorted({*secrets_file.names(store.file), *own}):
        print(f"{entry}{f'   (in {store.path.name}: see migrate)' if entry in own else ''}")


def _remove(store: Store, name: str) -> None:
    from config import secrets_file

    values = store.values()
    entry = secrets_file.named(name, {**values, **store.in_stack()})
    values.pop(entry, None)
    store.write(values, [entry])
    print(f"{entry} is removed; commit {_files(store)}")


def _migrate(store: Store) -> None:
    moved = store.in_stack()
    if not moved:
        print(f"nothing to do: {store.path.name} has no secret values")
        return
    store.write({**store.values(), **moved})
    print(f"{len(moved)} values moved from {store.path.name} to {store.file.name}; commit both")


def _files(store: Store) -> str:
    return f"{store.path.name} and {store.file.name}"
