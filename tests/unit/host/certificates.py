"""Certificates that openssl makes when a test runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

CURVE = "ec -pkeyopt ec_paramgen_curve:prime256v1"


def made(folder: Path, name: str, names: str = "", kind: str = CURVE, days: int = 30) -> bytes:
    """A certificate in DER; it and its key are in the folder, as `cert.pem` and `key.pem`."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    more = ["-addext", f"subjectAltName={names}"] if names else []
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *kind.split(), "-nodes", "-days", str(days), "-subj", f"/O=a/CN={name}",
         "-keyout", str(key), "-out", str(certificate), *more],
        check=True, capture_output=True,
    )  # fmt: skip
    command = ["openssl", "x509", "-in", str(certificate), "-outform", "der"]
    return subprocess.run(command, check=True, capture_output=True).stdout
