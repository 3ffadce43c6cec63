"""What was applied last, as the state of the Pulumi stack has it."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from flowmaster.cluster.kinds import CLUSTER_SCOPED, kind_name
from flowmaster.compare.finding import OPAQUE, ObjectRef

_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key under which Pulumi marks special values; anything marked so cannot be read here."""

_SITE = "flowmaster:NginxSite"
_IMAGES = "flowmaster:ComposeImages"
_FRACTION = re.compile(r"\.\d+")
"""Nanoseconds, which Python does not read."""


@dataclass(frozen=True)
class Applied:
    """The bodies that were applied last. `problem` says why they are not known; then nothing is said about any."""

    bodies: Mapping[ObjectRef, dict[str, Any]] = field(default_factory=dict)
    sites: Mapping[str, str] = field(default_factory=dict)
    """The text of each of nginx's sites, by name."""
    addresses: Mapping[ObjectRef, str] = field(default_factory=dict)
    """The ClusterIP that each Service had then."""
    digests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By compose project, what the registry calls the images that were pushed for its services."""
    updated: datetime | None = None
    """When the state was last written."""
    problem: str = ""

    def __contains__(self, ref: ObjectRef) -> bool:
        return ref in self.bodies


def from_stack(project: str, stack: str, root: Path) -> Applied:
    """What the stack's state says; a stack that has none yet has applied nothing. Never raises."""
    try:
        kept = folder(root)
        state = from_files(kept, project, stack) if kept is not None else _exported(stack, root)
        if state is None:
            return Applied()
        return Applied(bodies(state), sites(state), addresses(state), digests(state), _written(state))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, subprocess.SubprocessError) as err:
        words = " ".join(str(err).split())[:200]
        return Applied(problem=f"the state of stack {stack} cannot be read: {words or type(err).__name__}")


def backend(root: Path) -> str:
    """Where Pulumi keeps its state: as the CLI decides it."""
    if named := os.environ.get("PULUMI_BACKEND_URL"):
        return named
    project = root / "Pulumi.yaml"
    if project.is_file() and "backend:" in project.read_text(encoding="utf-8"):
        import yaml

        url = (yaml.safe_load(project.read_text(encoding="utf-8")).get("backend") or {}).get("url")
        if url:
            return str(url)
    home = Path(os.environ.get("PULUMI_CREDENTIALS_PATH") or os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    credentials = home / "credentials.json"
    return str(json.loads(credentials.read_text()).get("current") or "") if credentials.is_file() else ""


def folder(root: Path) -> Path | None:
    """The folder of the backend, where it is one of files on this machine."""
    location = backend(root)
    if not location.startswith("file://"):
        return None
    path = Path(location.removeprefix("file://").partition("?")[0]).expanduser()
    return path if path.is_absolute() else root / path


def from_files(kept: Path, project: str, stack: str) -> dict[str, Any] | None:
    """The state from the files of the backend: quicker than starting Pulumi for it, and it needs no passphrase.

    None where the stack has none yet. Raises OSError or ValueError where it cannot be read.
    """
    import orjson

    stacks = kept / ".pulumi" / "stacks"
    if not kept.is_dir():
        raise FileNotFoundError(f"{kept} is not a folder")
    for base in (stacks / project / stack, stacks / stack):
        for name in (base.with_name(f"{base.name}.json"), base.with_name(f"{base.name}.json.gz")):
            if name.is_file():
                content = name.read_bytes()
                plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
                return dict(orjson.loads(plain)["checkpoint"]["latest"] or {})
    return None


def _exported(stack: str, root: Path) -> dict[str, Any] | None:
    command = ["pulumi", "stack", "export", "--stack", stack, "--non-interactive"]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=120)
    if result.returncode == 0:
        return dict(json.loads(result.stdout)["deployment"])
    if "no stack named" in result.stderr:
        return None
    raise ValueError(result.stderr.strip() or f"pulumi stack export ended with {result.returncode}")


def bodies(deployment: Mapping[str, Any]) -> dict[ObjectRef, dict[str, Any]]:
    """The Kubernetes bodies among the resources of a state."""
    return {ref: _readable(inputs) for ref, inputs, _ in _objects(deployment)}


def addresses(deployment: Mapping[str, Any]) -> dict[ObjectRef, str]:
    """The ClusterIPs of the Services among the resources of a state, as the server gave them."""
    found = {}
    for ref, _, outputs in _objects(deployment):
        spec = outputs.get("spec")
        address = spec.get("clusterIP") if ref.kind == "Service" and isinstance(spec, dict) else None
        if isinstance(address, str) and address not in ("", "None"):
            found[ref] = address
    return found


def _objects(deployment: Mapping[str, Any]) -> Iterator[tuple[ObjectRef, dict[str, Any], dict[str, Any]]]:
    """The Kubernetes objects of a state: what they are called, their inputs and their outputs."""
    for resource in deployment.get("resources") or ():
        kind = str(resource.get("type", ""))
        inputs = resource.get("inputs")
        if not kind.startswith("kubernetes:") or resource.get("delete") or not isinstance(inputs, dict):
            continue
        metadata = inputs.get("metadata")
        if not isinstance(metadata, dict) or "kind" not in inputs:
            continue
        outputs = resource.get("outputs") or {}
        shown = outputs.get("metadata")
        names = {**(shown if isinstance(shown, dict) else {}), **metadata}
        name, namespace = names.get("name"), names.get("namespace")
        if isinstance(name, str):
            known = kind_name(str(inputs.get("apiVersion", "")), str(inputs["kind"]))
            whole = known in CLUSTER_SCOPED or not isinstance(namespace, str)
            yield ObjectRef(known, "" if whole else str(namespace), name), inputs, outputs


def _written(deployment: Mapping[str, Any]) -> datetime | None:
    text = str((deployment.get("manifest") or {}).get("time", ""))
    try:
        return datetime.fromisoformat(_FRACTION.sub(".000000", text))
    except ValueError:
        return None


def sites(deployment: Mapping[str, Any]) -> dict[str, str]:
    """The texts of nginx's sites among the resources of a state."""
    found = {}
    for resource in deployment.get("resources") or ():
        outputs = resource.get("outputs") or {}
        if str(resource.get("type", "")).endswith(_SITE) and not resource.get("delete"):
            name, content = outputs.get("site"), outputs.get("content")
            if isinstance(name, str) and isinstance(content, str):
                found[name] = content
    return found


def digests(deployment: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What was pushed for compose projects, by project and service, among the resources of a state."""
    found = {}
    for resource in deployment.get("resources") or ():
        outputs = resource.get("outputs") or {}
        pushed = outputs.get("digests")
        if str(resource.get("type", "")).endswith(_IMAGES) and not resource.get("delete") and isinstance(pushed, dict):
            found[str(outputs.get("project"))] = {str(name): str(digest) for name, digest in pushed.items()}
    return found


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        if _SIGNATURE in value:
            return OPAQUE
        return {name: _readable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_readable(part) for part in value]
    return value
