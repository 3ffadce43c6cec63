"""The description into the catalogue's and the stack's files: whole or not at all, secrets encrypted by Pulumi."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from adopt import left
from adopt.describe import Description
from config.errors import ConfigError
from config.load import PROJECT

Body = dict[str, Any]
_HEADER = """\
# What each service is, as `flowmaster adopt` found it running. Edit it as you like: see `pulumi preview`.
# Where a service needs something that no field says, it is in its override.
"""


def catalogue_text(catalogue: Body) -> str:
    """The catalogue as YAML."""
    return _HEADER + yaml.dump(catalogue, Dumper=_Readable, sort_keys=False, width=110, allow_unicode=True)


def stack_text(
    original: str,
    services: Mapping[str, Body],
    adopted: Body,
    sites: Mapping[str, Body] | None = None,
    rules: Sequence[Body] = (),
) -> str:
    """The stack's file with the releases and nginx's sites that run, everything else (comments too) as it was.

    :param rules: those that adoption makes (:mod:`adopt.left`); they take the place of those that it made before.
    """
    editor = YAML()
    editor.width = 200
    document = editor.load(original)
    config = document["config"]
    config[f"{PROJECT}:cluster"]["uid"] = adopted["uid"]
    config[f"{PROJECT}:adopted"] = _inline(adopted)
    config[f"{PROJECT}:services"] = CommentedMap((name, _inline(release)) for name, release in services.items())
    for name, site in (sites or {}).items():
        config[f"{PROJECT}:reverseProxy"]["sites"][name] = _site(site)
    _set_rules(config, rules)
    # Old values go: what the namespace holds now replaces them.
    for key in ("secrets", "sealed"):
        config.pop(f"{PROJECT}:{key}", None)
    stream = io.StringIO()
    editor.dump(document, stream)
    return stream.getvalue()


def _set_rules(config: CommentedMap, rules: Sequence[Body]) -> None:
    key = f"{PROJECT}:rules"
    there = config.get(key) or CommentedSeq()
    for number in reversed(range(len(there))):
        if there[number].get("why") == left.WHY:
            del there[number]
    there.extend(map(_inline, rules))
    if there or key in config:
        config[key] = there


def encrypt(path: Path, stack: str, root: Path, values: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Set secret values, by path below `flowmaster:`, in a stack file. Pulumi reads each from its standard input,
    so that none is on a command line or on disk in the clear.

    :raises ConfigError: in Pulumi's words.
    """
    for number, (place, value) in enumerate(values.items(), start=1):
        say(f"encrypting secret {number} of {len(values)}")
        command = ["pulumi", "config", "set", "--path", f"{PROJECT}:{place}", "--secret", "--raw"]
        command += ["--stack", stack, "--config-file", str(path), "--non-interactive"]
        try:
            result = subprocess.run(command, cwd=root, input=value, capture_output=True, text=True, check=False)
        except FileNotFoundError as err:
            raise ConfigError(
                "pulumi is not on PATH", "it encrypts the secrets", "run `make demo`, or install it"
            ) from err
        if result.returncode:
            words = " ".join(result.stderr.split()).removeprefix("error: ")
            raise ConfigError(
                f"secret {place} cannot be encrypted: {words[:200]}",
                "nothing was written: no secret is kept in the clear",
                "set PULUMI_CONFIG_PASSPHRASE, and make the stack if there is none (`pulumi stack init`)",
            )


def places(description: Description) -> dict[str, str]:
    """Secret values by their path below `flowmaster:`."""
    found = {}
    for group, values in (("secrets", description.secrets), ("sealed", description.sealed)):
        for name, keys in values.items():
            for key, value in keys.items():
                quoted = key.replace('"', '\\"')
                found[f'{group}["{name}"]["{quoted}"]'] = value
    return found


def replace_files(files: Mapping[Path, str]) -> None:
    """Write all of the files, each at once: a reader, or a run that is killed, sees an old or a new one, never half."""
    with tempfile.TemporaryDirectory() as scratch:
        for number, (path, text) in enumerate(files.items()):
            beside = path.with_name(f".{path.name}.{os.getpid()}")
            try:
                beside.write_text(text, encoding="utf-8")
                if path.exists():
                    shutil.copymode(path, beside)
                    shutil.copy(path, Path(scratch) / str(number))
                beside.replace(path)
            except OSError as err:
                beside.unlink(missing_ok=True)
                _put_back(files, number, Path(scratch))
                raise ConfigError(
                    f"{path}: {err.strerror}", "the files are as they were before", "make room, or set the permissions"
                ) from err


def _put_back(files: Mapping[Path, str], done: int, scratch: Path) -> None:
    for number, path in enumerate(list(files)[:done]):
        if (scratch / str(number)).exists():
            shutil.copy(scratch / str(number), path)


def _site(site: Body) -> CommentedMap:
    """A site, each of its locations on a line."""
    locations = {path: _inline(location) for path, location in site["locations"].items()}
    return CommentedMap({**site, "locations": CommentedMap(locations)})


def _inline(values: Body) -> CommentedMap:
    mapping = CommentedMap(values)
    mapping.fa.set_flow_style()
    return mapping


class _Readable(yaml.SafeDumper):
    """Multi-line text as it reads, lists indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Readable.add_representer(str, _text)
