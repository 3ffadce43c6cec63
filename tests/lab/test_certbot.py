"""Certificates of a real ACME server: issued, renewed and revoked by certbot, whose edits are adopted or no drift."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.twin import Twin
from tests.lab.acme import NAME, Acme
from tests.lab.batch import until
from tests.lab.operate import Operator

FILE = f"/etc/nginx/sites-enabled/{NAME}"
LIVE = f"/etc/letsencrypt/live/{NAME}"
SITE = """\
server {{
    listen 80;
    server_name {name};
    # as a person wrote it
    location / {{ proxy_pass http://{address}; }}
}}
"""


@pytest.fixture(scope="module")
def acme(hand_made_twin: Twin) -> Iterator[Acme]:
    """A site with a certificate that certbot has just got for it."""
    spec = Operator.of(hand_made_twin).get("Service/frontend")["spec"]
    text = SITE.format(name=NAME, address=f"{spec['clusterIP']}:{spec['ports'][0]['port']}")
    acme = Acme.on(hand_made_twin)
    try:
        acme.server.sh(f"cat > {FILE} <<'END'\n{text}END\nnginx -t -q; systemctl reload nginx")
        said = acme.certbot(
            "--nginx", "--redirect", "--agree-tos", "--register-unsafely-without-email", "--domain", NAME
        )
        assert "Successfully deployed certificate" in said
        yield acme
    finally:
        acme.end()


@pytest.fixture(scope="module")
def operator(acme: Acme) -> Operator:
    """Somebody who adopts what certbot left behind."""
    operator = Operator.of(acme.server.twin)
    before = acme.server.sh(f"sha256sum {FILE}")
    said = operator.run("flowmaster", "adopt", "--site", NAME).stdout
    assert f"{NAME}: {LIVE}/fullchain.pem" in said
    operator.up()
    assert acme.server.sh(f"sha256sum {FILE}") == before
    return operator


def findings(operator: Operator) -> list[str]:
    found = operator.report("--no-registry")["findings"]
    return [f"{f['class']} {f['live']}" for f in found if f["object"]["kind"] in ("Nginx", "NginxSite", "Host")]


def test_what_certbot_left_behind_is_a_template_with_its_marks(operator: Operator) -> None:
    template = Path(operator.environ["PULUMI_OPTION_CONFIG_FILE"]).parent / "nginx/demo" / NAME
    text = template.read_text()
    assert "proxy_pass http://{{ frontend }};" in text
    assert text.count("# managed by Certbot") >= 4
    assert "# as a person wrote it" in text
    assert findings(operator) == []
    operator.preview("--expect-no-changes")


def test_status_tells_the_days_that_are_left(operator: Operator) -> None:
    said = operator.run("flowmaster", "status", code=None).stdout
    [line] = [line for line in said.splitlines() if NAME in line and "days" in line]
    assert line


def test_a_renewal_is_no_drift(acme: Acme, operator: Operator) -> None:
    def serial() -> str:
        return acme.server.sh(f"openssl x509 -noout -serial -in {LIVE}/cert.pem")

    site, before = acme.server.sh(f"sha256sum {FILE}"), serial()
    acme.certbot("renew", "--force-renewal", "--no-random-sleep-on-renew")
    assert serial() != before
    assert acme.server.sh(f"sha256sum {FILE}") == site
    until(lambda: findings(operator) == [], "nginx has the new certificate, and nothing differs", 30)
    operator.preview("--expect-no-changes")


def test_revoked_and_deleted_it_is_unhealthy_in_nginxs_words(acme: Acme, operator: Operator) -> None:
    acme.certbot("revoke", "--cert-path", f"{LIVE}/cert.pem", "--no-delete-after-revoke")
    assert findings(operator) == []
    acme.server.sh(f"mv {LIVE} {LIVE}.gone")
    try:
        [said] = findings(operator)
        assert said.startswith("unhealthy")
        assert "cannot load certificate" in said
    finally:
        acme.server.sh(f"mv {LIVE}.gone {LIVE}")
    assert findings(operator) == []
