"""However a secret was encoded, and whatever stands around it: it is found, and it is not shown."""

import base64
import bz2
import gzip
import json
import lzma
import zlib
from collections.abc import Callable
from urllib.parse import quote_from_bytes

from hypothesis import given, settings
from hypothesis import strategies as st

from flowmaster.cluster.copies import is_copy
from flowmaster.cluster.decoding import contents
from flowmaster.cluster.masking import Masker, plain

Encoding = Callable[[bytes], bytes]


def wrapped(content: bytes) -> bytes:
    return base64.encodebytes(content)


COMPRESSED: list[Encoding] = [gzip.compress, zlib.compress, bz2.compress, lzma.compress]
TEXTS: list[Encoding] = [
    base64.b64encode,
    base64.urlsafe_b64encode,
    lambda content: base64.b64encode(content).rstrip(b"="),
    wrapped,
    lambda content: content.hex().encode(),
    lambda content: content.hex().upper().encode(),
]


def in_json(content: bytes) -> bytes:
    """A text as JSON has it; what is no text is not put there as it is."""
    return json.dumps(content.decode()).encode() if content.isascii() else content


ESCAPED: list[Encoding] = [in_json, lambda content: quote_from_bytes(content, safe="").encode()]
SECRETS = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'\\"), min_size=9, max_size=60
)
AROUND = st.sampled_from(["", "value: ", "a/b-", "x=", '{"k": "', "one two\n"])


def encodings() -> st.SearchStrategy[list[Encoding]]:
    """Encodings to be laid over each other; the last one gives a text."""
    steps = st.lists(st.sampled_from([*COMPRESSED, *TEXTS, *ESCAPED]), max_size=3)
    return st.tuples(steps, st.sampled_from(TEXTS)).map(lambda found: [*found[0], found[1]])


def laid_over(content: bytes, steps: list[Encoding]) -> str:
    for step in steps:
        content = step(content)
    return content.decode()


def readable(text: str, secret: bytes) -> bool:
    return any(secret in content for content in contents(text.encode()))


@given(secret=SECRETS, steps=encodings(), before=AROUND, after=AROUND, inside=AROUND)
@settings(deadline=None, max_examples=100)
def test_an_encoded_secret_never_appears(
    secret: str, steps: list[Encoding], before: str, after: str, inside: str
) -> None:
    masker = Masker([{"kind": "Secret", "stringData": {"k": secret}}])
    text = before + laid_over(f"{inside}{secret} end".encode(), steps) + after
    shown = masker.text(text)
    assert not readable(shown, secret.encode()), (text, shown)
    if not plain(secret):
        assert masker.reveals(before + laid_over(secret.encode(), steps) + after)
    assert masker.reveals(laid_over(secret.encode(), steps))
    part, masked = masker.mask("Deployment", ("spec", "x"), [text])
    assert masked
    assert not readable(str(part), secret.encode())


@given(secret=st.binary(min_size=9, max_size=60), steps=encodings(), before=AROUND)
@settings(deadline=None, max_examples=60)
def test_nor_does_one_that_is_no_text(secret: bytes, steps: list[Encoding], before: str) -> None:
    masker = Masker([{"kind": "Secret", "data": {"k": base64.b64encode(secret).decode()}}])
    text = before + laid_over(b"-" + secret, steps)
    assert not readable(masker.text(text), secret)


@given(secret=SECRETS, steps=encodings(), name=st.sampled_from(["a", "b.c"]), kind=st.sampled_from(["Secret", "Pod"]))
@settings(deadline=None, max_examples=50)
def test_a_copy_of_an_object_is_one_in_whatever_encoding(
    secret: str, steps: list[Encoding], name: str, kind: str
) -> None:
    body = {"kind": kind, "metadata": {"name": name}, "stringData": {"k": secret}}
    assert is_copy("example.com/applied", laid_over(json.dumps(body).encode(), steps), kind, name)
    assert is_copy("example.com/applied", json.dumps(body), kind, name)
    other = is_copy("example.com/applied", laid_over(json.dumps(body).encode(), steps), "ConfigMap", name)
    assert other == (kind == "Secret")


@given(
    words=st.lists(st.sampled_from(["deployed", "by", "team-a", "v1.2.3", "kind:", "0123456789abcdef"]), max_size=30)
)
def test_what_holds_nothing_stays_as_it_is(words: list[str]) -> None:
    masker = Masker([{"kind": "Secret", "stringData": {"k": "Tr0ub4dor&3"}}])
    text = " ".join(words)
    assert masker.text(text) == text
    assert not masker.reveals(text)
    assert not is_copy("note", text, "ConfigMap", "a")
