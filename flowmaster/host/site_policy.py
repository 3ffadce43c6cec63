"""Refuses directives of an nginx site that would expose Plane. Directives are judged as nginx parses them.

Comments, quotes and blanks do not count, paths are normalised, and variables that the file sets stand for their values.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import join, normpath
from typing import Any

from flowmaster.host import nginx_tree
from flowmaster.host.errors import PolicyError

PLANE_PORTS = frozenset({8083, 8012})
"""Plane's web page and its MCP server, on the server itself. Inside the cluster such a number means nothing."""
PLANE_PATH = re.compile(r"/opt/plane[^\s'\";]*")
PLANE_NAME = re.compile(r"(?<![\w.-])plane[-_][a-z][\w-]*", re.IGNORECASE)
_PLANE = "/opt/plane"
_BASES = ("/etc/nginx", "/usr/share/nginx")
"""What relative paths of files begin at: those of the configuration, and those of what is served."""
_FILE = re.compile(
    r"(?:^|_)(?:root|alias|include|log|temp_path|cache_path|store|file"
    r"|crl|dhparam|certificate|certificate_key|ticket_key|stylesheet)$"
)
"""Directives whose words are files or folders of the server."""
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_OPEN = re.compile(r"[$*?\[]")
"""Where the known beginning of a path ends: at a variable, or at a pattern."""
_URL = re.compile(r"[a-z]+://([^/?#\s]+)", re.IGNORECASE)
_REST = re.compile(r"[/?#]|\$\{?(?:request_uri|uri|document_uri|is_args)\b")
"""What ends the address in the target of a `*_pass`: a path, or a variable that is one."""
_DEPTH = 4
"""Variables within variables that are followed; what is deeper counts as unknown."""


@dataclass
class _Site:
    name: str
    values: Mapping[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """What the file sets each variable to, by its name."""


def check(name: str, content: str) -> None:
    """Refuse a site that serves, reads, listens on or leads to what is Plane's.

    :raises PolicyError: naming the directive and its line; also where the text cannot be read as nginx reads it.
    """
    try:
        directives = nginx_tree.parse(content)
    except nginx_tree.SyntaxProblem as err:
        raise PolicyError(
            f"refused: site {name} cannot be read: {err}",
            "what is not understood might touch Plane",
            "correct the directive: nginx would not take it either",
        ) from err
    site = _Site(name)
    every = [d for d in nginx_tree.every(directives) if d["directive"] != "#"]
    for directive in every:
        if directive["directive"] == "set" and len(directive["args"]) == 2:
            site.values[directive["args"][0].strip("${}").lower()].append(directive["args"][1])
    for directive in every:
        _check_words(site, directive)
        if _FILE.search(directive["directive"]):
            _check_files(site, directive)
        _check_ports(site, directive)


def _spelled(word: str, site: _Site, depth: int = _DEPTH) -> Iterator[str]:
    """The word with the values of those variables that the file sets; a variable that is not known stays.

    To nginx, `$A` and `$a` are one variable.
    """
    known = next((m for m in _VARIABLE.finditer(word) if (m[1] or m[2]).lower() in site.values), None)
    if known is None or not depth:
        yield word
        return
    for value in site.values[(known[1] or known[2]).lower()]:
        yield from _spelled(word[: known.start()] + value + word[known.end() :], site, depth - 1)


def _check_words(site: _Site, directive: Mapping[str, Any]) -> None:
    # words that stand side by side without a blank are several to the parser, and none at all to nginx
    for word in (*directive["args"], "".join(directive["args"])):
        for spelled in _spelled(word, site):
            for text in (spelled, normpath(spelled)):
                if match := PLANE_PATH.search(text) or PLANE_NAME.search(text):
                    raise _refused(site, directive, match[0], "Plane's files and containers are its own")


def _check_files(site: _Site, directive: Mapping[str, Any]) -> None:
    for word in directive["args"]:
        for spelled in _spelled(word, site):
            if any(_reaches_plane(join(base, spelled)) for base in _BASES):
                why = f"{_PLANE} lies below that, and Plane's files are its own"
                raise _refused(site, directive, spelled, why, "name a folder of its own, without variables before it")
            if spelled.startswith("$"):
                why = f"a path that begins with a variable may lead to {_PLANE}"
                raise _refused(site, directive, spelled, why, "write the path out")


def _reaches_plane(path: str) -> bool:
    """Whether an absolute path is, contains or may become one of Plane's. `/proc` has the whole server once more."""
    known = _OPEN.split(path, maxsplit=1)[0]
    if known == path:
        plain = re.sub("^/+", "/", normpath(path))
        return plain.startswith((_PLANE, "/proc/")) or f"{_PLANE}/".startswith(plain.rstrip("/") + "/")
    folder, _, last = known.rpartition("/")
    beginning = join(re.sub("^/+", "/", normpath(folder or "/")), last)
    return ".." in path.split("/") or beginning.startswith((_PLANE, "/proc/")) or _PLANE.startswith(beginning)


def _check_ports(site: _Site, directive: Mapping[str, Any]) -> None:
    name, words = directive["directive"], directive["args"]
    for word in words:
        for spelled in _spelled(word, site):
            for match in _URL.finditer(spelled):
                _check_port(site, directive, match[1])
    if not words:
        return
    if name.endswith("_pass") or (name == "server" and "block" not in directive):
        for spelled in _spelled(words[0], site):
            address = _REST.split(spelled.rpartition("://")[2], maxsplit=1)[0]
            if "$" in _port(address) or ("$" in address and not _port(address)):
                why = "what stands in a variable may be a port of Plane's"
                raise _refused(site, directive, spelled, why, "write the address out, with its port")
            _check_port(site, directive, address)
    if name == "listen":
        for spelled in _spelled(words[0], site):
            _check_port(site, directive, spelled if ":" in spelled else f":{spelled}")


def _port(address: str) -> str:
    """The port of `HOST:PORT`, also of `[IPv6]:PORT`; nothing where there is none."""
    host, colon, port = address.rpartition(":")
    return port if colon and (host.endswith("]") or not host.startswith("[")) else ""


def _check_port(site: _Site, directive: Mapping[str, Any], address: str) -> None:
    found = re.fullmatch(r"(\d+)(?:-(\d+))?.*", _port(address), re.DOTALL)
    if found is None:
        return
    first, last = int(found[1]), int(found[2] or found[1])
    if taken := sorted(port for port in PLANE_PORTS if first <= port <= last):
        raise _refused(site, directive, f"port {taken[0]}", "Plane listens there")


def _refused(site: _Site, directive: Mapping[str, Any], what: str, why: str, remedy: str = "") -> PolicyError:
    return PolicyError(
        f"refused: site {site.name}, line {directive['line']}: {directive['directive']}: {what}",
        why,
        remedy or "this project must never touch that: take it out of the configuration",
    )
