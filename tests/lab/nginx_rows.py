"""What is done by hand around the declared sites of nginx, and what has to be found of it.

None of it is healed by `up`, which writes no file but the sites.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab.row import HEAL, REPORT, Expected, Row

ENABLED = "/etc/nginx/sites-enabled"
SITE = f"{ENABLED}/flowmaster"
CONF = "/etc/nginx/nginx.conf"
EXTRA = "/etc/nginx/conf.d/extra.conf"
OTHER = "/etc/nginx/other.conf"
RELOAD = "systemctl reload nginx; sleep 0.5"
BACK = f"cp -p /run/nginx.conf.kept {CONF}; cp -p /run/site.kept {SITE}; rm -f {EXTRA} {OTHER} {ENABLED}/zzz"
_STARTED = "</dev/null >/dev/null 2>&1; sleep 0.5"
_SERVER = "server { listen 80; return 204; }"


@dataclass(frozen=True)
class HostRow(Row):
    """A change by hand on the server: a script, and one that puts it right."""

    script: str = ""
    back: str = f"{BACK}; {RELOAD}"


def _row(script: str, *findings: Expected, back: str = f"{BACK}; {RELOAD}") -> HostRow:
    return HostRow("Nginx/nginx", (), findings, script=script, back=back)


def _not_loaded(main: str, note: str) -> Expected:
    live = f"nginx does not load {SITE}: no include of {main} reaches it"
    return Expected("unhealthy", "", live, action=REPORT, note=note, object="NginxSite/flowmaster")


def _twice(second: str) -> Expected:
    live = rf"nginx loads {SITE} 2 times: by {second}"
    return Expected("foreign", "", live, action=REPORT, note="the first one answers", object="NginxSite/flowmaster")


ROWS: dict[str, HostRow] = {
    "include of sites-enabled taken out, reload": _row(
        f"sed -i '/sites-enabled/d' {CONF}; {RELOAD}",
        _not_loaded(CONF, f"nothing of nginx listens on port 80; put `include {ENABLED}/*;` back"),
    ),
    "conf.d file with limits, reload": _row(
        f"printf 'limit_rate 1k;\\nclient_body_timeout 1s;\\n' >{EXTRA}; {RELOAD}",
        Expected("foreign", "inherited.client_body_timeout", "1s", action=REPORT, note=f"in {EXTRA}:2; acts on flow"),
        Expected("foreign", "inherited.limit_rate", "1k", action=REPORT, note=f"in {EXTRA}:1; acts on flow"),
    ),
    "directive of nginx.conf changed, reload": _row(
        f"sed -i 's/sendfile on/sendfile off/' {CONF}; {RELOAD}",
        Expected("drift", "inherited.sendfile", "off", "on", action=REPORT, note=f"in {CONF}:"),
    ),
    "directive of nginx.conf removed, reload": _row(
        f"sed -i '/sendfile on/d' {CONF}; {RELOAD}",
        Expected("drift", "inherited.sendfile", None, "on", action=REPORT, note="in no file of nginx any more"),
    ),
    "site included a second time": _row(
        f"sed -i 's/ default_server//' {SITE}; echo 'include {SITE};' >{EXTRA}; {RELOAD}",
        Expected("drift", "server[80 _].listen", "80", "80 default_server", object="NginxSite/flowmaster"),
        _twice(f"{EXTRA}:1, {CONF}:.*"),
    ),
    "second link to a site": _row(
        f"sed -i 's/ default_server//' {SITE}; ln -s {SITE} {ENABLED}/zzz; {RELOAD}",
        Expected("drift", "server[80 _].listen", "80", "80 default_server", object="NginxSite/flowmaster"),
        _twice(f"{CONF}:.*"),
    ),
    "server of conf.d that answers in place of a site": _row(
        f"printf '\\nserver {{ server_name ~.; return 204; }}' >{EXTRA}; {RELOAD}",
        Expected(
            "foreign", "", "answers any name on port 80", action=REPORT, object="NginxSite/extra.conf",
            note=f"nginx sends the requests to {EXTRA}:2, because its server_name ~. matches",
        ),
    ),
    "nginx started with -c another file": _row(
        f"echo 'events {{ }} http {{ {_SERVER} }}' >{OTHER}; systemctl stop nginx; nginx -c {OTHER} {_STARTED}",
        Expected("drift", "configuration", OTHER, CONF, action=REPORT, note="systemctl restart nginx ends that"),
        _not_loaded(OTHER, f"{OTHER}:1 answers on port 80 instead; systemctl restart nginx loads {CONF} again"),
        back=f"systemctl stop nginx; {BACK}; systemctl start nginx {_STARTED}",
    ),
    "second nginx in place of the one of the unit": _row(
        f"echo 'pid /run/other.pid; events {{ }} http {{ {_SERVER} }}' >{OTHER}; systemctl stop nginx;"
        f" nginx -c {OTHER} {_STARTED}",
        Expected("drift", "configuration", OTHER, CONF, action=REPORT),
        Expected(
            "unhealthy", "ports[80]", rf"another nginx \(/usr/sbin/nginx -c {OTHER}, process \d+\) holds port 80",
            action=REPORT, note="kill -QUIT",
        ),
        _not_loaded(OTHER, f"{OTHER}:1 answers on port 80 instead"),
        back=f"kill -QUIT $(cat /run/other.pid); sleep 1; {BACK}; systemctl start nginx {_STARTED}",
    ),
    "nginx's program replaced, not restarted": _row(
        "cp -p /usr/sbin/nginx /usr/sbin/nginx.new; mv /usr/sbin/nginx.new /usr/sbin/nginx",
        Expected(
            "stale", "program", "/usr/sbin/nginx was replaced or removed since nginx was started", action=REPORT,
            note="systemctl restart nginx",
        ),
        back=f"systemctl restart nginx {_STARTED}",
    ),
    "site edited and reloaded": _row(
        f"sed -i s/100m/50m/ {SITE}; {RELOAD}",
        Expected(
            "drift", "server[80 _].client_max_body_size", "50m", "100m", action=HEAL, object="NginxSite/flowmaster",
        ),
    ),
    "nginx.conf larger than 1 MiB": _row(
        f"yes '# filler' | head -c 1100000 >>{CONF}; {RELOAD}",
        Expected("unknown", "", f"{CONF} cannot be read, or is larger than 1 MiB", action=REPORT),
    ),
}  # fmt: skip
"""Each leaves the report neither clean nor its exit code 0."""
