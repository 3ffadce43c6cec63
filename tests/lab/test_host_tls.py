"""A site with TLS on a real server: certificate files on the host, and the plain port sent on."""

from __future__ import annotations

import http.client
import ssl
from typing import Any

import pytest

from config.reverse_proxy import Location, Site
from flowmaster.host import nginx
from flowmaster.host.connection import RefusedError
from lab.twin import Twin
from lab.twin.patience import patience
from tests.lab.clients import get
from tests.lab.server import REGISTRY, Server

NAME = "secure.example"
FILES = {"certificate": "/etc/ssl/secure.pem", "key": "/etc/ssl/secure.key"}
MAKE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    f" -subj /CN={NAME} -keyout {FILES['key']} -out {FILES['certificate']} 2>/dev/null"
)


def site(**tls: Any) -> Site:
    location = Location(upstream=REGISTRY)
    return Site.model_validate({"server_names": [NAME], "tls": {**FILES, **tls}, "locations": {"/": location}})


@pytest.fixture
def server(empty_twin: Twin) -> Server:
    server = Server.of(empty_twin)
    server.sh(f"systemctl start nginx; rm -f {FILES['key']} {FILES['certificate']}")
    return server


def over_tls(server: Server) -> tuple[int, str]:
    """Status, and the certificate's subject as the server presents it."""
    context = ssl._create_unverified_context()  # noqa: S323  a certificate made a moment ago
    connection = http.client.HTTPSConnection(server.access.address, 443, context=context, timeout=patience(10))
    connection.request("GET", "/v2/", headers={"Host": NAME})
    status = connection.getresponse().status
    connection.close()
    return status, ssl.get_server_certificate((server.access.address, 443))


def test_a_site_with_tls_is_served_and_the_plain_port_leads_there(server: Server) -> None:
    server.sh(MAKE)
    assert server.write(site()).changed
    status, presented = over_tls(server)
    assert status == 200
    assert presented.split() == server.sh(f"cat {FILES['certificate']}").split()
    assert get(server.access.address, 80, "/v2/x")[0] == 301
    nginx.remove_site(server.access, "flowmaster")


def test_a_certificate_that_is_not_there_is_refused_in_nginx_own_words(server: Server) -> None:
    with pytest.raises(RefusedError, match=r"cannot load certificate \"/etc/ssl/secure.pem\"") as refused:
        server.write(site())
    assert refused.value.stage == "test"
    assert server.text() == ""


def test_both_ports_can_serve(server: Server) -> None:
    server.sh(MAKE)
    server.write(site(redirect=False))
    assert over_tls(server)[0] == 200
    assert get(server.access.address, 80, "/v2/")[0] == 200
    nginx.remove_site(server.access, "flowmaster")
