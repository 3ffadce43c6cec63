"""Kubeconfigs and what becomes of them: what the server then sees, or that nobody is let in.

The unit tests hold the project's own client against this table, tests/lab/test_kubectl.py holds kubectl against
it.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.unit.cluster.api_server import ApiServer, Authority, encoded, helper, kubeconfig, serving, spec


@dataclass(frozen=True)
class Ground:
    """Servers with different certificates, of an authority that says nothing of key usage."""

    authority: Authority
    other: Authority
    servers: dict[str, ApiServer]


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """The servers, for as long as the block runs."""
    authority = Authority.make(folder)
    other = Authority.make(folder, name="other")
    served = {
        "address": authority.served("address", "IP:127.0.0.1,DNS:api.example"),
        "name": authority.served("name", "DNS:api.example"),
        "common-name": authority.served("common-name", None, common="127.0.0.1"),
        "expired": authority.served("expired", "IP:127.0.0.1", days=-1),
    }
    with ExitStack() as stack:
        servers = {name: stack.enter_context(serving(tls)) for name, tls in served.items()}
        servers["plain"] = stack.enter_context(serving())
        yield Ground(authority, other, servers)


@dataclass(frozen=True)
class Verdict:
    """What becomes of a kubeconfig: the server is asked so, or it is not asked at all."""

    authorization: str | None = None
    client: str | None = None
    impersonation: tuple[tuple[str, str], ...] = ()
    refused: bool = False


REFUSED = Verdict(refused=True)
Write = Callable[[Ground, Path], Any]
CASES: dict[str, tuple[Write, Verdict]] = {}


def _case(name: str, verdict: Verdict, server: str = "address", **cluster: Any) -> Callable[[Write], Write]:
    """Register what gives the user of a kubeconfig (and, in a pair, more of its cluster)."""

    def register(user_of: Write) -> Write:
        def write(at: Ground, folder: Path) -> None:
            user = user_of(at, folder)
            more = {"certificate_authority_data": encoded(at.authority.certificate)} | cluster
            if isinstance(user, tuple):
                user, more = user[0], more | user[1]
            kept = {key: value for key, value in more.items() if value is not None}
            kubeconfig(folder, at.servers[server].address, user, **kept)

        assert name not in CASES
        CASES[name] = write, verdict
        return write

    return register


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _nobody(at: Ground, folder: Path) -> Any:
    return {"token": "t"}


ASKED = Verdict("Bearer t")
_case("an authority without key usage", ASKED)(_nobody)
_case("a certificate for another address", REFUSED, "name")(_nobody)
_case("a certificate for tls-server-name", ASKED, "name", tls_server_name="api.example")(_nobody)
_case("a certificate for another tls-server-name", REFUSED, tls_server_name="other.example")(_nobody)
_case("a certificate with a common name alone", REFUSED, "common-name")(_nobody)
_case("a certificate that has run out", REFUSED, "expired")(_nobody)
_case("insecure", ASKED, "expired", certificate_authority_data=None, insecure_skip_tls_verify=True)(_nobody)
_case("insecure beside an authority", REFUSED, insecure_skip_tls_verify=True)(_nobody)
_case("an authority that the system does not know", REFUSED, certificate_authority_data=None)(_nobody)
_case("over plain HTTP no credentials are sent", Verdict(), "plain")(_nobody)
_case("a proxy of an unknown kind", REFUSED, proxy_url="ftp://127.0.0.1")(_nobody)


@_case("another authority", REFUSED)
def _other_authority(at: Ground, folder: Path) -> Any:
    return {"token": "t"}, {"certificate_authority_data": encoded(at.other.certificate)}


@_case("the server's own certificate as anchor", ASKED)
def _anchor(at: Ground, folder: Path) -> Any:
    return {"token": "t"}, {"certificate_authority_data": encoded(at.authority.folder / "address.crt")}


@_case("a relative authority file", ASKED, certificate_authority_data=None, certificate_authority="ca/ca.crt")
def _relative(at: Ground, folder: Path) -> Any:
    (folder / "ca").mkdir()
    (folder / "ca/ca.crt").write_bytes(at.authority.certificate.read_bytes())
    return {"token": "t"}


@_case("authority as file and as data", REFUSED, certificate_authority="ca.crt")
def _twice(at: Ground, folder: Path) -> Any:
    (folder / "ca.crt").write_bytes(at.authority.certificate.read_bytes())
    return {"token": "t"}


@_case("client certificate as data", Verdict(client="somebody"))
def _client_data(at: Ground, folder: Path) -> Any:
    certificate, key = at.authority.sign("client", None, common="somebody")
    return {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)}


@_case("client certificate in files beside the kubeconfig, and a token", Verdict("Bearer t", "somebody"))
def _client_files(at: Ground, folder: Path) -> Any:
    for name, path in zip(("c.crt", "c.key"), at.authority.sign("client", None, common="somebody"), strict=True):
        (folder / name).write_bytes(path.read_bytes())
    return {"client-certificate": "c.crt", "client-key": "c.key", "token": "t"}


@_case("client certificate without its key", REFUSED)
def _client_no_key(at: Ground, folder: Path) -> Any:
    return {"client-certificate-data": encoded(at.authority.certificate)}


_case("user and password", Verdict(_basic("a", "b")))(lambda at, folder: {"username": "a", "password": "b"})
_case("user, password and token", REFUSED)(lambda at, folder: {"username": "a", "password": "b", "token": "t"})


@_case("a token file", Verdict("Bearer of-file"))
def _token_file(at: Ground, folder: Path) -> Any:
    (folder / "token").write_text("of-file\n")
    return {"tokenFile": "token"}


@_case("a token file and a token", Verdict("Bearer of-file"))
def _both_tokens(at: Ground, folder: Path) -> Any:
    (folder / "token").write_text("of-file\n")
    return {"tokenFile": "token", "token": "t"}


_case("a token file that is gone and a token", ASKED)(lambda at, folder: {"tokenFile": "gone", "token": "t"})
_case("a token file that is gone", REFUSED)(lambda at, folder: {"tokenFile": "gone"})

EXTRA = {"a/b": ["1", "2"]}
_case(
    "somebody else, impersonated",
    Verdict(
        "Bearer t",
        impersonation=(
            ("impersonate-extra-a%2fb", "1"),
            ("impersonate-extra-a%2fb", "2"),
            ("impersonate-group", "g"),
            ("impersonate-group", "h"),
            ("impersonate-uid", "7"),
            ("impersonate-user", "jane"),
        ),
    ),
)(lambda at, folder: {"token": "t", "as": "jane", "as-uid": "7", "as-groups": ["g", "h"], "as-user-extra": EXTRA})
_case("groups of nobody", REFUSED)(lambda at, folder: {"token": "t", "as-groups": ["g"]})


HELPED = Verdict("Bearer of-helper")
TOKEN = {"token": "of-helper"}
_case("a helper", HELPED)(lambda at, folder: spec(helper(folder, TOKEN)))
_case("a helper beside the kubeconfig", HELPED)(lambda at, folder: spec(f"./{helper(folder, TOKEN).name}"))
_case("a helper that is gone", REFUSED)(lambda at, folder: spec(folder / "gone", installHint="install it"))
_case("a helper that fails", REFUSED)(lambda at, folder: spec("/bin/false"))
_case("a helper without status", REFUSED)(lambda at, folder: spec(helper(folder, None)))
_case("a helper without credentials", REFUSED)(lambda at, folder: spec(helper(folder, {})))
_case("a helper of another version", REFUSED)(lambda at, folder: spec(helper(folder, TOKEN, version="v1beta1")))
_case("a helper that needs a person", REFUSED)(lambda at, folder: spec(helper(folder, TOKEN), interactiveMode="Always"))
_case("a helper of v1 without interactiveMode", REFUSED)(
    lambda at, folder: spec(helper(folder, TOKEN), interactiveMode=None)
)
_case("a helper and a token", ASKED)(lambda at, folder: {"token": "t", **spec(helper(folder, TOKEN))})


@_case("a helper of v1beta1 without interactiveMode", HELPED)
def _beta(at: Ground, folder: Path) -> Any:
    version = "client.authentication.k8s.io/v1beta1"
    script = helper(folder, TOKEN, version="v1beta1")
    return spec(script, apiVersion=version, interactiveMode=None)


@_case("a helper of v1alpha1", REFUSED)
def _alpha(at: Ground, folder: Path) -> Any:
    version = "client.authentication.k8s.io/v1alpha1"
    return spec(helper(folder, TOKEN, version="v1alpha1"), apiVersion=version)


@_case("a helper with a certificate", Verdict(client="helped"))
def _helper_certificate(at: Ground, folder: Path) -> Any:
    certificate, key = at.authority.sign("helped", None, common="helped")
    status = {"clientCertificateData": certificate.read_text(), "clientKeyData": key.read_text()}
    return spec(helper(folder, status))


@_case("a helper with a certificate without key", REFUSED)
def _helper_half(at: Ground, folder: Path) -> Any:
    certificate, _ = at.authority.sign("helped", None, common="helped")
    return spec(helper(folder, {"clientCertificateData": certificate.read_text()}))


def oidc(seconds: float) -> dict[str, Any]:
    """A user of the auth-provider oidc whose token ends in so many seconds."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(time.time() + seconds)}).encode()).decode().rstrip("=")
    config = {"idp-issuer-url": "https://127.0.0.1:1", "client-id": "x", "id-token": f"e30.{claims}.e30"}
    return {"auth-provider": {"name": "oidc", "config": config}}


_case("a token of auth-provider oidc that has run out", REFUSED)(lambda at, folder: oidc(-60))
_case("auth-provider gcp", REFUSED)(lambda at, folder: {"auth-provider": {"name": "gcp"}})
