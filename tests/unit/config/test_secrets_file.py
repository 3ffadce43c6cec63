"""Secret values beside the stack's file: whatever happens to the file, none gets out, and what is wrong is named."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import load, secrets_file
from config.errors import ConfigError
from config.secrets_file import Entry, Values, merged, named, names, new_key, read, text

VALUES: Values = {
    Entry("secrets", "billing", "STRIPE_KEY"): "sk_live_1",
    Entry("secrets", "billing", "on"): "a\nb: ☃\x85",
    Entry("sealed", "web", "podAnnotations[a/b]"): "",
    Entry("compose", "sdx", "backend.KEY"): "x" * 5000,
    Entry("sources", "sdx", "compose"): '{"files": {}, "services": {}}',
}


def written(folder: Path, values: Values = VALUES, key: str = "") -> tuple[Path, str]:
    path, key = folder / "Pulumi.demo.secrets.yaml", key or new_key()
    path.write_text(text(values, key))
    return path, key


def test_names_are_in_the_clear_and_values_are_not(tmp_path: Path) -> None:
    path, key = written(tmp_path)
    assert names(path) == sorted(VALUES, key=lambda e: (secrets_file.GROUPS.index(e.group), e))
    assert read(path, key) == VALUES
    content = path.read_text()
    for value in VALUES.values():
        assert not value or value not in content
    assert key not in content


@given(value=st.text(), key=st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=20))
@settings(deadline=None, max_examples=50)
def test_any_name_and_any_text_is_kept(tmp_path_factory: pytest.TempPathFactory, value: str, key: str) -> None:
    values = {Entry("sealed", "web", key): value}
    path, data_key = written(tmp_path_factory.getbasetemp(), values)
    assert read(path, data_key) == values


def test_a_change_of_one_value_is_a_change_of_one_line(tmp_path: Path) -> None:
    path, key = written(tmp_path)
    entry = Entry("secrets", "billing", "STRIPE_KEY")
    before = path.read_text().splitlines()
    after = text({**VALUES, entry: "other"}, key, path).splitlines()
    assert [a.split(":")[0] for a, b in zip(after, before, strict=True) if a != b] == ['    "STRIPE_KEY"']
    assert text(VALUES, key, path).splitlines() == before
    others = text(VALUES, new_key(), path).splitlines()
    assert not set(others[4:-1]) & {line for line in before if line.startswith("    ")}


def says(words: list[str], caught: pytest.ExceptionInfo[ConfigError]) -> None:
    message = str(caught.value)
    assert len(message.splitlines()) <= 3
    for part in words:
        assert part in message
    for value in VALUES.values():
        assert len(value) < 3 or value not in message


def swapped(content: str) -> str:
    lines = content.splitlines(keepends=True)
    [first] = [n for n, line in enumerate(lines) if line.startswith('    "STRIPE_KEY"')]
    (one, _, a), (other, _, b) = (lines[n].partition(": ") for n in (first, first + 1))
    lines[first : first + 2] = [f"{one}: {b}", f"{other}: {a}"]
    return "".join(lines)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (swapped, ["the value of billing/STRIPE_KEY does not decrypt", "flowmaster secret set billing/STRIPE_KEY"]),
        (lambda c: c.replace('"STRIPE_KEY"', '"STRIPE_KEY2"'), ["the value of billing/STRIPE_KEY2"]),
        (lambda c: c.replace("STRIPE_KEY\": ", "STRIPE_KEY\": A"), ["the value of billing/STRIPE_KEY"]),
        (lambda c: c[: c.index('"on"') + 30], ["cut off, the last entry is on"]),
        (lambda c: c[: c.index('    "on"')], ["cut off, the last entry is STRIPE_KEY"]),
        (lambda _: "", ["cut off, the last entry is none"]),
        (lambda c: c.replace("version: 1", "version: 2"), ["not a file of secret values of version 1"]),
        (lambda _: "config: {}\n...\n", ["not a file of secret values"]),
        (lambda c: c.replace('    "on"', '    "STRIPE_KEY"'), ["'STRIPE_KEY' occurs twice"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_named(tmp_path: Path, spoil: Any, words: list[str]) -> None:
    path, key = written(tmp_path)
    path.write_text(spoil(path.read_text()))
    with pytest.raises(ConfigError) as caught:
        read(path, key)
    says(words, caught)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("", ["the stack has none (flowmaster:secretsKey)", "from the same commit"]),
        ("another", ["encrypted with the data key", "no value of it can be decrypted"]),
        ("abc", ["encrypted with the data key"]),
    ],
)
def test_a_key_that_does_not_fit_is_refused(tmp_path: Path, keys: str, words: list[str]) -> None:
    path, _ = written(tmp_path)
    with pytest.raises(ConfigError) as caught:
        read(path, new_key() if keys == "another" else keys)
    says(words, caught)


def test_while_the_key_is_being_changed_either_one_fits(tmp_path: Path) -> None:
    path, key = written(tmp_path)
    assert read(path, f"{new_key()} {key}") == VALUES


def test_the_stacks_own_file_goes_first(tmp_path: Path) -> None:
    path, key = written(tmp_path)
    given: dict[str, Any] = {
        "secretsKey": key,
        "secrets": {"billing": {"STRIPE_KEY": "own"}, "other": {"a": "b"}},
        "compose": {"sdx": {"folder": "/opt/sdx", "sealed": {"backend.X": "own"}}},
    }
    found = merged(given, path)
    assert found["secrets"]["billing"] == {"STRIPE_KEY": "own", "on": VALUES[Entry("secrets", "billing", "on")]}
    assert found["secrets"]["other"] == {"a": "b"}
    assert found["sealed"] == {"web": {"podAnnotations[a/b]": ""}}
    assert found["compose"]["sdx"]["sealed"] == {"backend.X": "own", "backend.KEY": "x" * 5000}
    assert found["compose"]["sdx"]["source"] == {"files": {}, "services": {}}
    assert given["compose"]["sdx"] == {"folder": "/opt/sdx", "sealed": {"backend.X": "own"}}
    assert merged({"secretsKey": key}, tmp_path / "none") == {"secretsKey": key}


@pytest.mark.parametrize("entry", VALUES, ids=str)
def test_a_name_is_what_the_list_shows(entry: Entry) -> None:
    assert named(str(entry), VALUES) == entry


@pytest.mark.parametrize("word", ["billing", "billing/", "/x", "billing/STRIPE_KEYS", "sealed/web/x"])
def test_a_name_that_is_none_is_refused_with_the_closest(word: str) -> None:
    with pytest.raises(ConfigError, match="there is no secret value") as caught:
        named(word, VALUES)
    assert ("did you mean 'billing/STRIPE_KEY'" in str(caught.value)) == word.endswith("KEYS")


def test_a_thousand_values_of_four_kilobytes_are_written_and_read_in_a_moment(tmp_path: Path) -> None:
    values = {Entry("secrets", f"s{n}", "k"): f"{n:04d}" * 1024 for n in range(1000)}
    began = time.process_time()
    path, key = written(tmp_path, values)
    assert len(merged({"secretsKey": key}, path)["secrets"]) == 1000
    assert time.process_time() - began < 5
    assert text(values, key, path) == path.read_text()


@pytest.mark.parametrize(("size", "refused"), [(100_000, False), (140_000, True)])
def test_configuration_that_pulumi_cannot_hand_over_is_refused(size: int, refused: bool) -> None:
    config = {"flowmaster:secrets": {"a": {"b": "x" * size}}, "flowmaster:catalogue": "c.yaml"}
    if not refused:
        load.check_size(config)
        return
    with pytest.raises(ConfigError, match="most of it flowmaster:secrets") as caught:
        load.check_size(config)
    assert "flowmaster secret migrate" in str(caught.value)
