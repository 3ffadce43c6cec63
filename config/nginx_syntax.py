"""nginx's syntax: text to directives and back, by the rules of nginx's own reader and of Lua's blocks.

A directive is a mapping with `directive`, `line`, `args`, for a block `block`, and for a comment `comment`. Words are
as they stand in the file without the quotes around them; a backslash stays, but for the one before a word's own quote.

A reader of our own, since crossplane (0.5.8 of 2022 is the last one) takes the words of `set ${a} b` for one, drops a
comment at the end of a file, and refuses Lua that nginx runs: `set_by_lua_block $a{`, `content_by_lua_block{`, a brace
in a long string. Source: `ngx_conf_read_token` of nginx, `ngx_http_lua_conf_lua_block_parse` of lua-nginx-module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r\n]+)
    | \#(?P<comment>[^\n]*)
    | (?P<end>[;{}])
    | "(?P<double>(?:\\.|[^"\\])*)"
    | '(?P<single>(?:\\.|[^'\\])*)'
    | (?P<word>(?!["'])(?:\\.|\$\{|[^ \t\r\n;{\\])+)
    """,
    re.DOTALL | re.VERBOSE,
)
"""A brace behind a dollar belongs to the name of a variable; a quote or `#` within a word is one of its characters."""
_AFTER_QUOTES = frozenset(" \t\r\n;{)")
_LUA = "_by_lua_block"
_LUA_TOKEN = re.compile(
    r"""
    (?:--)?\[(?P<level>=*)\[.*?\](?P=level)\]
    | --[^\n]*
    | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'
    | (?P<brace>[{}])
    | .
    """,
    re.DOTALL | re.VERBOSE,
)
_QUOTES_NEEDED = re.compile(r"[\s;{}\"']|^#|^$")
_VARIABLE = re.compile(r"\$\{\w+\}")

Entry = dict[str, Any]


class SyntaxProblem(ValueError):  # noqa: N818  said in nginx's words
    """The text is no configuration of nginx."""


def parse(text: str) -> list[Entry]:
    """The directives of a file, comments included.

    :raises SyntaxProblem: where nginx would not read it.
    """
    return _Reader(text).block(outermost=True)


class _Reader:
    """A place in a text, and the line it is on."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.line = text, 0, 1

    def block(self, *, outermost: bool = False) -> list[Entry]:
        """The directives up to the brace that ends the block, or up to the end of the file."""
        found: list[Entry] = []
        words: list[str] = []
        comments: list[Entry] = []
        begun = self.line
        for kind, value in self._tokens():
            if kind == "comment":
                # one between the words of a directive comes after it
                line = begun if words else self.line
                (comments if words else found).append({"directive": "#", "line": line, "args": [], "comment": value})
            elif kind == "word":
                begun = begun if words else self.line - value.count("\n")
                words.append(value)
            elif value == "}" and not words and not outermost:
                return found
            elif value == "}" or not words:
                raise self._problem(f'unexpected "{value}"')
            else:
                found += [self._directive(words, begun, block=value == "{"), *comments]
                words, comments = [], []
        if words or not outermost:
            wanted = '";" or "}"' if words else '"}"'
            raise self._problem(f"unexpected end of file, expecting {wanted}")
        return found

    def _directive(self, words: list[str], line: int, *, block: bool) -> Entry:
        name, *args = words
        entry: Entry = {"directive": name, "line": line, "args": _condition(args) if name == "if" else args}
        if block and name.endswith(_LUA):
            args.append(self._lua())
        elif block:
            entry["block"] = self.block()
        return entry

    def _tokens(self) -> Iterator[tuple[str, str]]:
        """Words, comments and what ends directives, up to the end of the file; blocks within are read by others."""
        while self.at < len(self.text):
            match = _TOKEN.match(self.text, self.at)
            if match is None:
                # nothing but a quote without an end is left, or a backslash at the very end
                raise self._problem(f"unexpected end of file in {self.text[self.at : self.at + 20].splitlines()[0]!r}")
            self._go(match.end())
            kind = str(match.lastgroup)
            if kind in ("double", "single"):
                after = self.text[self.at : self.at + 1]
                if after and after not in _AFTER_QUOTES:
                    raise self._problem(f'unexpected "{after}"')
                quote = '"' if kind == "double" else "'"
                yield "word", match[kind].replace(f"\\{quote}", quote)
            elif kind == "comment":
                yield kind, match[kind].rstrip("\r")
            elif kind != "blank":
                yield kind, match[kind]

    def _lua(self) -> str:
        """The Lua up to the brace that ends its block: those in strings and comments do not count."""
        begun, depth = self.at, 1
        for match in _LUA_TOKEN.finditer(self.text, begun):
            depth += {"{": 1, "}": -1}.get(match["brace"] or "", 0)
            if not depth:
                self._go(match.end())
                return self.text[begun : match.start()]
        raise self._problem('unexpected end of file, expecting "}" behind Lua code')

    def _go(self, at: int) -> None:
        self.line += self.text.count("\n", self.at, at)
        self.at = at

    def _problem(self, words: str) -> SyntaxProblem:
        return SyntaxProblem(f"{words} in line {self.line}")


def _condition(args: list[str]) -> list[str]:
    """The words of `if` without the parentheses around them."""
    if not args or not args[0].startswith("(") or not args[-1].endswith(")"):
        return args
    args[0] = args[0][1:]
    args[-1] = args[-1][:-1]
    return args[not args[0] : len(args) - (not args[-1])]


def build(directives: Iterable[Mapping[str, Any]], indent: int = 4, depth: int = 0) -> str:
    """Directives as the text of a file, without an end of line at its end."""
    margin, lines, beside = " " * indent * depth, list[str](), None
    for entry in directives:
        name, words = entry["directive"], [quoted(word) for word in entry["args"]]
        if name == "#":
            comment = f"#{entry['comment']}"
            if entry["line"] == beside:
                lines[-1] += f" {comment}"
            else:
                lines.append(f"{margin}{comment}")
            beside = None
            continue
        beside = entry.get("line")
        said = f"if ({' '.join(words)})" if name == "if" else " ".join([quoted(name), *words])
        if "block" in entry:
            lines += [f"{margin}{said} {{", *filter(None, [build(entry["block"], indent, depth + 1)]), f"{margin}}}"]
        elif name.endswith(_LUA):
            lines.append(f"{margin}{' '.join([name, *words[:-1]])} {{{entry['args'][-1]}}}")
        else:
            lines.append(f"{margin}{said};")
    return "\n".join(lines)


def quoted(word: str) -> str:
    """A word as it has to stand in a file: in quotes where nginx would else not take it for one word."""
    if not _QUOTES_NEEDED.search(_VARIABLE.sub("", word) or word):
        return word
    quote = '"' if "'" in word and '"' not in word else "'"
    return quote + word.replace(quote, f"\\{quote}") + quote
