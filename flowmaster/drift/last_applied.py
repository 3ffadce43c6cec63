"""Reads the last applied state from the state of the Pulumi stack."""

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

from flowmaster.cluster.kinds import kind_name
from flowmaster.compare.finding import OPAQUE, ObjectRef
from flowmaster.render.objects import CLUSTER_SCOPED

_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""The key with which Pulumi marks special values (secrets among them), which cannot be read here."""

_SITE = "flowmaster:NginxSite"
_IMAGES = "flowmaster:ComposeImages"
_FRACTION = re.compile(r"\.\d+")
"""Fractions of a second: nanoseconds, which Python does not parse."""


@dataclass(frozen=True)
class Applied:
    """The last applied state. If it could not be read, `problem` says why and the rest is empty."""

    bodies: Mapping[ObjectRef, dict[str, Any]] = field(default_factory=dict)
    sites: Mapping[str, str] = field(default_factory=dict)
    """Text of each nginx site, by name."""
    addresses: Mapping[ObjectRef, str] = field(default_factory=dict)
    """ClusterIP of each Service at that time."""
    digests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By compose project, digests of pushed images by service."""
    updated: datetime | None = None
    """When the state was last written."""
    problem: str = ""

    def __contains__(self, ref: ObjectRef) -> bool:
        return ref in self.bodies


def from_stack(project: str, stack: str, root: Path) -> Applied:
    """Read the stack's state; a stack without state has applied nothing. Never raises."""
    try:
        folder = backend_folder(root)
        state = from_files(folder, project, stack) if folder is not None else _exported(stack, root)
        if state is None:
            return Applied()
        return Applied(bodies(state), sites(state), addresses(state), digests(state), _write_time(state))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, subprocess.SubprocessError) as err:
        message = " ".join(str(err).split())[:200]
        return Applied(problem=f"the state of stack {stack} cannot be read: {message or type(err).__name__}")


def backend(root: Path) -> str:
    """Return the URL of Pulumi's backend, chosen as the CLI does."""
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


def backend_folder(root: Path) -> Path | None:
    """Return the folder of a file backend; None for other backends."""
    location = backend(root)
    if not location.startswith("file://"):
        return None
    path = Path(location.removeprefix("file://").partition("?")[0]).expanduser()
    return path if path.is_absolute() else root / path


def from_files(folder: Path, project: str, stack: str) -> dict[str, Any] | None:
    """Read the state from the files of the backend, which is faster than starting Pulumi and needs no passphrase.

    :return: None if the stack has no state yet.
    :raises OSError, ValueError: if it cannot be read.
    """
    import orjson

    stacks = folder / ".pulumi" / "stacks"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder")
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
    """Return the Kubernetes objects in a state."""
    return {ref: _readable(inputs) for ref, inputs, _ in _objects(deployment)}


def addresses(deployment: Mapping[str, Any]) -> dict[ObjectRef, str]:
    """Return the ClusterIPs of Services in a state."""
    found = {}
    for ref, _, outputs in _objects(deployment):
        spec = outputs.get("spec")
        address = spec.get("clusterIP") if ref.kind == "Service" and isinstance(spec, dict) else None
        if isinstance(address, str) and address not in ("", "None"):
            found[ref] = address
    return found


def _objects(deployment: Mapping[str, Any]) -> Iterator[tuple[ObjectRef, dict[str, Any], dict[str, Any]]]:
    """Yield reference, inputs and outputs of each Kubernetes object in a state."""
    for resource in deployment.get("resources") or ():
        kind = str(resource.get("type", ""))
        inputs = resource.get("inputs")
        if not kind.startswith("kubernetes:") or resource.get("delete") or not isinstance(inputs, dict):
            continue
        metadata = inputs.get("metadata")
        if not isinstance(metadata, dict) or "kind" not in inputs:
            continue
        outputs = resource.get("outputs") or {}
        output_metadata = outputs.get("metadata")
        names = {**(output_metadata if isinstance(output_metadata, dict) else {}), **metadata}
        name, namespace = names.get("name"), names.get("namespace")
        if isinstance(name, str):
            known = kind_name(str(inputs.get("apiVersion", "")), str(inputs["kind"]))
            cluster_scoped = known in CLUSTER_SCOPED or not isinstance(namespace, str)
            yield ObjectRef(known, "" if cluster_scoped else str(namespace), name), inputs, outputs


def _write_time(deployment: Mapping[str, Any]) -> datetime | None:
    text = str((deployment.get("manifest") or {}).get("time", ""))
    try:
        return datetime.fromisoformat(_FRACTION.sub(".000000", text))
    except ValueError:
        return None


def sites(deployment: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts of nginx sites in a state."""
    found = {}
    for resource in deployment.get("resources") or ():
        if str(resource.get("type", "")).endswith(_SITE) and not resource.get("delete"):
            # outputs of an earlier version may be encrypted
            for values in (resource.get("inputs") or {}, resource.get("outputs") or {}):
                name, content = values.get("site"), values.get("content")
                if isinstance(name, str) and isinstance(content, str):
                    found[name] = content
    return found


def digests(deployment: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the digests of pushed images in a state, by compose project and service."""
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
