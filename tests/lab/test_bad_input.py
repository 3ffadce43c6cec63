"""What bad input gets, through the tools themselves: a few lines that name it and the remedy, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.errors import MAX_LINES
from lab.twin import Twin
from lab.twin.patience import patience
from tests.lab.clients import get
from tests.lab.clone import STACK_FILE, Clone, Run

Values = dict[str, Any]
Environment = dict[str, str | None]
OTHER_UID = "00000000-0000-4000-8000-000000000000"
ROLLOUT_SECONDS = 25


def services(values: Values) -> Values:
    """The stack's services."""
    found: Values = values["config"]["flowmaster:services"]
    return found


def refused(clone: Clone, environment: Environment) -> Run:
    """An update that fails before it does anything; says so without a traceback, and leaves every object as it is."""
    before = clone.versions()
    run = clone.up(environment)
    assert run.code != 0, run.output
    assert "Traceback" not in run.output
    assert clone.versions() == before
    return run


def says(run: Run, *words: str) -> None:
    """The program's message is short, and has these words in it."""
    message = "\n".join(run.message)
    assert 0 < len(run.message) <= MAX_LINES, run.output
    for word in words:
        assert word in message


@dataclass(frozen=True)
class Bad:
    """One thing that is wrong, and what has to be said about it."""

    words: tuple[str, ...]
    stack: Callable[[Values], object] | None = None
    catalogue: Callable[[Values], object] | None = None


CONFIGURATION = {
    "unknown key": Bad(
        ("services.frontend", "unknown key 'tga' (did you mean 'tag'?)", "known keys here:", "correct the key"),
        stack=lambda v: services(v).update(frontend={"tga": "ea2a29b"}),
    ),
    "port clash within a pod": Bad(
        ("services.frontend", "port 3000 is given twice within one pod", "a number of its own"),
        catalogue=lambda v: v["services"]["frontend"].update(extraPorts=[{"port": 3000}]),
    ),
    "port clash on the host": Bad(
        ("services.frontend", "port 30500 of the host is taken by the image registry", "another nodePort"),
        catalogue=lambda v: v["services"]["frontend"].update(nodePort=30500),
    ),
    "bad tag": Bad(
        ("services.frontend.tag", "'ea2a29b!' is not an image tag", "letters, digits"),
        stack=lambda v: services(v).update(frontend={"tag": "ea2a29b!"}),
    ),
    "tag range": Bad(
        ("'r45-r47' is a range of tags", "candidates: r45, r46, r47", "write tag: r47"),
        stack=lambda v: services(v).update({"agent-service": {"tag": "r45-r47"}}),
    ),
    "image that the registry does not have": Bad(
        (
            "frontend: the registry has no image localhost:30500/flowmaster/frontend:r1",
            "tags there: c41d09f, ea2a29b",
            "push it to the registry on the server, or correct the tag",
        ),
        stack=lambda v: services(v).update(frontend={"tag": "r1"}),
    ),
    "another cluster": Bad(
        ("context 'demo' points to cluster", OTHER_UID, "set KUBECONFIG"),
        stack=lambda v: v["config"]["flowmaster:cluster"].update(uid=OTHER_UID),
    ),
}


@pytest.mark.parametrize("case", CONFIGURATION)
def test_bad_configuration_is_refused(deployed: Clone, tmp_path: Path, case: str) -> None:
    bad = CONFIGURATION[case]
    says(refused(deployed, deployed.altered(tmp_path, stack=bad.stack, catalogue=bad.catalogue)), *bad.words)


def test_a_name_given_twice_in_the_catalogue_is_refused(deployed: Clone, tmp_path: Path) -> None:
    environment = deployed.altered(tmp_path)
    catalogue = tmp_path / "catalogue.yaml"
    catalogue.write_text(catalogue.read_text().replace("  frontend:\n", "  frontend:\n    port: 1\n  frontend:\n"))
    says(refused(deployed, environment), "'frontend' occurs twice, in lines", "remove or rename")


def test_a_name_given_twice_in_the_stack_is_refused_by_pulumi_itself(deployed: Clone, tmp_path: Path) -> None:
    environment = deployed.altered(tmp_path)
    stack = Path(str(environment[STACK_FILE]))
    stack.write_text(stack.read_text().replace("    frontend:\n", "    frontend: {tag: r1}\n    frontend:\n"))
    assert 'mapping key "frontend" already defined at line' in refused(deployed, environment).output


def test_a_kubeconfig_without_the_context_of_the_stack_is_refused(deployed: Clone, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    values = yaml.safe_load(Path(deployed.environment["KUBECONFIG"]).read_text())
    values["contexts"][0]["name"] = values["current-context"] = "production"
    kubeconfig.write_text(yaml.safe_dump(values))
    run = refused(deployed, {"KUBECONFIG": str(kubeconfig)})
    says(run, str(kubeconfig), "there is no context 'demo'", "contexts there: production", "set KUBECONFIG")


def test_a_kubeconfig_that_is_not_there_is_refused(deployed: Clone, tmp_path: Path) -> None:
    run = refused(deployed, {"KUBECONFIG": str(tmp_path / "none")})
    says(run, f"{tmp_path / 'none'}: no such file", "set KUBECONFIG")


def test_a_missing_secret_is_refused(deployed: Clone) -> None:
    run = refused(deployed, {"FLOWMASTER_SECRET_JWT_SECRET": None})
    says(
        run,
        "secret JWT_SECRET of Secret/flowmaster-secrets has no value",
        "flowmaster secret set flowmaster-secrets/JWT_SECRET",
        "export FLOWMASTER_SECRET_JWT_SECRET",
    )


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"PULUMI_CONFIG_PASSPHRASE": "wrong"}, "incorrect passphrase"),
        ({"PULUMI_CONFIG_PASSPHRASE": None}, "set with PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE"),
    ],
    ids=["wrong", "missing"],
)
def test_a_passphrase_that_does_not_fit_is_refused_by_pulumi_itself(
    deployed: Clone, environment: Environment, words: str
) -> None:
    run = refused(deployed, environment)
    assert words in run.output
    assert len(run.output.strip().splitlines()) <= MAX_LINES


@contextmanager
def without_an_api_server(twin: Twin, stop: Callable[[str], None]) -> Iterator[None]:
    stop("kube-apiserver")
    try:
        yield
    finally:
        twin.start_process("kube-apiserver")


@pytest.mark.parametrize("fault", ["killed", "paused"])
def test_an_api_server_that_does_not_answer_is_named(deployed: Clone, tmp_path: Path, fault: str) -> None:
    environment = deployed.altered(tmp_path, stack=lambda v: v["config"]["flowmaster:cluster"].update(requestTimeout=2))
    twin, before = deployed.twin, deployed.versions()
    with without_an_api_server(twin, twin.kill_process if fault == "killed" else twin.pause_process):
        run = deployed.up(environment)
    assert run.code != 0
    assert "Traceback" not in run.output
    reason = "connection refused" if fault == "killed" else "no answer within 2 s"
    says(run, twin.layout.api_url, reason, "nothing is planned or changed", "check that the server is up")
    assert deployed.versions() == before


def spoil(values: Values) -> None:
    """manager-app crashes at its start, scheduling never says that it is well."""
    values["services"]["manager-app"]["env"] = {"CRASH": "1"}
    values["services"]["scheduling"] |= {
        "env": {"FAIL_HEALTH": "1"},
        "probes": {"readiness": {"http": "/health", "period": 1}},
    }


def no_such_image(values: Values) -> None:
    """auth-service is at a tag that only the node can look for, in a registry elsewhere."""
    services(values)["auth-service"] = {"tag": "r99"}
    values["config"]["flowmaster:cluster"]["rolloutTimeout"] = ROLLOUT_SECONDS


def test_pods_that_cannot_start_fail_the_update_with_their_reasons_and_harm_nobody(
    deployed: Clone, tmp_path: Path
) -> None:
    before = deployed.settled()
    run = deployed.up(deployed.altered(tmp_path, stack=no_such_image, catalogue=spoil))
    assert run.code != 0
    assert "Traceback" not in run.output
    assert run.seconds < ROLLOUT_SECONDS + patience(60), "the timeout, and what an update takes besides"
    said = run.output.partition("Diagnostics:")[2]
    for words in (
        "Deployment/auth-service does not run after",
        "(and 2 more: manager-app, scheduling)",
        "ghcr.io/flowmaster/auth-service:r99",
        "container manager-app crashes: exit code 1 (Error)",
        "its last words: manager-app r30: told to crash (CRASH=1): no connection to the database",
        "container scheduling runs, but is not ready",
        "Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503",
        "run `pulumi up` again, which goes on from here",
    ):
        assert words in said
    # The pods of before go on until new ones are ready, so that nobody notices.
    deployed.keeps(before)
    for name, port in (("manager-app", 3001), ("scheduling", 9008), ("auth-service", 8002), ("frontend", 3000)):
        address = deployed.objects()[f"Service/{name}"]["spec"]["clusterIP"]
        assert deployed.twin.in_network(partial(get, address, port, "/health"))[0] == 200

    deployed.succeeds(deployed.up())
    # those that were declared all the time
    deployed.keeps(before)
    deployed.succeeds(deployed.pulumi("preview", "--expect-no-changes"))
