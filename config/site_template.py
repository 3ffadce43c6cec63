"""Templates of nginx sites: a site's file as it stands, with placeholders for the addresses of Services. Pure.

``{{ frontend }}`` stands for the address of a Service with its port, ``{{ frontend.ip }}`` for the address alone,
``{{ frontend:8080 }}`` for the address with another port, and ``{{ '{{' }}`` for two braces. Bytes that are no UTF-8
are kept as they are in a text (surrogateescape).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from config import nginx_syntax
from config.errors import ConfigError

_PLACEHOLDER = re.compile(
    r"""\{\{(?!\{)
    (?P<whole>\ *(?:
        (?P<service>[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)(?P<part>\.ip|:[0-9]{1,5})?
        | (?P<literal>'\{\{')
    )\ *\}\})?""",
    re.VERBOSE,
)
_COMMENT = re.compile(r"[ \t]*#")
_MARKED = re.compile(r"([a-z0-9-]+)\.service\.invalid")
"""What stands for the address of a Service where none is known."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A placeholder for the address of a Service: the Service, which part of its address, and the line."""

    service: str
    part: str
    line: int

    def rendered(self, address: str) -> str:
        """The text for an address, ``IP:PORT``."""
        ip = address.rpartition(":")[0]
        return {"": address, ".ip": ip}.get(self.part, f"{ip}{self.part}")


@lru_cache(maxsize=64)
def parts(text: str) -> tuple[str | Placeholder, ...]:
    """The parts of a template.

    :raises ConfigError: where two braces begin no placeholder; it names the line.
    """
    found: list[str | Placeholder] = []
    at = 0
    for match in _PLACEHOLDER.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if not match["whole"]:
            raise ConfigError(
                f"line {line}: {text[match.start() :].splitlines()[0][:40]!r} is no placeholder",
                "a placeholder is {{ SERVICE }}, {{ SERVICE.ip }} or {{ SERVICE:PORT }}",
                "correct it, or write {{ '{{' }} for two braces",
            )
        found.append(text[at : match.start()])
        found.append("{{" if match["literal"] else Placeholder(match["service"], match["part"] or "", line))
        at = match.end()
    return (*found, text[at:])


def placeholders(text: str) -> list[Placeholder]:
    """The placeholders of a template, in the order in which they stand there."""
    return [part for part in parts(text) if isinstance(part, Placeholder)]


def rendered(text: str, addresses: Mapping[str, str]) -> str:
    """Render a template.

    :param addresses: ``IP:PORT`` by service, at least for those that the template names.
    """
    return "".join(p if isinstance(p, str) else p.rendered(addresses[p.service]) for p in parts(text))


def made_of(text: str, addresses: Mapping[str, str]) -> str:
    """Make a template of a file: addresses of Services become placeholders, but for those in lines of comments.

    :param addresses: ``IP:PORT`` by service.
    """
    owners = {address.rpartition(":")[0]: (service, address) for service, address in addresses.items()}
    known = "|".join(map(re.escape, sorted(owners)))
    pattern = re.compile(rf"(?<![\w.:-])({known})(:[0-9]{{1,5}}(?![\w.]))?(?![\w-]|\.\w)")
    lines = text.split("\n")
    return "\n".join(
        _escaped(line) if not known or _COMMENT.match(line) else _with_placeholders(line, pattern, owners)
        for line in lines
    )


def _with_placeholders(line: str, pattern: re.Pattern[str], owners: Mapping[str, tuple[str, str]]) -> str:
    found, at = "", 0
    for match in pattern.finditer(line):
        service, address = owners[match[1]]
        port = match[2] or ""
        part = "" if match[0] == address else port or ".ip"
        found += f"{_escaped(line[at : match.start()])}{{{{ {service}{part} }}}}"
        at = match.end()
    return found + _escaped(line[at:])


def _escaped(text: str) -> str:
    return text.replace("{{", "{{ '{{' }}")


def marked(text: str) -> str:
    """Render a template with a mark in the place of each address, which :func:`services_in` finds again."""
    return rendered(text, {p.service: f"{p.service}.service.invalid:80" for p in placeholders(text)})


def services_in(word: str) -> list[str]:
    """The Services that a word of :func:`marked` names."""
    return _MARKED.findall(word)


def directives(text: str) -> list[dict[str, Any]]:
    """The directives of a template, with marks in the place of addresses; none where it cannot be read so."""
    try:
        return nginx_syntax.parse(marked(text))
    except nginx_syntax.SyntaxProblem:
        return []


def served(text: str) -> list[tuple[int, str]]:
    """The ports, on all IPv4 addresses, and names that the servers of a template answer for."""
    found: dict[tuple[int, str], None] = {}
    for entry in directives(text):
        if entry["directive"] != "server" or "block" not in entry:
            continue
        listening = [d["args"] for d in entry["block"] if d["directive"] == "listen" and d["args"]] or [["80"]]
        names = [name.lower() for d in entry["block"] if d["directive"] == "server_name" for name in d["args"]]
        for words in listening:
            port = any_address(words[0])
            default = {"default_server", "default"} & set(words[1:])
            if port is not None:
                found |= {(port, name): None for name in (*(names or [""]), *(["_"] if default else []))}
    return list(found)


def any_address(word: str) -> int | None:
    """The port of a `listen` on all IPv4 addresses; None for one on other addresses."""
    address, colon, port = word.rpartition(":")
    if not colon and not word.isdigit():
        address, port = word, "80"
    return int(port) if address in ("", "*", "0.0.0.0") and port.isdigit() else None  # noqa: S104  a word of nginx


def ports(text: str) -> Iterator[int]:
    """The ports that a template names in `listen`, on whichever address."""
    for entry in directives(text):
        for inner in entry.get("block", ()) if entry["directive"] == "server" else ():
            port = inner["args"][0].rpartition(":")[2] if inner["directive"] == "listen" and inner["args"] else ""
            if port.isdigit():
                yield int(port)
