"""What a plain `flowmaster drift` imports. It runs often, and every import costs each run its time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from config.settings import Settings, secret_variable
from flowmaster.drift.engine import Exit

ROOT = Path(__file__).resolve().parents[3]
ALLOWED = {
    "annotated_types", "config", "flowmaster", "orjson", "pydantic", "pydantic_core", "rich",
    "typing_extensions", "typing_inspection", "yaml",
}  # fmt: skip
"""Pydantic and YAML for the configuration, orjson for state and answers of the API server, rich for the table."""
PROGRAM = """
import json, sys
from flowmaster.cli.main import main
code = main(["drift"])
packages = {name.partition(".")[0] for name, module in sys.modules.items() if getattr(module, "__file__", None)}
ours = {name for name in packages if name not in sys.stdlib_module_names and not name.startswith("_")}
print(json.dumps([code, sorted(ours)]), file=sys.stderr)
"""


def test_a_plain_drift_imports_neither_pulumi_nor_what_it_does_not_need(demo: Settings, tmp_path: Path) -> None:
    context = demo.stack.cluster.context
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": {"token": "of-no-cluster"}}],
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
        "current-context": context,
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    secrets = {secret_variable(key): "x" for entry in demo.catalogue.secrets.values() for key in entry.keys}
    environment = {**os.environ, **secrets, "KUBECONFIG": str(tmp_path / "kubeconfig"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=300)
    code, imported = json.loads(done.stderr.splitlines()[-1])
    assert code == Exit.UNKNOWN
    assert "flowmaster" in imported
    assert set(imported) <= ALLOWED
