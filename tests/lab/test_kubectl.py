"""The twin's kubectl, held against the same kubeconfigs as our own client (tests/unit/cluster/verdicts.py)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import tools
from tests.unit.cluster import verdicts
from tests.unit.cluster.api_server import encoded, kubeconfig
from tests.unit.cluster.proxies import proxy
from tests.unit.cluster.verdicts import CASES, Ground, Verdict


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with verdicts.ground(tmp_path_factory.mktemp("servers")) as ground:
        yield ground


def kubectl(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """What kubectl makes of the kubeconfig in the folder, with no proxies but those of the variables."""
    usual = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(
        [tools.binary("kubectl"), "--context", "demo", "get", "--raw", "/api"],
        env={**usual, **tools.environment(), "KUBECONFIG": str(folder / "config"), "HOME": str(folder), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("name", CASES)
def test_kubectl_comes_to_the_same(at: Ground, name: str, tmp_path: Path) -> None:
    write, verdict = CASES[name]
    write(at, tmp_path)
    for server in at.servers.values():
        server.asked.clear()
    result = kubectl(tmp_path)
    asked = [one for server in at.servers.values() for one in server.asked]
    if verdict.refused:
        assert result.returncode != 0
        assert not asked
    else:
        assert result.returncode == 0, result.stderr
        (one,) = asked
        assert Verdict(one.authorization, one.client, one.impersonation) == verdict


@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("where", ["proxy-url", "HTTPS_PROXY"])
def test_kubectl_takes_the_same_proxies(at: Ground, kind: str, where: str, tmp_path: Path) -> None:
    port = at.servers["name"].port
    data = encoded(at.authority.certificate)
    with proxy(kind) as one:
        url = f"{kind}://me:se%20cret@127.0.0.1:{one.port}"
        more, variables = ({"proxy_url": url}, {"NO_PROXY": "*"}) if where == "proxy-url" else ({}, {where: url})
        kubeconfig(tmp_path, f"https://api.example:{port}", {"token": "t"}, certificate_authority_data=data, **more)
        result = kubectl(tmp_path, **variables)
    assert result.returncode == 0, result.stderr
    assert one.asked == [("api.example", port)]
    assert one.logins == ["me:se cret"]
