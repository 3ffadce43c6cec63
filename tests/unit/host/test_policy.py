"""What is never touched: refused in code, whatever the configuration says."""

from __future__ import annotations

from typing import Any

import pytest

from components import guard
from config.settings import Settings
from flowmaster.host import policy
from flowmaster.host.errors import PolicyError
from flowmaster.render import nginx
from flowmaster.render.manifests import manifests

SITE = "server { listen 80; location / { proxy_pass http://10.43.0.9:3000; } }"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("../nginx", SITE, "only sites of nginx with plain names"),
        ("a/b", SITE, "only sites"),
        ("", SITE, "only sites"),
        (".hidden", SITE, "only sites"),
        ("plane", SITE, "Plane's sites are its own"),
        ("x", "server { root /opt/plane/data; }", "/opt/plane/data"),
        ("x", "server { root /opt/plane-mcp-server; }", "/opt/plane-mcp-server"),
        ("x", "location / { proxy_pass http://plane-proxy:80; }", "plane-proxy"),
        ("x", "location / { proxy_pass http://127.0.0.1:8083; }", "port 8083"),
        ("x", "location / { proxy_pass http://localhost:8012/; }", "port 8012"),
        ("x", "server { listen 8083; }", "port 8083"),
        ("x", "server { listen 0.0.0.0:8012; }", "port 8012"),
        ("x", "upstream u { server 127.0.0.1:8083; }", "port 8083"),
    ],
)
def test_a_site_that_is_not_ours_is_refused(name: str, content: str, said: str) -> None:
    with pytest.raises(PolicyError, match="refused: ") as refused:
        policy.check_site(name, content)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("directive", "said"),
    [
        ("listen [::1]:8083;", "port 8083"),
        ("listen [::]:8083;", "port 8083"),
        ('listen "8083";', "port 8083"),
        ("listen 08083 default_server;", "port 8083"),
        ("listen 8000-8100;", "port 8012"),
        ("access_log /opt//plane/x.log;", "/opt/plane/x.log"),
        ("root /opt/./plane;", "/opt/plane"),
        ("location /x { alias /opt/sdx/../plane/data/; }", "/opt/plane/data"),
        ('root "/opt/pl"ane;', 'unexpected "a"'),
        ("set ${a} /opt/pl; root ${a}ane;", "/opt/plane"),
        ("location / { content_by_lua_block { io.open('/opt/plane/.env') } }", "/opt/plane"),
        ("root '/opt'/plane;", 'unexpected "/"'),
        ("root /opt;", "/opt/plane lies below that"),
        ("root /;", "/opt/plane lies below that"),
        ("root ../../../opt;", "/opt/plane lies below that"),
        ("root /proc/self/root;", "/opt/plane lies below that"),
        ("include /op*/plane/*.conf;", "/opt/plane lies below that"),
        ("root /opt/$host;", "/opt/plane lies below that"),
        ("root /srv/$host/../../opt;", "/opt/plane lies below that"),
        ("root $folder;", "write the path out"),
        ("set $a /opt; root $a/plane;", "/opt/plane"),
        ("set $a /opt/pl; if (-f ${A}ane/on) { return 503; }", "/opt/plane/on"),
        ("set $a /opt/pl; set $b ${a}ane; root $b;", "/opt/plane"),
        ("if (-f /opt//plane/on) { return 503; }", "/opt/plane/on"),
        ("location / { proxy_pass http://unix:/opt//plane/socket; }", "/opt/plane/socket"),
        ("location / { proxy_pass http://PLANE-proxy; }", "PLANE-proxy"),
        ("location / { proxy_pass http://[::1]:8083; }", "port 8083"),
        ("location / { proxy_pass 'http://127.0.0.1:8083'; }", "port 8083"),
        ("location / { set $p 8083; proxy_pass http://127.0.0.1:$p; }", "port 8083"),
        ("location / { set $b 127.0.0.1:8083; proxy_pass http://$b; }", "port 8083"),
        ("location / { proxy_pass http://127.0.0.1:$arg_p; }", "write the address out, with its port"),
        ("location / { proxy_pass http://127.0.0.1:80$arg_p; }", "write the address out, with its port"),
        ("location / { proxy_pass http://$arg_b/x; }", "write the address out, with its port"),
        ("location / { proxy_pass $arg_b; }", "write the address out, with its port"),
        ("location / { fastcgi_pass 127.0.0.1:8012; }", "port 8012"),
        ("location / { grpc_pass grpc://127.0.0.1:8012; }", "port 8012"),
        ("location / { uwsgi_pass 127.0.0.1:8083; }", "port 8083"),
        ("location / {", "cannot be read"),
    ],
)
def test_no_spelling_of_what_is_planes_gets_through(directive: str, said: str) -> None:
    with pytest.raises(PolicyError, match="refused: site x") as refused:
        policy.check_site("x", f"server {{\n{directive}\n}}")
    assert said in str(refused.value)
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize(
    "directive",
    [
        "# see /opt/plane and plane-proxy on 8083, http://127.0.0.1:8083",
        "listen [::]:80 default_server;",
        "root /opt/flowmaster;",
        "root /var/www/$host;",
        "root html;",
        "access_log off;",
        "access_log /var/log/nginx/$host.log combined if=$loggable;",
        "include snippets/*.conf;",
        "ssl_certificate /etc/ssl/$ssl_server_name.pem;",
        "location / { try_files $uri /; }",
        "location / { proxy_cookie_path / '/; Secure'; proxy_cache_key $host$uri; proxy_pass http://10.43.0.9:3000; }",
        "location / { set $host_of_pool pool.example; proxy_pass http://$host_of_pool:3000; }",
        "location / { proxy_pass http://10.43.0.9:3000$request_uri; }",
        "location / { proxy_pass http://unix:/run/app.sock:/x; }",
        "return 301 https://$host$request_uri;",
        "return 200 8083;",
    ],
)
def test_a_site_of_ours_is_not_refused(directive: str) -> None:
    policy.check_site("flowmaster", f"server {{\n{directive}\n}}")


def test_a_site_is_judged_by_what_is_written_of_it() -> None:
    """Not by what is to be undone on the server; and a preview refuses it already."""
    inputs = {"site": "x", "content": SITE, "drift": ["server[80].root: /opt/plane"], "checks": []}
    policy.check_resource(policy.SITE, "x", inputs, "flowmaster")
    policy.check_site("flowmaster", None)
    with pytest.raises(PolicyError, match="port 8083"):
        policy.check_resource(policy.SITE, "x", {**inputs, "content": "server { listen [::]:8083; }"}, "flowmaster")


@pytest.mark.parametrize("verb", ["run", "delete", "", None, "write"])
def test_a_request_that_is_not_known_is_refused(verb: str | None) -> None:
    with pytest.raises(PolicyError, match="asked for nothing but change, check, compose, ports, read"):
        policy.check_request({"verb": verb})


@pytest.mark.parametrize(
    ("kind", "inputs", "said"),
    [
        ("kubernetes:core/v1:Service", {"metadata": {"namespace": "databases"}}, "namespace databases"),
        ("kubernetes:core/v1:Namespace", {"metadata": {"name": "kube-system"}}, "namespace kube-system"),
        (
            "kubernetes:core/v1:Service",
            {"metadata": {"namespace": "flowmaster"}, "spec": {"ports": [{"nodePort": 8083}]}},
            "port 8083 of the server",
        ),
        (
            "kubernetes:apps/v1:Deployment",
            {"metadata": {"namespace": "flowmaster"}, "spec": {"containers": [{"ports": [{"hostPort": 8012}]}]}},
            "port 8012 of the server",
        ),
        (
            "kubernetes:apps/v1:Deployment",
            {"metadata": {"namespace": "flowmaster"}, "spec": {"volumes": [{"hostPath": {"path": "/opt/plane/x"}}]}},
            "/opt/plane/x",
        ),
        ("command:remote:Command", {"create": "docker restart plane-web-1"}, "plane-web-1"),
        ("command:local:Command", {"create": "ls /opt/plane"}, "/opt/plane"),
    ],
)
def test_a_resource_that_names_what_is_not_ours_is_refused(kind: str, inputs: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        policy.check_resource(kind, "x", inputs, "flowmaster")
    assert said in str(refused.value)


def test_everything_that_the_program_declares_passes(demo: Settings) -> None:
    bodies = manifests(demo)
    assert len(bodies) > 60
    for body in bodies:
        policy.check_resource(f"kubernetes:x:{body['kind']}", body["metadata"]["name"], dict(body), demo.namespace)
    assert demo.stack.reverse_proxy is not None
    for name, site in demo.stack.reverse_proxy.sites.items():
        addresses = dict.fromkeys(demo.services, "10.43.0.1:80")
        policy.check_site(name, nginx.site_text(site, addresses))


def test_a_port_inside_the_cluster_is_nobodys_business() -> None:
    """prompt-engineering listens on 8012 in its pod; that is not Plane's port of the server."""
    body = {"metadata": {"namespace": "flowmaster"}, "spec": {"ports": [{"port": 8012, "targetPort": 8012}]}}
    policy.check_resource("kubernetes:core/v1:Service", "prompt-engineering", body, "flowmaster")


def test_containers_made_or_started_again_are_told() -> None:
    before = {"plane-web": "a 1", "plane-db": "b 1", "plane-mq": "c 1"}
    assert guard.changes(before, dict(before)) == []
    after = {"plane-web": "a 2", "plane-db": "b 1", "plane-new": "d 1"}
    assert guard.changes(before, after) == ["plane-mq is gone", "plane-new is new", "plane-web was restarted"]


def compose(**more: Any) -> dict[str, Any]:
    return {"verb": "compose", "do": "copy", "project": "sdx", "folder": "/opt/sdx", "run": "r", **more}


DOCKER, CLUSTER = "/var/lib/docker/volumes/sdx_data/_data", "/var/lib/flowmaster/volumes/sdx/data"


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (compose(do="exec"), "compose 'exec'"),
        (compose(project="plane"), "Plane's containers"),
        (compose(project="../x"), "plain name"),
        (compose(folder="/opt/plane"), "Plane's files"),
        (compose(folder="/opt/plane-mcp-server"), "Plane's files"),
        (compose(folder="/etc"), "a folder of its own"),
        (compose(folder="/opt/sdx/../plane"), "a folder of its own"),
        (compose(do="redirect", ports=[[8083, 18083]]), "port 8083"),
        (compose(do="redirect", ports=[[18012, 8012]]), "port 18012"),
        (compose(volumes=[{"source": "/opt/plane/data", "target": CLUSTER}]), "/opt/plane/data"),
        (
            compose(volumes=[{"source": "/var/lib/docker/volumes/plane_pgdata/_data", "target": CLUSTER}]),
            "plane_pgdata",
        ),
        (
            compose(volumes=[{"source": CLUSTER, "target": "/var/lib/docker/volumes/plane_pgdata/_data"}]),
            "plane_pgdata",
        ),
        (compose(volumes=[{"source": CLUSTER, "target": "/var/lib/docker/volumes/other_x/_data"}]), "writing to"),
        (compose(volumes=[{"source": DOCKER, "target": "/etc/nginx/sdx/x"}]), "writing to /etc/nginx"),
        (compose(volumes=[{"source": DOCKER, "target": "/root/sdx/data"}]), "writing to"),
        (compose(volumes=[{"source": DOCKER, "target": "/srv/other/data"}]), "writing to"),
        (compose(volumes=[{"source": DOCKER, "target": "/srv/sdx/../x/sdx/data"}]), "plain absolute path"),
    ],
)
def test_a_request_about_what_is_not_the_projects_is_refused(request_: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError) as refused:
        policy.check_request(request_)
    assert said in str(refused.value)


def test_requests_about_the_projects_own_volumes_are_not_refused() -> None:
    for source, target in ((DOCKER, CLUSTER), (CLUSTER, DOCKER), ("/etc/localtime", CLUSTER), (CLUSTER, "/opt/sdx/d")):
        policy.check_request(compose(volumes=[{"name": "data", "source": source, "target": target}]))
    policy.check_request(compose(do="redirect", ports=[[8010, 18010]]))
