"""Renders the files of catalogue and stack for an adoption. Pure."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from glob import escape
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import SingleQuotedScalarString

from config.load import PROJECT
from config.reverse_proxy import Recorded
from config.secrets_file import Entry, Values
from flowmaster.adopt import unmanaged
from flowmaster.adopt.describe import Description
from flowmaster.adopt.edits import Edits, applied, edited
from flowmaster.compare.finding import ObjectRef

Body = dict[str, Any]
PARTS = ("configMaps", "secrets", "externalServices", "rawServices", "services")
"""Parts of the catalogue with one entry for each object."""
_HEADER = """\
# What each service is, as `flowmaster adopt` found it running. Edit it as you like: see `pulumi preview`.
# Where a service needs something that no field says, it is in its override.
"""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A file of an adoption, before its secrets are encrypted. The text does not contain them."""

    path: Path
    before: str
    after: str


def diff(draft: Draft) -> str:
    """Return a diff of a file that would be written. Bytes of it that are no UTF-8 are written out."""
    before, after = (
        text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").splitlines()
        for text in (draft.before, draft.after)
    )
    return "\n".join(unified_diff(before, after, str(draft.path), str(draft.path), lineterm=""))


def catalogue_text(catalogue: Body) -> str:
    """Return the catalogue as YAML."""
    return _HEADER + yaml.dump(catalogue, Dumper=_Readable, sort_keys=False, width=110, allow_unicode=True)


def manifest_text(body: Body) -> str:
    """Return an object as YAML."""
    return yaml.dump(body, Dumper=_Readable, sort_keys=False, width=110, allow_unicode=True)


def stack_text(
    original: str,
    services: Mapping[str, Body],
    adopted: Body,
    rules: Sequence[Body] = (),
) -> str:
    """Return the stack file with the live releases. Everything else, comments included, stays.

    :param rules: those that adoption makes (:mod:`flowmaster.adopt.unmanaged`); they take the place of those that
        it made before.
    """
    editor = _editor()
    document = editor.load(original)
    config = document["config"]
    config[f"{PROJECT}:cluster"]["uid"] = adopted["uid"]
    config[f"{PROJECT}:adopted"] = _inline(adopted)
    config[f"{PROJECT}:services"] = CommentedMap((name, _inline(release)) for name, release in services.items())
    _set_rules(config, rules)
    # Old values go: what the namespace holds now replaces them.
    _remove_secrets(config)
    stream = io.StringIO()
    editor.dump(document, stream)
    return stream.getvalue()


def with_sites(original: str, sites: Mapping[str, Body], without: Collection[str], recorded: Recorded | None) -> str:
    """Return the stack file with these nginx sites, without those others, and with what all of them inherit."""
    if not sites and not without and recorded is None:
        return original
    editor = _editor()
    document = editor.load(original)
    config, key = document["config"], f"{PROJECT}:reverseProxy"
    proxy = config.get(key) or CommentedMap()
    there = proxy.setdefault("sites", CommentedMap())
    for name in without:
        there.pop(name, None)
    for name, site in sites.items():
        there[name] = _site(site)
    if there:
        config[key] = proxy
    else:
        config.pop(key, None)
    stream = io.StringIO()
    editor.dump(document, stream)
    return with_recorded(stream.getvalue(), recorded) if there and recorded is not None else stream.getvalue()


def with_recorded(original: str, recorded: Recorded) -> str:
    """Return the stack file with the record of what nginx's sites inherit. Each value is quoted: `on` is a text."""
    editor = _editor()
    document = editor.load(original)
    values = recorded.model_dump(by_alias=True, exclude_none=True)
    for key in ("inherited", "files"):
        values[key] = CommentedMap((name, SingleQuotedScalarString(value)) for name, value in values[key].items())
    document["config"][f"{PROJECT}:reverseProxy"]["recorded"] = CommentedMap(values)
    stream = io.StringIO()
    editor.dump(document, stream)
    return stream.getvalue()


def added_to_stack(original: str, services: Mapping[str, Body], added: Iterable[ObjectRef]) -> str:
    """Return the stack file with further releases, without the rules that ignored these objects."""
    editor = _editor()
    document = editor.load(original)
    config = document["config"]
    releases = config.setdefault(f"{PROJECT}:services", CommentedMap())
    for name, release in services.items():
        releases[name] = _inline(release)
    about = {(ref.kind, escape(ref.name)) for ref in added}
    rules = config.get(f"{PROJECT}:rules") or []
    for number in reversed(range(len(rules))):
        rule = rules[number]
        if rule.get("why") == unmanaged.WHY and (rule.get("kind"), rule.get("name")) in about:
            del rules[number]
    stream = io.StringIO()
    editor.dump(document, stream)
    return stream.getvalue()


def added_to_catalogue(original: str, added: Body) -> str:
    """Return the catalogue file with further entries. Everything else, comments included, stays."""
    data = yaml.safe_load(original)
    entries = {part: added[part] for part in PARTS if added.get(part)}
    folder = {"objects": added["objects"]} if added.get("objects") else {}
    if catalogue_text(data) == original:
        # nobody edited it since
        more = {part: (data.get(part) or {}) | entry for part, entry in entries.items()}
        return catalogue_text(data | more | folder)
    editor = YAML()
    editor.width, editor.preserve_quotes = 110, True
    editor.indent(mapping=2, sequence=4, offset=2)
    document = editor.load(original)
    document.update(folder)
    for part, entry in entries.items():
        if not document.get(part):
            document[part] = CommentedMap()
        document[part].update(entry)
    stream = io.StringIO()
    editor.dump(document, stream)
    return stream.getvalue()


def edited_catalogue(original: str, edits: Edits) -> str:
    """Return the catalogue file with edits. Everything else, comments included, stays."""
    data = yaml.safe_load(original)
    if catalogue_text(data) == original:
        # nobody edited it since it was written
        return catalogue_text(applied(edits, data))
    return edited(original, edits)


def without_secrets(text: str) -> str:
    """Return a stack file without its secret values, in the layout of :func:`stack_text`."""
    editor = _editor()
    document = editor.load(text)
    _remove_secrets(document["config"])
    stream = io.StringIO()
    editor.dump(document, stream)
    return stream.getvalue()


def _editor() -> YAML:
    """An editor of stack files. Quotes stay: another reader may need them."""
    editor = YAML()
    editor.width, editor.preserve_quotes = 200, True
    return editor


def _remove_secrets(config: CommentedMap) -> None:
    for key in ("secrets", "sealed"):
        config.pop(f"{PROJECT}:{key}", None)


def _set_rules(config: CommentedMap, rules: Sequence[Body]) -> None:
    key = f"{PROJECT}:rules"
    there = config.get(key) or CommentedSeq()
    for number in reversed(range(len(there))):
        if there[number].get("why") == unmanaged.WHY:
            del there[number]
    there.extend(map(_inline, rules))
    if there or key in config:
        config[key] = there


def secret_values(description: Description) -> Values:
    """Return values of Secrets and sealed values, by their entries in the secrets file."""
    groups = (("secrets", description.secrets), ("sealed", description.sealed))
    return {
        Entry(group, owner, key): value
        for group, values in groups
        for owner, keys in values.items()
        for key, value in keys.items()
    }


def _site(site: Body) -> CommentedMap:
    """A site, each of its locations on a line."""
    if "template" in site:
        return _inline(_quoted(site))
    locations = {path: _inline(_quoted(location)) for path, location in site["locations"].items()}
    return CommentedMap({**_quoted(site), "locations": CommentedMap(locations)})


def _quoted(value: Any) -> Any:
    """A value with those texts in quotes that a reader of YAML, of version 1.1 or 1.2, takes for something else."""
    if isinstance(value, dict):
        return {_quoted(key): _quoted(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_quoted(part) for part in value]
    return SingleQuotedScalarString(value) if isinstance(value, str) and _is_ambiguous(value) else value


def _is_ambiguous(text: str) -> bool:
    resolved = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return resolved != _STRING or _AMBIGUOUS.fullmatch(text) is not None


def _inline(values: Body) -> CommentedMap:
    mapping = CommentedMap(values)
    mapping.fa.set_flow_style()
    return mapping


_STRING = "tag:yaml.org,2002:str"
_RESOLVER = yaml.SafeLoader("")
_AMBIGUOUS = re.compile(r"[yYnN~]|[-+]?[\d._]+([eE][-+]?\d+)?|[-+]?0[obx][\da-fA-F_]+|[-+]?\.(inf|nan)", re.IGNORECASE)
"""What other readers of YAML than PyYAML may take for a number or a boolean."""


class _Readable(yaml.SafeDumper):
    """A YAML dumper with literal multi-line strings and indented lists."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Readable.add_representer(str, _text)
