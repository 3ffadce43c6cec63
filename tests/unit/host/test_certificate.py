"""What is read of certificates that openssl makes."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowmaster.host.certificate import Certificate, CertificateError, read
from tests.unit.host.certificates import made

NOW = datetime.now(UTC)


@pytest.mark.parametrize("kind", ["ec -pkeyopt ec_paramgen_curve:prime256v1", "rsa:2048"])
def test_names_addresses_and_end(tmp_path: Path, kind: str) -> None:
    found = read(made(tmp_path, "demo.example", "DNS:Demo.example,DNS:*.x.example,IP:192.0.2.7,IP:2001:db8::1", kind))
    assert found.names == ("demo.example", "*.x.example")
    assert found.addresses == ("192.0.2.7", "2001:db8::1")
    assert found.ends - found.begins == timedelta(days=30)
    assert found.begins <= datetime.now(UTC) < found.ends
    assert found.days_left(found.ends - timedelta(days=2, hours=1)) == 2
    assert found.days_left(found.ends + timedelta(seconds=1)) == -1


def test_without_alternative_names_the_common_name_counts(tmp_path: Path) -> None:
    assert read(made(tmp_path, "alone.example")).names == ("alone.example",)


def test_an_end_after_2050_is_written_in_another_way(tmp_path: Path) -> None:
    assert read(made(tmp_path, "far.example", days=20000)).ends.year > 2070


@pytest.mark.parametrize(
    ("name", "covered"),
    [
        ("demo.example", True), ("DEMO.example.", True), ("a.x.example", True), ("a.b.x.example", False),
        ("x.example", False), ("192.0.2.7", True), ("192.0.2.8", False), ("example", False),
    ],
)  # fmt: skip
def test_a_wildcard_stands_for_one_label(name: str, covered: bool) -> None:
    certificate = Certificate(NOW, NOW, ("demo.example", "*.x.example"), ("192.0.2.7",))
    assert certificate.covers(name) is covered


def test_what_is_no_certificate_is_refused_however_it_is_cut(tmp_path: Path) -> None:
    whole = made(tmp_path, "demo.example", "DNS:demo.example")
    for length in range(0, len(whole), 7):
        with pytest.raises(CertificateError):
            read(whole[:length])
    with pytest.raises(CertificateError):
        read(subprocess.run(["openssl", "rand", "64"], capture_output=True, check=True).stdout)
