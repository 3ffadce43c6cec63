"""Reads of an X.509 certificate in DER for which names it is, and how long: X.680 and RFC 5280, as far as that. Pure.

Python's own library tells these only of certificates that it trusts.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

_OID, _UTC_TIME, _VERSION, _EXTENSIONS = 0x06, 0x17, 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_ALTERNATIVE_NAMES, _COMMON_NAME = bytes.fromhex("551d11"), bytes.fromhex("550403")


class CertificateError(ValueError):
    """It is no certificate."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says. Names are in lower case."""

    begins: datetime
    ends: datetime
    names: tuple[str, ...]
    addresses: tuple[str, ...] = ()

    def days_left(self, now: datetime) -> int:
        """Whole days until its end; below zero once it has ended."""
        return math.floor((self.ends - now).total_seconds() / 86400)

    def covers(self, name: str) -> bool:
        """Whether a browser that asks for this name would take it (RFC 6125): a wildcard stands for one label."""
        name = name.lower().rstrip(".")
        return name in self.addresses or name in self.names or f"*.{name.partition('.')[2]}" in self.names


def read(der: bytes) -> Certificate:
    """The certificate.

    :raises CertificateError: where it is none.
    """
    try:
        return _read(der)
    except (IndexError, ValueError, StopIteration) as err:
        raise CertificateError("it is no certificate") from err


def _read(der: bytes) -> Certificate:
    ((_, whole),) = _parts(der)
    (_, signed), *_ = _parts(whole)
    # version, serial number and algorithm, then who issued it, when it holds, and for whom; without a version it is 1
    fields = [part for part in _parts(signed) if part[0] != _VERSION]
    validity, subject = fields[3][1], fields[4][1]
    begins, ends = (_time(tag, value) for tag, value in _parts(validity))
    names, addresses = [], []
    for _, extensions in (part for part in fields if part[0] == _EXTENSIONS):
        for tag, value in _alternative_names(extensions):
            if tag == _DNS_NAME:
                names.append(value.decode("ascii", "replace").lower().rstrip("."))
            elif tag == _IP_ADDRESS:
                addresses.append(str(ipaddress.ip_address(value)))
    if not names and not addresses:
        names = list(_common_names(subject))
    return Certificate(begins, ends, tuple(names), tuple(addresses))


def _parts(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element."""
    at = 0
    while at < len(content):
        tag, length, at = content[at], content[at + 1], at + 2
        if length & 0x80:
            more = length & 0x7F
            length, at = int.from_bytes(content[at : at + more]), at + more
        if at + length > len(content):
            raise CertificateError("it is cut short")
        yield tag, content[at : at + length]
        at += length


def _alternative_names(extensions: bytes) -> Iterator[tuple[int, bytes]]:
    ((_, every),) = _parts(extensions)
    for _, extension in _parts(every):
        fields = list(_parts(extension))
        if fields[0] == (_OID, _ALTERNATIVE_NAMES):
            ((_, names),) = _parts(fields[-1][1])
            yield from _parts(names)


def _common_names(subject: bytes) -> Iterator[str]:
    for _, together in _parts(subject):
        for _, attribute in _parts(together):
            (_, kind), (_, value) = _parts(attribute)
            if kind == _COMMON_NAME:
                yield value.decode("utf-8", "replace").lower()


def _time(tag: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        # RFC 5280: from 50 on it is the last century
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
