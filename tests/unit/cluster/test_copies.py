"""Annotations that hold a copy of their object, in the encodings in which tools keep them."""

from __future__ import annotations

import base64
import gzip
import json
import time
import zlib
from typing import Any

import pytest
import yaml

from flowmaster.adopt.backup import _metadata, _without_secrets
from flowmaster.cluster.copies import LAST_APPLIED, copies, is_copy
from flowmaster.cluster.decoding import MOST
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.normalise import normalise
from flowmaster.compare.finding import ObjectRef

K3S = "objectset.rio.cattle.io/applied"
SECRET: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "app-db"},
    "stringData": {"password": "plain-words-only"},
    "type": "Opaque",
}


def in_gzip(body: Any) -> str:
    return base64.b64encode(gzip.compress(json.dumps(body).encode(), mtime=0)).decode()


def live(annotations: dict[str, str]) -> dict[str, Any]:
    data = {"password": base64.b64encode(b"plain-words-only").decode()}
    metadata = {"name": "app-db", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


@pytest.mark.parametrize(
    "text",
    [
        in_gzip(SECRET),
        base64.b64encode(in_gzip(SECRET).encode()).decode(),
        json.dumps(SECRET),
        json.dumps(json.dumps(SECRET)),
        json.dumps({"last": {"applied": json.dumps(SECRET)}}),
        json.dumps([SECRET]),
        yaml.safe_dump(SECRET),
        yaml.safe_dump_all([{"a": 1}, SECRET]),
        base64.b64encode(zlib.compress(yaml.safe_dump(SECRET).encode())).decode(),
    ],
)
def test_a_copy_is_compared_shown_and_saved_nowhere(text: str) -> None:
    body = live({K3S: text, "note": "kept", LAST_APPLIED: "{}"})
    assert copies(body) == [K3S, LAST_APPLIED]
    assert normalise(body)["metadata"]["annotations"] == {"note": "kept"}
    saved = _without_secrets(ObjectRef("Secret", "x", "app-db"), body, {})
    assert saved["metadata"]["annotations"] == {"note": "kept"}
    assert Masker([body]).reveals(text) or "plain-words-only" in text


def test_putting_an_object_back_leaves_the_copies_that_are_on_the_server() -> None:
    there = live({K3S: in_gzip(SECRET), "other": "x"})
    there["metadata"]["resourceVersion"] = "7"
    back = _metadata({"metadata": {"name": "app-db", "annotations": {"note": "kept"}}}, there)
    assert back["annotations"] == {"note": "kept", K3S: in_gzip(SECRET)}
    assert back["resourceVersion"] == "7"


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        (json.dumps({**SECRET, "kind": "ConfigMap"}), "ConfigMap", "another"),
        ('{"kind": "note", "text": "nothing of the sort, but long enough for one"}', "ConfigMap", "app-db"),
        ("kind: regards to everybody who reads this, it is not YAML: at all", "ConfigMap", "app-db"),
        ("kind", "ConfigMap", "app-db"),
    ],
)
def test_what_is_no_copy_is_compared(text: str, kind: str, name: str) -> None:
    assert not is_copy("example.com/note", text, kind, name)


def test_a_word_of_a_secret_counts_where_it_was_encoded() -> None:
    masker = Masker([live({})])
    assert not masker.reveals("these are plain-words-only, by chance")
    assert masker.reveals("x: " + base64.b64encode(b"plain-words-only").decode())
    assert masker.text("x: " + base64.b64encode(b"plain-words-only").decode()) == "x: (secret)"


def test_a_text_that_would_fill_the_memory_is_not_looked_through_and_not_shown() -> None:
    bomb = base64.b64encode(gzip.compress(bytes(MOST + 1))).decode()
    masker = Masker([live({})])
    assert is_copy("example.com/applied", bomb, "ConfigMap", "a")
    assert masker.reveals(bomb)
    assert masker.text(f"see {bomb}").startswith("(secret, ") or "(secret)" in masker.text(f"see {bomb}")
    assert bomb not in masker.text(f"see {bomb}")


def test_a_large_text_is_looked_through_quickly() -> None:
    masker = Masker([{"kind": "Secret", "stringData": {f"k{n}": f"Val-{n:06d}-x&y" for n in range(1000)}}])
    text = "\n".join(f"location /path/{n} {{ proxy_pass http://10.43.0.{n % 250}:8080; }}" for n in range(10_000))
    began = time.process_time()
    assert not masker.reveals(text)
    assert time.process_time() - began < 5
