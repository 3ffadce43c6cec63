"""Decodes nested encodings in a text: base64, hexadecimal, escapes, compression. Pure.

Tools that copy an object seldom write it as it is: K3s keeps the gzip of the object in base64, Helm the base64 of that.
Nothing here knows what is looked for; it only shows what can be read.
"""

from __future__ import annotations

import binascii
import bz2
import html
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

DEEPEST = 8
"""Maximum depth of nested encodings."""
MOST = 16 * 1024 * 1024
"""Maximum number of decoded bytes of one text."""
_SHORTEST_RUN = 8
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{%d,}={0,2}" % _SHORTEST_RUN)
_HEX = re.compile(rb"[0-9a-fA-F]{12,}")
_PADDING = (b"", b"", b"==", b"=")
_STANDARD = bytes.maketrans(b"-_", b"+/")
_SPACE = re.compile(rb"\s+")
_WRAPPED = re.compile(rb"[A-Za-z0-9+/_=-]\s+[A-Za-z0-9+/_=-]")
_PERCENT = re.compile(rb"%[0-9a-fA-F]{2}")
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-3][0-7]{2})|(.))", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f"}
_COMPRESSED = re.compile(rb"(\x1f\x8b\x08)|(BZh[1-9])|(\xfd7zXZ\x00)|(x[\x01\x5e\x9c\xda])")
"""Magic bytes of the compressed formats: gzip, bzip2, xz, zlib."""
_DECOMPRESSORS: tuple[Callable[[], Any], ...] = (
    lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    bz2.BZ2Decompressor,
    lzma.LZMADecompressor,
    zlib.decompressobj,
)


class TooMuchError(Exception):
    """The text decodes to more than the limit."""


Run = tuple[int, int, bytes]
"""A byte range of a text, and one decoding of it."""


def contents(content: bytes) -> Iterator[bytes]:
    """Yield all decodings of a text, the text itself first. Some of them are meaningless.

    :raises TooMuchError: once that is more than :data:`MOST`.
    """
    left = MOST
    waiting = [(content, 0)]
    seen = {content}
    while waiting:
        current, depth = waiting.pop()
        yield current
        if depth == DEEPEST or len(current) < _SHORTEST_RUN:
            continue
        for _, _, reading in runs(current):
            if reading in seen:
                continue
            left -= len(reading)
            if left < 0:
                raise TooMuchError
            seen.add(reading)
            waiting.append((reading, depth + 1))


def runs(content: bytes) -> Iterator[Run]:
    """Yield the decodings of parts of a text, one level deep. Repeated parts occur once."""
    begins: dict[bytes, int] = {}
    for found in _BASE64.finditer(content):
        begins.setdefault(found[0], found.start())
    for run, begin in begins.items():
        # whatever stands before the encoded part may be of the same letters: so from each of four places on
        plain = run.rstrip(b"=").translate(_STANDARD)
        for first in range(4):
            part = plain[first:] if (len(plain) - first) % 4 != 1 else plain[first:-1]
            yield begin, begin + len(run), binascii.a2b_base64(part + _PADDING[len(part) % 4])
    for found in _HEX.finditer(content):
        for first in range(2):
            part = found[0][first:]
            reading = binascii.unhexlify(part if len(part) % 2 == 0 else part[:-1])
            yield found.start(), found.end(), reading
    for reading in _of_whole(content):
        yield 0, len(content), reading


def _of_whole(content: bytes) -> Iterator[bytes]:
    if _WRAPPED.search(content):
        yield _SPACE.sub(b"", content)
    if _PERCENT.search(content):
        yield unquote_to_bytes(content)
    if b"\\" in content:
        yield _ESCAPE.sub(_unescaped, content)
    if b"&" in content and b";" in content:
        yield html.unescape(content.decode(errors="surrogateescape")).encode(errors="surrogatepass")
    if b"\0" in content:
        yield content.replace(b"\0", b"")
    for begin in _COMPRESSED.finditer(content):
        make = _DECOMPRESSORS[(begin.lastindex or 1) - 1]
        if reading := _decompressed(content[begin.start() :], make()):
            yield reading


def _unescaped(found: re.Match[bytes]) -> bytes:
    long, short, octal, letter = found.groups()
    if long:
        return chr(int(long, 16)).encode(errors="surrogatepass")
    if short or octal:
        return bytes((int(short, 16) if short else int(octal, 8),))
    return _LETTERS.get(letter, letter)


def _decompressed(content: bytes, decompressor: Any) -> bytes:
    """Decompress the data, as far as it is complete.

    :raises TooMuchError: where that is more than :data:`MOST`.
    """
    try:
        result: bytes = decompressor.decompress(content, MOST + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError):
        return b""
    if len(result) > MOST:
        raise TooMuchError
    return result
