"""What is sent to the API server reads the same as JSON and as YAML."""

from __future__ import annotations

import json

import pytest
import yaml

from flowmaster.cluster.encoding import encoded, unsendable
from flowmaster.compare.path import render

TEXTS = [
    "plain",
    "žluťoučký ☃",
    "deployed by \U0001f916",
    "a\x85b",
    "a\u2028b\u2029c",
    "tab\t, end\r\n, null \x00, escape \x1b, delete \x7f, c1 \x9b",
    "\ufeffmarked",
    'quoted "x" and \\u0041 and \\',
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_bytes_say_the_same_in_json_and_in_yaml(text: str) -> None:
    body = {"data": {text: [text]}}
    assert json.loads(encoded(body)) == body
    assert yaml.safe_load(encoded(body)) == body


def test_characters_above_the_first_plane_are_no_surrogate_pairs() -> None:
    assert encoded("\U0001f916") == '"\U0001f916"'.encode()


def test_what_the_provider_would_change_is_named() -> None:
    body = {
        "data": {"a.txt": "one\x85two", "plain": "line\nline ☃ \U0001f916 \u2028"},
        "args": [{"name": "x", "v": "\x7f"}],
    }
    assert [(render(path), character) for path, character in unsendable(body)] == [
        ("data[a.txt]", "\x85"),
        ("args[x].v", "\x7f"),
    ]
