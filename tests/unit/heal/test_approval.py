"""An update runs on what was approved, or not at all: within one run of Pulumi, and across two by the fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pulumi
import pytest

from components import approval
from config.settings import Settings
from tests.unit.drift.server import CONTAINER, Server, named

DRY, WET = True, False
Run = Callable[[bool, Server], None]


@pytest.fixture
def run(demo: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The program's look at a server in a preview (dry) or in an update, both under one Pulumi."""
    monkeypatch.setattr(approval, "_record", lambda: tmp_path / "preview")

    def look(dry: bool, server: Server) -> None:
        monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: dry)
        approval.check(demo, server.report())

    return look


def test_what_was_shown_is_what_is_done(run: Run) -> None:
    server = Server()
    server.set("Deployment/web", ("metadata", "labels", "added"), "yes")
    run(DRY, server)
    run(WET, server)


def test_an_update_without_a_preview_asks_nothing(run: Run) -> None:
    server = Server()
    server.delete("Service/web")
    run(WET, server)


def test_a_change_in_between_stops_the_update_and_is_named(run: Run) -> None:
    server = Server()
    server.set("Deployment/web", ("metadata", "labels", "gone"), "yes")
    run(DRY, server)
    del server.live.objects[next(ref for ref in server.live.objects if str(ref) == "Service/web")]
    server.set("Deployment/web", (*CONTAINER, "env", named("NEW")), {"name": "NEW", "value": "1"})
    with pytest.raises(approval.ApprovalError) as caught:
        run(WET, server)
    said = str(caught.value)
    assert "the server changed after the preview that was approved: " in said
    assert "new: drift Service/web: (missing)" in said
    assert "new: foreign Deployment/web spec.template.spec.containers[web].env[NEW]: 1" in said


def test_it_holds_for_one_update_alone(run: Run) -> None:
    server = Server()
    run(DRY, server)
    run(WET, server)
    server.delete("Service/web")
    run(WET, server)


def test_a_secret_that_changed_in_between_stops_the_update_and_stays_secret(run: Run) -> None:
    server = Server()
    server.set("Secret/keys", ("data", "JWT_SECRET"), "YQ==")
    run(DRY, server)
    server.set("Secret/keys", ("data", "JWT_SECRET"), "Yg==")
    server.set("Secret/keys", ("metadata", "resourceVersion"), "99999")
    with pytest.raises(approval.ApprovalError) as caught:
        run(WET, server)
    assert "Secret/keys data[JWT_SECRET]: (secret, 1 bytes, changed)" in str(caught.value)


def test_pods_that_restart_in_between_do_not_matter(run: Run) -> None:
    server = Server()
    run(DRY, server)
    server.set("Deployment/web", ("status", "availableReplicas"), 0)
    run(WET, server)


def test_many_changes_are_counted(run: Run) -> None:
    server = Server()
    run(DRY, server)
    for number in range(5):
        server.set("Deployment/web", ("metadata", "labels", f"label-{number}"), "x")
    with pytest.raises(approval.ApprovalError, match="and 2 more"):
        run(WET, server)


def test_the_fingerprint_of_an_approved_preview_is_enough_elsewhere(
    demo: Settings, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    server.set("Deployment/web", ("metadata", "labels", "added"), "yes")
    approved = replace(demo, environ={**demo.environ, approval.VARIABLE: server.report().fingerprint})
    run(DRY, server)
    approval.check(approved, server.report())
    server.set("Deployment/web", ("metadata", "labels", "more"), "yes")
    run(DRY, server)
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: WET)
    with pytest.raises(approval.ApprovalError, match=f"{approved.environ[approval.VARIABLE]} was approved, but"):
        approval.check(approved, server.report())


def test_the_record_is_readable_by_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(approval, "_cli", lambda: "1-2")
    path = approval._record()
    assert path is not None
    approval._write(path, {"findings": []})
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    path.parent.chmod(0o777)
    assert approval._record() is None


def test_a_folder_that_somebody_else_put_there_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(approval, "_cli", lambda: "1-2")
    path = approval._record()
    assert path is not None
    path.parent.rmdir()
    path.parent.symlink_to(tmp_path)
    assert approval._record() is None
