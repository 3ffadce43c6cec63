"""Types of configuration values, with their validation: names, ports, quantities, image tags."""

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
    """Return an integer as the text that it was written as; refuse values whose text YAML did not keep."""
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
"""A host as ssh accepts it: a name, an address, or an alias from ssh_config."""

Repository = Annotated[str, AfterValidator(_repository)]
"""An image repository: with the registry, without a tag."""

Tag = Annotated[str, AfterValidator(_tag)]
"""One image tag. A range such as ``r36-r47`` is refused with its candidates."""

TagOrNone = Annotated[str, BeforeValidator(_tag_text), AfterValidator(lambda value: _tag(value) if value else value)]
"""One image tag, or an empty string for a reference without a tag."""

Digest = Annotated[str, AfterValidator(_digest)]
"""An image digest: ``sha256:`` and 64 hexadecimal digits."""

Port = Annotated[int, Field(ge=1, le=65535)]
"""A TCP port."""

Quantity = Annotated[str, AfterValidator(_quantity)]
"""A quantity of memory (bytes) or CPU (cores) in the notation of Kubernetes."""

IPv4 = Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}$")]
"""An IPv4 address."""

AbsolutePath = Annotated[str, Field(pattern=r"^/")]
"""An absolute path on the server."""

EnvName = Annotated[str, Field(pattern=r"^[ -<>-~]+$")]
"""The name of an environment variable: printable ASCII except ``=``, as in Kubernetes since 1.34."""


def tag_candidates(text: str) -> list[str]:
    """Return the tags of a range such as ``r36-r47``, in order; empty if the text is not a range."""
    match = _TAG_RANGE.fullmatch(text)
    if not match:
        return []
    prefix, first, last = match.group(1), int(match.group(2)), int(match.group(3))
    if not 0 < last - first <= _LONGEST_RANGE:
        return []
    return [f"{prefix}{number}" for number in range(first, last + 1)]


def quantity_value(quantity: str) -> Decimal:
    """Return the quantity in its base unit: bytes of memory, cores of CPU."""
    match = _QUANTITY.fullmatch(quantity)
    if not match:
        raise ConfigError(f"{quantity!r} is not a quantity", "expected a number with a unit, such as 56Mi, 1Gi or 250m")
    return Decimal(match.group(1)) * _FACTORS[match.group(2)]
