"""Kubeconfig files: which are read, how they are merged, and what is said of one that is not usable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flowmaster.cluster import kubeconfig as module
from flowmaster.cluster.connection import ApiError
from flowmaster.cluster.kubeconfig import access, files
from tests.unit.cluster.api_server import kubeconfig


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such file"),
        ("a: [", "not valid YAML"),
        ("[]", "not a kubeconfig"),
        ("contexts: [1]", "contexts is not a list of names"),
        ("contexts: [{name: demi}]", r"no context 'demo' \(did you mean 'demi'\?\)"),
        ("contexts: [{name: demo, context: {cluster: c}}]", "names the cluster 'c', which is not there"),
        ("contexts: [{name: a}, {name: a}]", "a name is there twice in contexts"),
        ("{contexts: [{name: demo, context: {cluster: c}}], clusters: [{name: c}]}", "its cluster has no server"),
    ],
)
def test_a_kubeconfig_that_is_not_usable(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ApiError, match=words) as caught:
        access("demo", [path])
    assert 2 <= len(str(caught.value).splitlines()) <= 3


def test_of_several_kubeconfigs_the_first_that_knows_counts(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("contexts: [{name: else, context: {cluster: c, user: u}}]")
    path = kubeconfig(tmp_path, "https://x", {"token": "t"})
    assert access("demo", [other, path]).server == "https://x"
    assert access("else", [other, path]).server == "https://x"


def test_which_files_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert files() == [Path.home() / ".kube/config"]
    monkeypatch.setenv("KUBECONFIG", "/a::/b:/a")
    assert files() == [Path("/a"), Path("/b")]


def document(**sections: dict[str, Any]) -> str:
    """A kubeconfig of these entries."""
    keys = {"clusters": "cluster", "users": "user", "contexts": "context"}
    return yaml.safe_dump(
        {name: [{"name": n, keys[name]: value} for n, value in entries.items()] for name, entries in sections.items()}
    )


def test_an_entry_of_two_files_is_the_first_ones_as_a_whole(tmp_path: Path) -> None:
    first, second = tmp_path / "a/config", tmp_path / "b/config"
    for path in (first, second):
        path.parent.mkdir()
    context = {"demo": {"cluster": "c", "user": "u"}}
    first.write_text(document(contexts=context, clusters={"c": {"server": "https://a", "certificate-authority": "ca"}}))
    second.write_text(
        document(
            clusters={"c": {"server": "https://b", "tls-server-name": "b"}},
            users={"u": {"client-certificate": "crt", "client-key": "key"}},
        )
    )
    found = access("demo", [tmp_path / "gone", first, second])
    assert found.server == "https://a"
    # Each file that is named lies beside the kubeconfig that names it.
    assert found.cluster == {"server": "https://a", "certificate-authority": str(first.parent / "ca")}
    assert found.user == {"client-certificate": str(second.parent / "crt"), "client-key": str(second.parent / "key")}


def test_an_empty_file_is_a_kubeconfig_without_entries(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    path = kubeconfig(tmp_path, "https://x", {})
    assert access("demo", [tmp_path / "empty", path]).server == "https://x"


@pytest.mark.parametrize(
    ("command", "expected"),
    [("bin/helper", "{folder}/bin/helper"), ("/bin/helper", "/bin/helper"), ("helper", "helper")],
)
def test_a_helpers_command_that_is_a_path_is_relative_to_the_kubeconfig(
    tmp_path: Path, command: str, expected: str
) -> None:
    found = access("demo", [kubeconfig(tmp_path, "https://x", {"exec": {"command": command}})])
    assert found.user["exec"]["command"] == expected.format(folder=tmp_path)


def test_a_server_without_a_scheme_is_http_as_for_kubectl(tmp_path: Path) -> None:
    assert access("demo", [kubeconfig(tmp_path, "localhost:8080", {})]).server == "http://localhost:8080"


def test_a_pod_without_kubeconfig_is_told_of_its_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.43.0.1")
    with pytest.raises(ApiError, match="K3s:"):
        access("demo", [tmp_path / "gone"])
    (tmp_path / "token").write_text("t")
    with pytest.raises(ApiError, match="this pod's service account is in docs"):
        access("demo", [tmp_path / "gone"])
