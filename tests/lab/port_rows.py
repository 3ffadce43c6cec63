"""What takes the ports of a site away from nginx, or spoils a certificate, and what has to be found of it.

None of it is healed by `up`, which writes no file but the sites.
"""

from __future__ import annotations

import re

from tests.lab.nginx_rows import HostRow
from tests.lab.row import REPORT, Expected

NAME, OTHER = "demo.example", "www.demo.example"
NAMES = f"DNS:{NAME},DNS:{OTHER}"
CERTIFICATE, KEY = "/etc/ssl/ports.pem", "/etc/ssl/ports.key"
IMAGE = "localhost:30500/flowmaster/frontend:ea2a29b"
START = "systemctl start nginx; sleep 0.5"
POD = 'kubectl --namespace databases get pods --output jsonpath=\'{.items[?(@.metadata.labels.app=="postgres")]'
SERVE = "setsid python3 -m http.server 80 >/dev/null 2>&1 </dev/null & echo $! >/run/intruder.pid; sleep 1"
_FIREWALL = "a rule of the server's firewall: -A INPUT ! -i lo -p tcp -m tcp --dport 80 -j "


def certificate(days: int, names: str = NAMES) -> str:
    """A script that has nginx present another certificate, which is its own authority."""
    return f"""
        cd /tmp; openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {KEY} -out ports.csr \
            -subj /CN={NAME} -addext 'subjectAltName={names}' 2>/dev/null
        openssl x509 -req -in ports.csr -signkey {KEY} -copy_extensions copy -days {days} -out {CERTIFICATE} 2>/dev/null
        if [ -s /run/nginx.pid ]; then systemctl reload nginx; sleep 0.5; fi
    """


def _port(live: str, note: str, path: str = "ports[80]") -> Expected:
    return Expected("unhealthy", path, live, "nginx", action=REPORT, note=note)


def _row(script: str, *findings: Expected, back: str) -> HostRow:
    return HostRow("Nginx/nginx", (), findings, script=script, back=back)


def _led(*chains: str, where: str = "") -> HostRow:
    rule = '-p tcp -m addrtype --dst-type LOCAL -m tcp --dport 80 -j DNAT --to-destination "$(cat /run/led)"'
    begin = "; ".join(f"iptables -t nat -I {chain} 1 {rule}" for chain in chains)
    live = rf"the pod databases/postgres-\S+ \(10\.42\.\S+:5432\) answers on port 80{where} in place of nginx"
    return _row(
        f"echo $({POD}.status.podIP}}'):5432 >/run/led; {begin}",
        _port(live, "rules of address translation lead there before nginx sees a connection"),
        back="; ".join(f"iptables -t nat -D {chain} {rule}" for chain in chains),
    )


def _blocked(target: str, what: str) -> HostRow:
    rule = f"! -i lo -p tcp --dport 80 -j {target}"
    live = re.escape(f"connections to port 80 from outside are {what}; on the server itself nginx answers")
    return _row(
        f"iptables -I INPUT 1 {rule}",
        _port(live, _FIREWALL + target.split(maxsplit=1)[0], "ports[80].outside"),
        back=f"iptables -D INPUT {rule}",
    )


def _certificate(script: str, live: str, note: str) -> HostRow:
    path = f"server[443 {NAME}].ssl_certificate"
    return HostRow(
        "NginxSite/flowmaster", (), (Expected("unhealthy", path, live, action=REPORT, note=note),),
        script=script, back=certificate(90),
    )  # fmt: skip


SOON = "certificate that ends in 5 days"
ROWS: dict[str, HostRow] = {
    "container that publishes a site's port, nginx stopped": _row(
        f"systemctl stop nginx; docker run --detach --name intruder --publish 80:3000 {IMAGE}",
        Expected("drift", "state", "stopped", "running"),
        _port("the container intruder answers on port 80 in place of nginx", "stop the container"),
        back=f"docker rm --force intruder; {START}",
    ),
    "process that listens on a site's port, nginx stopped": _row(
        f"systemctl stop nginx; {SERVE}",
        Expected("drift", "state", "stopped", "running"),
        _port(r"python3 \(process \d+\) answers on port 80 in place of nginx", "ss -ltnp on the server shows"),
        back=f"kill $(cat /run/intruder.pid); sleep 0.5; {START}",
    ),
    "rule of a Service's load balancer for a site's port": _led("PREROUTING", "OUTPUT"),
    "rule of address translation for a site's port, from outside": _led("PREROUTING", where=" from outside"),
    "firewall that drops what comes to a site's port": _blocked("DROP", "not answered"),
    "firewall that rejects what comes to a site's port": _blocked("REJECT", "refused"),
    "firewall that says that a site's port is prohibited": _blocked(
        "REJECT --reject-with icmp-host-prohibited", "rejected"
    ),
    SOON: _certificate(certificate(5), r"the certificate ends in [45] days", "renew it"),
    "certificate that has ended": _certificate(
        certificate(0), r"the certificate ended on \d{4}-\d\d-\d\d", "browsers refuse it"
    ),
    "certificate without one of the site's names": _certificate(
        certificate(90, f"DNS:{NAME}"), f"the certificate is for {NAME}, not for {OTHER}", "browsers refuse it"
    ),
    "certificate for somebody else": _certificate(
        certificate(90, "DNS:else.example"),
        f"the certificate is for else.example, not for {NAME}, {OTHER}",
        "browsers refuse it",
    ),
}
