"""nginx's effective configuration: the servers that it loads, and what each of them inherits. Pure.

Includes are followed in the context where they stand, from the file that nginx was started with. A file that cannot be
parsed or was not read is named, and the rest is still given.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from flowmaster.host import nginx_credentials, nginx_tree, server_match

Entry = dict[str, Any]
_GLOB = re.compile(r"[*?\[]")
_LONGEST = 200
"""Characters of a value above which its fingerprint stands for it."""
_MOST = 20_000
"""Directives after which no further include is followed: a file that is included everywhere multiplies."""
_DEFINES = {
    "upstream": 0, "map": -1, "geo": -1, "split_clients": -1, "log_format": 0, "js_set": 0, "perl_set": 0,
    "limit_req_zone": None, "limit_conn_zone": None, "proxy_cache_path": None, "fastcgi_cache_path": None,
    "uwsgi_cache_path": None, "scgi_cache_path": None, "keyval_zone": None, "keyval": -1, "match": 0,
}  # fmt: skip
"""Directives that only matter to a server that names what they define: by its word, or by `zone=NAME:`."""
_ZONE = re.compile(r"^(?:keys_)?zone=([^:]+)")
_NOT_RECORDED = frozenset({"include", "load_module", "pid", "user", "server", "http", "stream", "mail"})
_SEVERAL = frozenset({"set_real_ip_from", "allow", "deny", "access_log", "error_log", "env", "resolver"})


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Load:
    """One inclusion of a file: by which line, and in which block (`http`, `server`; empty for the outermost level)."""

    by: Place
    context: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A directive beside the servers, in a form that can be shown and recorded. Credentials are fingerprints."""

    directive: str
    value: str
    place: Place
    defines: str = ""
    """The name by which servers use it, such as an upstream's; empty for what each server inherits."""
    text: str = field(default="", repr=False)
    """All of its words as they stand in the file."""


@dataclass(frozen=True)
class Server:
    """A `server` block of http as loaded, includes within it resolved."""

    match: server_match.Server
    block: Sequence[Entry]
    around: Sequence[Setting] = ()
    """The directives beside the servers."""

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.match.file, self.match.line)

    def inherits(self, setting: Setting) -> bool:
        """Return whether a directive of http has an effect on it: it has none of its own, or the definition is named.

        A directive of a level replaces those of that name from the level above, also where several stand side by side.
        """
        if setting.defines:
            return _names(self._acting, setting.defines)
        return _inherits(self.block, setting.directive)

    @cached_property
    def _acting(self) -> str:
        """The words of all that acts on it: its own, those it inherits, and definitions that any of these name."""
        inherited = [each.text for each in self.around if not each.defines and _inherits(self.block, each.directive)]
        text = " ".join([_words(self.block), *inherited])
        rest = [each for each in self.around if each.defines]
        while named := [each for each in rest if _names(text, each.defines)]:
            text = " ".join([text, *(each.text for each in named)])
            rest = [each for each in rest if each not in named]
        return text


@dataclass(frozen=True)
class Configuration:
    """All that nginx loads from a main file."""

    main: str
    entries: Sequence[Entry]
    """The outermost directives, includes resolved; each has its `file` beside its `line`."""
    loads: Mapping[str, Sequence[Load]]
    """By file, each inclusion of it."""
    unparsed: Mapping[str, str] = field(default_factory=dict)
    """Files that are no configuration as it is known here, with the reason."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Included files whose content is not known, with the context of the include."""

    @cached_property
    def servers(self) -> Sequence[Server]:
        """The servers of http, in nginx's order."""
        return [
            Server(server_match.server_of(str(entry["file"]), entry), entry["block"], list(self.settings.values()))
            for http in self._https
            for entry in http["block"]
            if entry["directive"] == "server" and "block" in entry
        ]

    @cached_property
    def settings(self) -> Mapping[str, Setting]:
        """The directives of http and of the outermost level beside the servers, by `directive` or `directive[word]`."""
        return self.settings_besides(())

    def settings_besides(self, own: Collection[str]) -> Mapping[str, Setting]:
        """Those of them that do not stand in one of these files."""
        found: dict[str, list[tuple[str, Entry]]] = {}
        events = [e for entry in self.entries if entry["directive"] == "events" for e in entry.get("block", ())]
        for entry in (*self.entries, *(e for http in self._https for e in http["block"])):
            name = entry["directive"]
            if name not in _NOT_RECORDED and name != "events" and entry["file"] not in own:
                key, value = _keyed(entry)
                found.setdefault(key, []).append((value, entry))
        for entry in events:
            found[f"events[{entry['directive']}]"] = [(nginx_tree.joined(entry["args"]), entry)]
        return {key: _setting(several) for key, several in found.items()}

    def included(self, own: Collection[str]) -> Mapping[str, tuple[Setting, Server]]:
        """The directives of other files within the servers of these files, by `included[FILE].directive`."""
        found: dict[str, list[tuple[str, Entry]]] = {}
        owners: dict[str, Server] = {}
        for server in self.servers:
            for entry in _from_others(server.block, server.match.file) if server.match.file in own else ():
                key, value = _keyed(entry)
                key = f"included[{entry['file']}].{key}"
                if owners.setdefault(key, server) is server:
                    found.setdefault(key, []).append((value, entry))
        return {key: (_setting(several), owners[key]) for key, several in found.items()}

    def loaded(self, file: str) -> Sequence[Load]:
        """The inclusions of a file by which its servers are loaded."""
        return [load for load in self.loads.get(file, ()) if load.context == "http"]

    @property
    def _https(self) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry["directive"] == "http" and "block" in entry)


def load(files: Mapping[str, str | None], main: str) -> Configuration:
    """The configuration that begins with a file.

    :param files: the text of each file on the server that may be included; None where it could not be read.
    """
    reader = _Reader(files, main)
    entries = list(reader.file(main, "", ()))
    return Configuration(main, entries, reader.loads, reader.unparsed, reader.unread)


def recorded_setting(key: str, value: str) -> Setting:
    """A setting of which no more than key and value are known, since no file has it any more."""
    name, _, word = key.partition("[")
    return Setting(name, value, Place("", 0), word.removesuffix("]").split(" ")[-1] if name in _DEFINES else "")


def fingerprint(text: str) -> str:
    """A short hash of a text, as it is recorded."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]


class _Reader:
    """The files, and what is found out about them while includes are followed."""

    def __init__(self, files: Mapping[str, str | None], main: str) -> None:
        self.files, self.folder = files, posixpath.dirname(main)
        self.loads: dict[str, list[Load]] = {}
        self.unparsed: dict[str, str] = {}
        self.unread: dict[str, str] = {}
        self._parsed: dict[str, list[Entry]] = {}
        self._count = 0

    def file(self, path: str, context: str, within: tuple[str, ...]) -> Iterator[Entry]:
        """The directives of a file, in the context where it is included."""
        text = self.files.get(path)
        if text is None:
            self.unread.setdefault(path, context)
            return
        if path not in self._parsed:
            try:
                self._parsed[path] = nginx_tree.parse(nginx_tree.readable(text))
            except nginx_tree.SyntaxProblem as err:
                self._parsed[path] = []
                self.unparsed[path] = str(err)
        yield from self._resolved(self._parsed[path], path, context, (*within, path))

    def _resolved(self, entries: Iterable[Entry], file: str, context: str, within: tuple[str, ...]) -> Iterator[Entry]:
        for entry in entries:
            name, words = entry["directive"], entry["args"]
            if name == "#":
                continue
            self._count += 1
            if name == "include" and len(words) == 1 and "block" not in entry:
                for path in self._matching(words[0]):
                    self.loads.setdefault(path, []).append(Load(Place(file, entry["line"]), context))
                    if path not in within and self._count < _MOST:
                        yield from self.file(path, context, within)
                continue
            found = {**entry, "file": file}
            if "block" in entry:
                found["block"] = list(self._resolved(entry["block"], file, name, within))
            yield found

    def _matching(self, pattern: str) -> list[str]:
        """The files that an include names, in nginx's order; one that is named without a pattern has to be there."""
        whole = posixpath.normpath(posixpath.join(self.folder, pattern))
        if not _GLOB.search(whole):
            return [whole]
        return sorted(path for path in self.files if _matches(path, whole))


def _from_others(block: Iterable[Entry], file: str) -> Iterator[Entry]:
    """The directives of a block, at any depth, that stand in another file; of these the outermost ones."""
    for entry in block:
        if entry["file"] != file:
            yield entry
        else:
            yield from _from_others(entry.get("block", ()), file)


def _matches(path: str, pattern: str) -> bool:
    names, parts = path.split("/"), pattern.split("/")
    return len(names) == len(parts) and all(
        fnmatchcase(name, part) and not (name.startswith(".") and not part.startswith("."))
        for name, part in zip(names, parts, strict=True)
    )


def _words(entries: Iterable[Entry]) -> str:
    return " ".join(str(word) for entry in nginx_tree.every(entries) for word in (entry["directive"], *entry["args"]))


def _names(text: str, name: str) -> bool:
    """Whether a text names a definition, with braces around a variable's name or without."""
    bare = re.escape(name.removeprefix("$"))
    pattern = rf"\$(?:\{{{bare}\}}|{bare}(?!\w))" if name.startswith("$") else rf"(?<![\w$]){bare}(?!\w)"
    return re.search(pattern, text) is not None


def _inherits(block: Iterable[Entry], directive: str) -> bool:
    entries = list(block)
    if any(entry["directive"] == directive for entry in entries):
        return False
    locations = [entry for entry in entries if entry["directive"] == "location" and "block" in entry]
    everywhere = any(entry["args"] == ["/"] for entry in locations)
    return not everywhere or any(_inherits(entry["block"], directive) for entry in locations)


def _keyed(entry: Entry) -> tuple[str, str]:
    """The key of a directive beside others, and its value as text."""
    name, words = str(entry["directive"]), [str(word) for word in entry["args"]]
    shown = nginx_credentials.masked(name, words)
    text, key = nginx_tree.joined(words), name
    if "block" in entry:
        key = f"{name}[{nginx_tree.joined(shown)}]" if words else name
        text = " ".join(nginx_tree.build(entry["block"], 0).split())
        hidden = any(
            nginx_credentials.masked(e["directive"], e["args"]) != e["args"] for e in nginx_tree.every(entry["block"])
        )
        return key, _short(text, hidden=hidden)
    if nginx_tree.HEADERS.search(name) and words:
        key, text = f"{name}[{nginx_tree.header(words[0])}]", nginx_tree.joined(words[1:])
    elif name.endswith("_param") and words:
        key, text = f"{name}[{words[0]}]", nginx_tree.joined(words[1:])
    elif name in _DEFINES and words:
        key, text = f"{name}[{_defined(name, words)}]", nginx_tree.joined(words)
    elif name not in _SEVERAL:
        text = str(nginx_tree.tree([entry]).get(name, text)) if len(words) == 1 else text
    return key, _short(text, hidden=shown != words)


def _short(text: str, *, hidden: bool) -> str:
    if hidden:
        return f"{nginx_credentials.HIDDEN} sha256 {fingerprint(text)}"
    return text if len(text) <= _LONGEST else f"{len(text)} characters, sha256 {fingerprint(text)}"


def _setting(several: Sequence[tuple[str, Entry]]) -> Setting:
    last = several[-1][1]
    name = str(last["directive"])
    value = _short("; ".join(value for value, _ in several), hidden=False)
    place = Place(str(last["file"]), int(last["line"]))
    defines = _defined(name, last["args"]) if name in _DEFINES and last["args"] else ""
    return Setting(name, value, place, defines, _words(entry for _, entry in several))


def _defined(name: str, words: Sequence[str]) -> str:
    """What a directive defines: an upstream, a variable, a zone."""
    at = _DEFINES[name]
    if at is not None:
        return words[at]
    return next((match[1] for word in words if (match := _ZONE.match(word))), words[0])
