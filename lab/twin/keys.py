"""Keys, certificates and stand-in secrets: random, made by `up`, gone with the twin."""

import json
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.twin.errors import TwinError
from lab.twin.layout import API_SERVICE_ADDRESS, CLUSTER_DOMAIN, NODE_NAME, Layout

# The secrets that the server's services need; the values that run on the real one are not known here.
SECRET_NAMES = (
    "JWT_SECRET",
    "ENCRYPTION_KEY",
    "SECRET_KEY",
    "GEMINI_API_KEY",
    "OPENAI_API_KEY",
    "OPENROUTER_API_KEY",
    "ARANGO_PASSWORD",
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
)
_PASSPHRASE = "PULUMI_CONFIG_PASSPHRASE"  # noqa: S105 - its name, not itself
_DAYS_VALID = "365"


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate that the twin's authority signs; `names` are its addresses, for a server."""

    file: str
    user: str
    group: str = ""
    names: tuple[str, ...] = ()


def make(layout: Layout) -> None:
    """Writes authority, certificates, SSH keys and secrets. Raises TwinError where openssl or ssh-keygen fails."""
    shutil.rmtree(layout.keys, ignore_errors=True)
    layout.keys.mkdir(mode=0o700)
    authority = _new_key(layout.keys / "ca.key")
    _certify(authority, f"/CN={NODE_NAME} authority", ["keyUsage=critical,keyCertSign,cRLSign"], authority="TRUE")
    _new_key(layout.keys / "service-accounts.key")
    for certificate in certificates(layout):
        _sign(layout.keys, certificate)
    for file, comment in (("user", "twin"), ("host", NODE_NAME)):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(layout.keys / f"ssh-{file}"))
    values = {name: secrets.token_urlsafe(24) for name in (*SECRET_NAMES, _PASSPHRASE)}
    layout.secrets.touch(mode=0o600)
    layout.secrets.write_text(json.dumps(values, indent=1))


def certificates(layout: Layout) -> tuple[Certificate, ...]:
    """The API server's own, and those of its users: a person, the node, and itself towards the kubelet."""
    served_names = (
        f"IP:{layout.server_address}",
        f"IP:{API_SERVICE_ADDRESS}",
        "IP:127.0.0.1",
        f"DNS:{NODE_NAME}",
        "DNS:localhost",
        "DNS:kubernetes",
        "DNS:kubernetes.default",
        "DNS:kubernetes.default.svc",
        f"DNS:kubernetes.default.svc.{CLUSTER_DOMAIN}",
    )
    return (
        Certificate(file="apiserver", user="kube-apiserver", names=served_names),
        Certificate(file="apiserver-kubelet", user="kube-apiserver-kubelet-client", group="system:masters"),
        Certificate(file="admin", user="system:admin", group="system:masters"),
    )


def load_secrets(layout: Layout) -> dict[str, str]:
    """The stand-in secrets by name, without the passphrase. Raises TwinError where the twin is not up."""
    return {name: value for name, value in _load(layout).items() if name != _PASSPHRASE}


def passphrase(layout: Layout) -> str:
    """The passphrase of the twin's Pulumi stacks. Raises TwinError where the twin is not up."""
    return _load(layout)[_PASSPHRASE]


def _load(layout: Layout) -> dict[str, str]:
    try:
        values: dict[str, str] = json.loads(layout.secrets.read_text())
    except FileNotFoundError as error:
        raise TwinError(f"the twin {layout.name} is not up\nbring it up: lab/lab --name {layout.name} up") from error
    return values


def _sign(folder: Path, certificate: Certificate) -> None:
    key = _new_key(folder / f"{certificate.file}.key")
    subject = f"/O={certificate.group}/CN={certificate.user}" if certificate.group else f"/CN={certificate.user}"
    extensions = [
        "keyUsage=critical,digitalSignature",
        f"extendedKeyUsage={'serverAuth' if certificate.names else 'clientAuth'}",
        *([f"subjectAltName={','.join(certificate.names)}"] if certificate.names else []),
    ]
    signer = str(folder / "ca.key")
    _certify(key, subject, extensions, signer=["-CA", _crt(signer), "-CAkey", signer])


def _certify(
    key: str, subject: str, extensions: list[str], authority: str = "FALSE", signer: list[str] | None = None
) -> None:
    """A certificate with what RFC 5280 wants in one; Python 3.13 and later refuse others.

    The configuration is all there is: what the machine's own openssl.cnf adds to it depends on the machine.
    """
    always = [f"basicConstraints=critical,CA:{authority}", "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"]
    configuration = ["[req]", "distinguished_name=name", "x509_extensions=all", "[name]", "[all]", *always, *extensions]
    file = Path(key).with_suffix(".cnf")
    file.write_text("\n".join(configuration) + "\n")
    said = ["-config", str(file), "-subj", subject, "-days", _DAYS_VALID]
    _openssl("req", "-x509", "-new", "-key", key, *(signer or []), *said, "-out", _crt(key))
    file.unlink()


def _new_key(path: Path) -> str:
    path.touch(mode=0o600)
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(path))
    return str(path)


def _crt(key: str) -> str:
    return key.removesuffix(".key") + ".crt"


def _openssl(*arguments: str) -> None:
    _run("openssl", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TwinError(f"{command[0]} {command[1]} failed: {done.stderr.strip()}")
