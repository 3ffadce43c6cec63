"""The words of the configuration as types: names, ports, quantities, image tags and what makes each valid."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from config.errors import ConfigError

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SSH_HOST = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]{0,252}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_TAG_RANGE = re.compile(r"([A-Za-z]*)(\d+)-\1(\d+)")
_LONGEST_RANGE = 1000
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REPOSITORY = re.compile(
    r"([a-z0-9.-]+(:\d+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*",
)
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|Ki|M|Mi|G|Gi|T|Ti)?")
_FACTORS: dict[str | None, Decimal] = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGT", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGT", start=1)},
}


def _dns_label(value: str) -> str:
    if not _DNS_LABEL.fullmatch(value):
        raise ConfigError(
            f"{value!r} is not a DNS label",
            "Kubernetes takes lower-case letters, digits and '-', at most 63, and a letter or digit at both ends",
        )
    return value


def _dns_name(value: str) -> str:
    if not _DNS_NAME.fullmatch(value):
        raise ConfigError(f"{value!r} is not a DNS name", "lower-case labels separated by dots")
    return value


def _ssh_host(value: str) -> str:
    if not _SSH_HOST.fullmatch(value):
        raise ConfigError(
            f"{value!r} is neither a host's name or address nor an alias of ssh_config",
            "letters, digits, '.', '_', ':', '%' and '-', and no user or port",
            "say these with host.user and host.port",
        )
    return value


def _repository(value: str) -> str:
    if not _REPOSITORY.fullmatch(value):
        raise ConfigError(
            f"{value!r} is not an image repository",
            "expected registry/path such as localhost:30500/flowmaster/frontend, or Docker Hub's name; without a tag",
        )
    return value


def _quantity(value: str) -> str:
    if not _QUANTITY.fullmatch(value):
        raise ConfigError(f"{value!r} is not a quantity", "expected a number with a unit, such as 56Mi, 1Gi or 250m")
    return value


def _tag(value: str) -> str:
    candidates = tag_candidates(value)
    if candidates:
        raise ConfigError(
            f"{value!r} is a range of tags: an update needs the one that is to run",
            f"candidates: {', '.join(candidates)}",
            f"write tag: {candidates[-1]} with assumed: {value}, or let `flowmaster adopt` read the tag that runs",
        )
    if not _TAG.fullmatch(value):
        raise ConfigError(f"{value!r} is not an image tag", "letters, digits, '_', '.' and '-', at most 128")
    return value


def _tag_text(value: object) -> object:
    """A whole number is the tag that it looks like; any other value has lost the text that it was written as."""
    if isinstance(value, (bool, float, date)):
        raise ConfigError(
            f"{value} is not text: YAML took the tag for a number, a date or a truth",
            "an image tag is the text as it is written: 1.10 is another tag than 1.1",
            'write it in quotes, such as tag: "1.10"',
        )
    return str(value) if isinstance(value, int) else value


def _digest(value: str) -> str:
    if not _DIGEST.fullmatch(value):
        raise ConfigError(f"{value!r} is not an image digest", "expected sha256: and 64 hexadecimal digits")
    return value


Name = Annotated[str, AfterValidator(_dns_label)]
"""A DNS label: the name of a service, a port, a volume or a namespace."""

DnsName = Annotated[str, AfterValidator(_dns_name)]
"""A DNS name of one or more labels: the name of a ConfigMap or Secret."""

SshHost = Annotated[str, AfterValidator(_ssh_host)]
"""A host as ssh takes it: a name, an address, or an alias of ssh_config."""

Repository = Annotated[str, AfterValidator(_repository)]
"""Where an image is kept, registry included, tag excluded."""

Tag = Annotated[str, AfterValidator(_tag)]
"""One image tag. A range such as ``r36-r47`` is refused with its candidates."""

TagOrNone = Annotated[str, BeforeValidator(_tag_text), AfterValidator(lambda value: _tag(value) if value else value)]
"""One image tag, or an empty text for an image that is referred to without a tag."""

Digest = Annotated[str, AfterValidator(_digest)]
"""``sha256:`` and 64 hexadecimal digits: what a mutable tag stood for when it was read."""

Port = Annotated[int, Field(ge=1, le=65535)]
"""A TCP port."""

Quantity = Annotated[str, AfterValidator(_quantity)]
"""An amount of memory (bytes) or processor (cores) as Kubernetes writes it."""

IPv4 = Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}$")]
"""An address of the Internet Protocol, version 4."""

AbsolutePath = Annotated[str, Field(pattern=r"^/")]
"""A path on the server, from its root."""

EnvName = Annotated[str, Field(pattern=r"^[ -<>-~]+$")]
"""The name of an environment variable: what can be printed in ASCII but for ``=``, as Kubernetes has it since 1.34."""


def tag_candidates(text: str) -> list[str]:
    """The tags that a range such as ``r36-r47`` stands for, first to last; empty where the text is no range."""
    match = _TAG_RANGE.fullmatch(text)
    if not match:
        return []
    prefix, first, last = match.group(1), int(match.group(2)), int(match.group(3))
    if not 0 < last - first <= _LONGEST_RANGE:
        return []
    return [f"{prefix}{number}" for number in range(first, last + 1)]


def quantity_value(quantity: str) -> Decimal:
    """The amount in its base unit: bytes for memory, cores for processors."""
    match = _QUANTITY.fullmatch(quantity)
    if not match:
        raise ConfigError(f"{quantity!r} is not a quantity", "expected a number with a unit, such as 56Mi, 1Gi or 250m")
    return Decimal(match.group(1)) * _FACTORS[match.group(2)]
