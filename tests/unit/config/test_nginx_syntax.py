"""nginx's syntax, read as nginx reads it, and written back."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import crossplane
import pytest

from config.nginx_syntax import SyntaxProblem, build, parse, quoted
from flowmaster.host import nginx_credentials


def words(text: str) -> list[list[str]]:
    """The directives of a text, blocks within behind the one that has them, without comments."""
    found = []
    for entry in parse(text):
        if entry["directive"] != "#":
            found += [[entry["directive"], *entry["args"]], *words(build(entry.get("block", [])))]
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# nothing", []),
        ("a b;c  d\n;", [["a", "b"], ["c", "d"]]),
        ("set ${a} b;", [["set", "${a}", "b"]]),
        ("set $a${b}c d;", [["set", "$a${b}c", "d"]]),
        ("root /a\\ b;", [["root", "/a\\ b"]]),
        ("rewrite ^/a#b /c'd;", [["rewrite", "^/a#b", "/c'd"]]),
        ('a \'x "y" \\\'z\\\'\' "p \\"q\\" ;";', [["a", "x \"y\" 'z'", 'p "q" ;']]),
        ('location ~ "^/a{2}$" {}', [["location", "~", "^/a{2}$"]]),
        ("location /{return 200;}", [["location", "/"], ["return", "200"]]),
        ("if ($a = b) { break; }", [["if", "$a", "=", "b"], ["break"]]),
        ('if ( $a = "b c") { break; }', [["if", "$a", "=", "b c"], ["break"]]),
        ("a b # c\n d;", [["a", "b", "d"]]),
        ("a {\r\n b c;\r\n}\r\n", [["a"], ["b", "c"]]),
    ],
)
def test_words_are_those_of_nginx(text: str, expected: list[list[str]]) -> None:
    assert words(text) == expected


LUA = [
    " return 1 ",
    "\n  -- don't count this brace }\n  return 1\n",
    ' ngx.say(\'}\') ngx.say("\\"}") ',
    " local text = [[ } ' ]] return [=[ ]] } ]=] ",
    " --[[ it's } over\n two lines ]] return {a = {}} ",
    "",
]


@pytest.mark.parametrize("code", LUA)
@pytest.mark.parametrize("head", ["content_by_lua_block {", "content_by_lua_block{", "set_by_lua_block $a{"])
def test_lua_is_one_word_up_to_its_brace(head: str, code: str) -> None:
    (entry,) = parse(f"{head}{code}}}")
    assert [entry["directive"], *entry["args"]] == [*head.rstrip("{ ").split(), code]
    assert "block" not in entry
    (again,) = parse(build([entry]))
    assert again["args"] == entry["args"]


def test_lines_and_comments_are_kept() -> None:
    text = "# one\nserver { # two\n  content_by_lua_block {\n\n  }\n  a 'x\ny'; b; # three\n}\n# four"
    first, server, last = parse(text)
    assert (first["comment"], first["line"]) == (" one", 1)
    assert (last["comment"], last["line"]) == (" four", 9)
    inside = [(entry["directive"], entry["line"], entry.get("comment")) for entry in server["block"]]
    expected = [("#", 2, " two"), ("content_by_lua_block", 3, None), ("a", 6, None), ("b", 7, None), ("#", 7, " three")]
    assert inside == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("server {\n", 'unexpected end of file, expecting "}" in line 2'),
        ("listen 80", 'unexpected end of file, expecting ";" or "}" in line 1'),
        ("server {\n listen 80\n}", 'unexpected "}" in line 3'),
        ("}", 'unexpected "}" in line 1'),
        ("\n;", 'unexpected ";" in line 2'),
        ("{ }", 'unexpected "{" in line 1'),
        ("a 'b", 'unexpected end of file in "\'b" in line 1'),
        ("a 'b'c;", 'unexpected "c" in line 1'),
        ("content_by_lua_block { a = {1}", 'expecting "}" behind Lua code in line 1'),
        ("a b\\", "unexpected end of file in '\\\\' in line 1"),
    ],
)
def test_what_nginx_refuses_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        parse(text)
    assert str(caught.value).endswith(said)
    file = tmp_path / "nginx.conf"
    file.write_text(f"events {{}}\nhttp {{\n{text}\n}}\n")
    if nginx := shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"):
        assert subprocess.run([nginx, "-t", "-c", file], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize(
    "word", ["a", "a b", "", "#a", "a#b", "it's", '"', 'it\'s "x"', "a;b", "{2}", "${a}", "$a${b}c"]
)
def test_a_word_is_read_back_as_it_was(word: str) -> None:
    assert words(f"a {quoted(word)};") == [["a", word]]


def everything(entries: list[dict[str, Any]]) -> list[Any]:
    """What counts of directives, in a form that can be compared."""
    return [(e["directive"], e["line"], e["args"], e.get("comment"), everything(e.get("block", []))) for e in entries]


def test_crossplane_reads_the_same_where_it_reads_it_right(tmp_path: Path) -> None:
    text = """# site
    map $http_upgrade $up { default upgrade; '' close; }
    server {
        listen 80 default_server; # all
        server_name a.example ~^(?<x>.+)\\.example$;
        if ($request_method !~ "^(GET|HEAD)$") { return 405; }
        location ~* "\\.(js|css){1}$" { expires 1h; add_header X "a \\"b\\""; }
        location / {
            content_by_lua_block { ngx.say("}") }
        }
    }
    """
    file = tmp_path / "site.conf"
    file.write_text(text)
    payload = crossplane.parse(str(file), single=True, comments=True, check_ctx=False, check_args=False)
    assert everything(parse(text)) == everything(payload["config"][0]["parsed"])


@pytest.mark.parametrize(
    "code",
    [
        'redis:auth("hush")',
        "local password = 'hush'",
        'connect{ user = "x", password="hush" }',
        'c["api_key"] = "hush"',
    ],
)
def test_secrets_in_lua_are_not_shown(code: str) -> None:
    (shown,) = nginx_credentials.masked("content_by_lua_block", [code])
    assert "hush" not in shown
    assert nginx_credentials.HIDDEN in shown
    assert nginx_credentials.masked("content_by_lua_block", ['ngx.say("hush")']) == ['ngx.say("hush")']
