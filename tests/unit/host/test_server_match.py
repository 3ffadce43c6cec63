"""Which server of nginx answers: address first, then exact names, wildcards, patterns, and the default."""

from __future__ import annotations

import pytest

from config.reverse_proxy import example
from flowmaster.host.server_match import choose, servers, taken

SERVERS = servers(
    "all",
    """
    server { listen 80; server_name ~^x; }
    server { listen 80; server_name ~^xy; }
    server { listen 80; server_name *.example www.*; }
    server { listen 80; server_name .b.example A.example; }
    server { listen 80 default_server; server_name _; }
    server { listen 10.0.0.1:80; server_name only; }
    server { listen [::]:80; server_name six; }
    """,
)


@pytest.mark.parametrize(
    ("host", "answers", "address"),
    [
        ("a.example", ".b.example", ""),
        ("b.example", ".b.example", ""),
        ("x.b.example", ".b.example", ""),
        ("x.example", "*.example", ""),
        ("www.other", "*.example", ""),
        ("xyz", "~^x", ""),
        ("nobody", "_", ""),
        ("nobody", "_", "10.0.0.2"),
        ("a.example", "only", "10.0.0.1"),
        ("a.example", "six", "[fd00::1]"),
    ],
)
def test_the_server_that_answers(host: str, answers: str, address: str) -> None:
    found = choose(SERVERS, address, "80", host)
    assert found is not None
    assert found.names[0] == answers


def test_without_a_default_server_the_first_one_is_it_and_elsewhere_is_nobody() -> None:
    assert choose(SERVERS[:2], "", "80", "nobody") is SERVERS[0]
    assert choose(SERVERS, "", "81", "nobody") is None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("*.b.example", "*.x.b.example"),
        ("a.example", "*.example"),
        ("a.example", "~."),
        ("*.example", "~."),
        ("*.example", "www.example"),
    ],
)
def test_a_better_match_is_not_taken_by_a_worse_one(ours: str, theirs: str) -> None:
    own, other = (servers(name, f"server {{ server_name {name}; }}") for name in (ours, theirs))
    assert list(taken(own, [*other, *own], ())) == []


@pytest.mark.parametrize(("ours", "theirs"), [("www.*", "*.test"), ("~^a", "~.")])
def test_a_better_wildcard_takes_what_it_matches(ours: str, theirs: str) -> None:
    own, other = (servers(name, f"server {{ server_name {name}; }}") for name in (ours, theirs))
    assert [found.name for found in taken(own, [*other, *own], ())] == ([theirs] if example(ours) else [])


@pytest.mark.parametrize(
    ("name", "asked"),
    [("a.b", "a.b"), ("*.b", "flowmaster-check.b"), (".b", "b"), ("b.*", "b.test"), ("~b", ""), ("_", ""), ("", "")],
)
def test_a_name_to_ask_for(name: str, asked: str) -> None:
    assert example(name) == asked
