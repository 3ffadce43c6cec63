"""A certificate authority that speaks ACME, and certbot, on a twin: Debian's packages, unpacked and not installed.

Installed, certbot would put a timer on the machine that runs the tests.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.tools.cache import cache_root
from lab.twin import Twin
from lab.twin.patience import patience
from tests.lab.server import Server

PACKAGES = ("pebble", "certbot", "python3-certbot-nginx")
NAME = "acme.example"
_PLACE = "/opt/acme"
_PEBBLE = (
    '{"pebble": {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",'
    f' "certificate": "{_PLACE}/ca.pem", "privateKey": "{_PLACE}/ca.key", "httpPort": 80, "tlsPort": 443,'
    ' "ocspResponderURL": "", "externalAccountBindingRequired": false}}'
)
_START = f"""
cd {_PLACE}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \\
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout ca.key -out ca.pem 2>/dev/null
echo '{_PEBBLE}' > pebble.json
echo '127.0.0.1 {NAME}' >> /etc/hosts
PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0 setsid usr/bin/pebble -config pebble.json > pebble.log 2>&1 < /dev/null &
echo $!
"""


@dataclass(frozen=True)
class Acme:
    """The authority on a twin, and its process there."""

    server: Server
    process: str

    @classmethod
    def on(cls, twin: Twin) -> Acme:
        """Unpack and start it."""
        target = twin.layout.disk / _PLACE.lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        for package in _downloaded():
            subprocess.run(["dpkg-deb", "--extract", str(package), str(target)], check=True)
        server = Server.of(twin)
        return cls(server, server.sh(_START).strip())

    def certbot(self, *words: str) -> str:
        """What certbot says that is called so."""
        program = "import sys; from certbot.main import main; sys.exit(main())"
        return self.server.twin.exec(
            [
                "env", f"PYTHONPATH={_PLACE}/usr/lib/python3/dist-packages", f"REQUESTS_CA_BUNDLE={_PLACE}/ca.pem",
                "/usr/bin/python3", "-W", "ignore", "-c", program, "--server", "https://localhost:14000/dir",
                "--non-interactive", *words,
            ],
            timeout=180,
        ).stdout  # fmt: skip

    def end(self) -> None:
        """End the authority."""
        self.server.sh(f"kill {self.process} || true; sed -i '/{NAME}/d' /etc/hosts")


def _downloaded() -> list[Path]:
    """The packages, and what they need beside what is installed here, in the cache."""
    folder = cache_root() / "packages" / "acme"
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    command = ["apt-get", "install", "--yes", "--quiet", "--download-only", "--no-install-recommends"]
    command += ["-o", f"Dir::Cache::Archives={folder}", *PACKAGES]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    for prepare in ([], ["apt-get", "update", "--quiet"]):
        # lists of packages may be missing, or older than the mirror
        if prepare:
            subprocess.run(prepare, env=environment, capture_output=True, timeout=patience(120), check=False)
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=patience(180), check=False
        )
        if done.returncode == 0 and any(folder.glob("pebble_*.deb")):
            return sorted(folder.glob("*.deb"))
    raise AssertionError(f"apt-get cannot download {', '.join(PACKAGES)}: {done.stderr or done.stdout}")
