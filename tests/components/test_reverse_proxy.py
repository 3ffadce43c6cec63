"""nginx's sites as the engine sees them."""

from __future__ import annotations

from datetime import UTC, datetime

import pulumi
import pytest
from pulumi.runtime.mocks import test as pulumi_test

from components.flowmaster import FlowMaster
from components.nginx_site import NginxSiteProvider
from components.reverse_proxy import ReverseProxy, ReverseProxyArgs, reverse_proxy
from config.reverse_proxy import Site
from config.settings import Settings
from flowmaster.compare.finding import Action, Change, Finding, FindingClass, ObjectRef
from flowmaster.drift.engine import Report
from flowmaster.host.errors import PolicyError
from tests.components.conftest import Recorder

SITE = "pulumi-python:dynamic/flowmaster:NginxSite"
COMMAND = "command:local:Command"
ADDRESSES = dict.fromkeys(("frontend", "api-gateway", "websocket-gateway"), "10.43.0.5:80")


def run(demo: Settings, args: ReverseProxyArgs) -> ReverseProxy:
    made: list[ReverseProxy] = []

    @pulumi_test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[object]:
        made.append(ReverseProxy("nginx", args))
        return pulumi.Output.all(*made[0].contents)

    program()
    return made[0]


def args(demo: Settings, **how: object) -> ReverseProxyArgs:
    assert demo.stack.reverse_proxy is not None
    base = {"stack": "demo", "sites": demo.stack.reverse_proxy.sites, "addresses": ADDRESSES}
    return ReverseProxyArgs(**{**base, **how})  # type: ignore[arg-type]


def test_the_site_is_rendered_from_the_addresses(engine: Recorder, demo: Settings) -> None:
    proxy = run(demo, args(demo))
    assert proxy.pulumi_resource_type == "flowmaster:index:ReverseProxy"
    site = engine.of(SITE)["flowmaster"]
    assert "proxy_pass http://10.43.0.5:80;" in site["content"]
    assert site["mode"] == "0644"
    assert [check["path"] for check in site["checks"]] == ["/", "/api/", "/ws/"]


def test_a_service_at_no_replicas_is_not_asked(engine: Recorder, demo: Settings) -> None:
    run(demo, args(demo, asleep=frozenset({"api-gateway"})))
    assert [check["path"] for check in engine.of(SITE)["flowmaster"]["checks"]] == ["/", "/ws/"]


def test_neither_address_nor_key_of_the_server_is_among_the_inputs(engine: Recorder, demo: Settings) -> None:
    run(demo, args(demo))
    assert demo.stack.host.address not in repr(engine.resources)
    assert set(engine.of(SITE)["flowmaster"]) == {"site", "content", "checks", "drift", "mode", "__provider"}
    assert set(engine.of(COMMAND)["nginx-check"]) == {"create", "dir", "environment", "logging"}


def test_no_sites_are_no_resources(engine: Recorder, demo: Settings) -> None:
    run(demo, args(demo, sites={}))
    assert engine.of(SITE) == engine.of(COMMAND) == {}


def test_what_is_planes_is_refused_before_any_address_is_known(demo: Settings) -> None:
    site = Site.model_validate({"locations": {}, "extra": ["listen [::1]:8083;"]})
    with pytest.raises(PolicyError, match="site flowmaster, line 7: listen: port 8083"):
        ReverseProxy("nginx", args(demo, sites={"flowmaster": site}))


def test_what_differs_on_the_server_is_an_input_and_so_a_change(engine: Recorder, demo: Settings) -> None:
    drifted = Finding(
        FindingClass.DRIFT, ObjectRef("NginxSite", "", "flowmaster"), "mode", live="0666", declared="0644"
    ).with_action(Action.HEAL)
    stopped = Finding(
        FindingClass.DRIFT, ObjectRef("Nginx", "", "nginx"), "state", live="stopped", declared="running"
    ).with_action(Action.HEAL)
    foreign = Finding(FindingClass.FOREIGN, ObjectRef("NginxSite", "", "zzz"), change=Change.ADDED, live="x")
    report = Report([drifted, stopped, foreign], 0, "flowmaster", "", "demo", datetime.now(UTC), 0.0, 1)

    @pulumi_test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[object]:
        made = reverse_proxy(demo, FlowMaster("flowmaster", demo), report)
        return pulumi.Output.all(*made.contents)

    pulumi.runtime.settings.SETTINGS.dry_run = True
    try:
        program()
    finally:
        pulumi.runtime.settings.SETTINGS.dry_run = False
    assert engine.of(SITE)["flowmaster"]["drift"] == [
        "mode: 0666, declared 0644",
        "state: stopped, declared running",
    ]


TEXT = "server {\n    listen 80;\n}\n"


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({"content": TEXT}, {"content": TEXT}, False),
        ({"content": TEXT}, {"content": f"# a note\n{TEXT}"}, False),
        ({"content": TEXT}, {"content": TEXT.replace("80", "81")}, True),
        ({"content": TEXT}, {"content": TEXT, "drift": ["mode: 0666, declared 0644"]}, True),
        ({"content": TEXT, "drift": ["mode: 0666, declared 0644"]}, {"content": TEXT}, False),
        ({"content": TEXT, "site": "a"}, {"content": TEXT, "site": "b"}, True),
    ],
)
def test_only_another_meaning_or_drift_is_a_change(
    old: dict[str, object], new: dict[str, object], changes: bool
) -> None:
    base = {"site": "flowmaster", "drift": [], "mode": "0644", "checks": []}
    assert NginxSiteProvider().diff("flowmaster", {**base, **old}, {**base, **new}).changes is changes


def test_what_is_not_known_before_the_update_is_a_change() -> None:
    from pulumi.runtime.rpc import UNKNOWN

    old = {"site": "flowmaster", "content": TEXT, "drift": []}
    assert NginxSiteProvider().diff("flowmaster", old, {**old, "content": UNKNOWN}).changes
