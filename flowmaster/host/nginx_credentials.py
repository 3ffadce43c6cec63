"""Finds credentials in nginx's configuration, by the names of headers, variables and directives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from flowmaster.cluster.masking import Masker, telling
from flowmaster.compare.path import Path, render
from flowmaster.host import nginx_tree

HIDDEN = "(secret)"
"""What is shown in a credential's place."""
_GIVEN = re.compile(r"^set$|_param$")
"""Directives whose first word is the name of a variable, beside those of headers."""
_WHOLE = frozenset({"secure_link_secret", "secure_link_md5"})
"""Directives whose words are a credential by what they are for."""
_LUA = re.compile(r"""(\w+)(["']?\]?\s*=\s*|\s*\(\s*)(["'])((?:\\.|(?!\3).)*)\3""", re.DOTALL)
"""In Lua, a string that a variable, a field or a call is given."""
_LUA_CALLS = frozenset({"auth"})
_NO_CREDENTIALS = frozenset({"memcached_key", "redis_key"})
"""Variables that are named like credentials: what nginx looks up in a cache."""
_ORIGIN = re.compile(r"^\$?\{?(?:(?:sent_|upstream_)?http_|arg_|cookie_)?")
_VARIABLE = re.compile(r"\$(?:\{\w+\}|\w+)")
_SCHEME = re.compile(r"^[\s^]*(?:basic|bearer|digest|negotiate|token)\b", re.IGNORECASE)
_BY_FORM = Masker()
"""Knows no Secret: hides what its own form says is one."""
_SWITCHES = frozenset({"", "0", "1", "on", "off", "yes", "no", "true", "false"})


def named(name: str) -> bool:
    """Whether a header or variable of this name carries a credential."""
    bare = _ORIGIN.sub("", name).rstrip("}")
    if bare.lower() in _NO_CREDENTIALS:
        return False
    return telling(bare) or any(word in bare.lower() for word in ("authorization", "cookie"))


def masked(directive: str, words: Sequence[str]) -> list[str]:
    """The words of a directive with what is a credential in the clear hidden. A variable's name is none."""
    first, *rest = words or [""]
    if directive == "if" and len(rest) == 2 and named(first) and _in_the_clear(rest[1:]):
        # a pattern without "=" asks for names of cookies
        names = first.lower() == "$http_cookie" and "~" in rest[0] and "=" not in rest[1]
        return list(words) if names else [first, rest[0], HIDDEN]
    given = nginx_tree.HEADERS.search(directive) or _GIVEN.search(directive)
    if given and rest and named(first) and _in_the_clear(rest):
        return [first, HIDDEN]
    if directive in _WHOLE and _in_the_clear(words):
        return [HIDDEN]
    if directive.endswith("_by_lua_block"):
        return [_LUA.sub(_lua, word) for word in map(_BY_FORM.text, words)]
    return [_BY_FORM.text(word) for word in words]


def _lua(found: re.Match[str]) -> str:
    name, between, quote, text = found.groups()
    secret = name in _LUA_CALLS if "(" in between else named(name)
    return f"{name}{between}{quote}{HIDDEN}{quote}" if secret and text else found.group()


def _in_the_clear(words: Sequence[str]) -> bool:
    """Whether anything is left but variables, the kind of the credential, marks between them, or a mere switch."""
    text = _SCHEME.sub("", _VARIABLE.sub("", " ".join(word for word in words if word != "always")))
    return re.sub(r"[^\w+/=~.-]", "", text).lower().strip("=-./~") not in _SWITCHES


def shown(path: Path, value: Any, masker: Masker) -> tuple[Any, bool]:
    """A value of :func:`flowmaster.host.nginx_tree.tree` as it may be shown, and whether something in it was hidden."""
    if isinstance(value, dict):
        parts = {key: shown((*path, key), part, masker) for key, part in value.items()}
        keys = {key: _step(path, key, masker) for key in value}
        hidden = any(part[1] for part in parts.values()) or any(key != kept for key, kept in keys.items())
        return {keys[key]: part for key, (part, _) in parts.items()}, hidden
    if isinstance(value, list):
        entries = [shown(path, entry, masker) for entry in value]
        return [entry for entry, _ in entries], any(hidden for _, hidden in entries)
    if not isinstance(value, str) or not path:
        return value, False
    text = masker.text(_text(path, value))
    return text, text != value


def where(path: Path, masker: Masker) -> str:
    """A path of :func:`.nginx_tree.tree` as it may be shown: conditions have credentials in them, too."""
    return render(tuple(_step(path[:index], step, masker) for index, step in enumerate(path)))


def _step(before: Path, step: Any, masker: Masker) -> Any:
    if not isinstance(step, str):
        return step
    if not before or before[-1] != "if":
        return masker.text(step)
    condition = nginx_tree.plain(step)
    return masker.text(_mask("if", condition) + step.removeprefix(condition))


def _text(path: Path, value: str) -> str:
    name, words = str(path[-1]), nginx_tree.split(value)
    if name == nginx_tree.ORDER:
        directive, *rest = words
        return " ".join([directive, _mask(directive, nginx_tree.joined(rest))])
    within = str(path[-2]) if len(path) > 1 else ""
    if nginx_tree.HEADERS.search(within) or within == "set":
        key = nginx_tree.plain(name)
        changed = masked(within, [key, *words])
        return value if changed == [key, *words] else nginx_tree.joined(changed[1:])
    return _mask(name, value)


def _mask(directive: str, text: str) -> str:
    words = nginx_tree.split(text)
    changed = masked(directive, words)
    return text if changed == words else " ".join(changed)
