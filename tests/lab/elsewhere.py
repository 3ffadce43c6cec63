"""A namespace that somebody else filled, and a stack of its own that knows nothing of it yet."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from lab.twin import Twin
from tests.lab.operate import ROOT, Operator

IMAGE = "localhost:30500/flowmaster/frontend:ea2a29b"
Json = dict[str, Any]


@contextmanager
def another_namespace(twin: Twin, namespace: str, folder: Path, manifests: Sequence[Json]) -> Iterator[Operator]:
    """An operator with a stack called as the namespace, in which the manifests were applied; both gone at the end.

    :param manifests: `IMAGE` in them stands for an image that the twin has.
    """
    base = Operator.of(twin)
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)}).replace("IMAGE", IMAGE)
    delete_namespace(base, namespace)
    base.run("kubectl", "create", "namespace", namespace)
    if manifests:
        base.run("kubectl", "apply", "--namespace", namespace, "--filename", "-", text=text)
    (folder / "catalogue.yaml").write_text("registry: localhost:30500/flowmaster\nservices: {}\n")
    config = {
        "flowmaster:cluster": {"context": "demo", "namespace": namespace},
        "flowmaster:host": {"address": "localhost", "user": "root"},
        "flowmaster:services": {},
    }
    (folder / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    stack = folder / f"Pulumi.{namespace}.yaml"
    clean = {k: v for k, v in base.environ.items() if k not in ("PULUMI_OPTION_CONFIG_FILE", "PULUMI_STACK")}
    _pulumi(folder, clean, "rm", namespace, "--force", "--yes", check=False)
    stack.unlink(missing_ok=True)
    _pulumi(folder, clean, "init", namespace, "--non-interactive")
    salt = yaml.safe_load(stack.read_text())
    stack.write_text(yaml.safe_dump({"config": config, **salt}, sort_keys=False))
    yield base.knowing(
        PULUMI_OPTION_CONFIG_FILE=str(stack),
        FLOWMASTER_CATALOGUE=str(folder / "catalogue.yaml"),
        PULUMI_STACK=namespace,
    )
    delete_namespace(base, namespace)
    _pulumi(folder, clean, "rm", namespace, "--force", "--yes", check=False)


def _pulumi(folder: Path, environ: dict[str, str], *words: str, check: bool = True) -> None:
    subprocess.run(["pulumi", "stack", *words], cwd=folder, env=environ, check=check, capture_output=True)


def delete_namespace(operator: Operator, namespace: str) -> None:
    """The namespace gone, with all that is in it."""
    operator.run("kubectl", "delete", "namespace", namespace, "--ignore-not-found", "--wait=true", "--timeout=90s")
