"""The server that everything is measured on: a twin of its own, and a node that is none for pods beyond its means."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench.errors import BenchError
from bench.fleet import FAKE_NODE_LABEL, FAKE_NODE_TAINT, NAMESPACE, Fleet
from bench.stack import ROOT, Stack
from config.load import PROJECT
from lab import tools
from lab.twin import Twin

# After "demo": the check of images asks the registry of the cluster's first node.
_FAKE_NODE = "pretended"
_PATIENCE = 600.0
_PRETENDED_PODS = 10000


class Server:
    """The twin, up, with what the measurements need on it."""

    def __init__(self, twin: Twin, say: Callable[[str], None]) -> None:
        self.twin = twin
        self._say = say
        self._kwok: subprocess.Popen[bytes] | None = None
        twin.up()
        self.environment = twin.shell()
        self._remove_leftovers()

    def close(self) -> None:
        """Stop what was started beside the twin."""
        if self._kwok is not None:
            self._kwok.kill()
            self._kwok.wait()
            self._kwok = None

    def kubectl(self, *words: str, text: str = "") -> str:
        """What kubectl prints.

        :raises BenchError: where it fails.
        """
        done = subprocess.run(
            ["kubectl", *words], env=self.environment, input=text, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BenchError(f"kubectl {' '.join(words)}: {' '.join(done.stderr.split())[:500]}")
        return done.stdout

    def pretend_pods(self) -> None:
        """Have a node whose pods are ready as soon as they are scheduled, and use nothing."""
        if self._kwok is not None:
            return
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": _FAKE_NODE,
                "labels": {"kubernetes.io/os": "linux", "kubernetes.io/hostname": _FAKE_NODE, **FAKE_NODE_LABEL},
                "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
            },
            "spec": {"taints": [FAKE_NODE_TAINT]},
            "status": {
                "allocatable": {"cpu": "1000", "memory": "4Ti", "pods": str(_PRETENDED_PODS)},
                "capacity": {"cpu": "1000", "memory": "4Ti", "pods": str(_PRETENDED_PODS)},
            },
        }
        with (self.twin.layout.logs / "kwok.log").open("w") as log:
            self._kwok = subprocess.Popen(
                # dies with this process, however that ends
                [
                    *("setpriv", "--pdeathsig", "KILL", str(tools.binary("kwok"))),
                    f"--kubeconfig={self.twin.kubeconfig}",
                    "--manage-all-nodes=false",
                    "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
                    # renewed, or the node would count as lost after a minute
                    "--node-lease-duration-seconds=40",
                ],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=json.dumps(node))
        self.kubectl("wait", "--for=condition=Ready", f"node/{_FAKE_NODE}", f"--timeout={_PATIENCE:.0f}s")
        self._say("a node for pretended pods is ready")

    def remove(self, namespace: str, *, real: bool) -> None:
        """Delete a namespace with all in it, and wait until nothing of it is left.

        :raises BenchError: where that takes too long.
        """
        path = f"/api/v1/namespaces/{namespace}"
        with self.twin.api() as api:
            if not api.get(path):
                return
            api.delete(f"/apis/apps/v1/namespaces/{namespace}/deployments")
            self._until(lambda: not api.items(f"/apis/apps/v1/namespaces/{namespace}/replicasets"), namespace)
            # the namespace controller alone would wait out the pods' grace
            api.delete(f"{path}/pods", grace_seconds=1 if real else 0)
            self._until(lambda: not api.items(f"{path}/pods"), namespace)
            api.delete(path)
            self._until(lambda: not api.get(path), namespace)

    def _until(self, reached: Callable[[], bool], namespace: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not reached():
            if time.monotonic() > deadline:
                raise BenchError(f"the namespace {namespace} is not gone after {_PATIENCE:.0f} s")
            time.sleep(0.3)

    def _remove_leftovers(self) -> None:
        """What an interrupted run left, where its twin was kept."""
        with self.twin.api() as api:
            names = [item["metadata"]["name"] for item in api.items("/api/v1/namespaces")]
            api.delete(f"/api/v1/nodes/{_FAKE_NODE}")
        for name in names:
            if name.startswith(NAMESPACE):
                self._say(f"removing {name}, left by an earlier run")
                self.remove(name, real=False)

    def clear(self, fleet: Fleet) -> None:
        """As if the fleet had never been deployed: no namespace, and Pulumi's state as of a stack just made."""
        self.remove(fleet.namespace, real=fleet.real)
        self.make_stack(PROJECT, fleet.stack)

    def make_stack(self, project: str, stack: Stack) -> None:
        """Make a stack of a project that has no resources yet, whatever there was of it before."""
        pristine = stack.folder / "pristine"
        if not pristine.exists():
            scratch = stack.folder / "init"
            scratch.mkdir(parents=True)
            stack.state.mkdir()
            # Pulumi writes the salt of the passphrase beside the project, wherever the configuration is.
            (scratch / "Pulumi.yaml").write_text(f"name: {project}\nruntime: python\n")
            self.pulumi(stack, "stack", "init", stack.name, "--non-interactive", cwd=scratch)
            with stack.configuration.open("a") as file:
                file.write(stack.configuration_in(scratch).read_text())
            shutil.copytree(stack.state, pristine)
        shutil.rmtree(stack.state)
        shutil.copytree(pristine, stack.state)

    def pulumi(self, stack: Stack | Fleet, *words: str, cwd: Path = ROOT) -> None:
        """Run Pulumi on a stack, unmeasured.

        :raises BenchError: where it fails.
        """
        # Its state is wanted at the end only; written after each resource it would take most of the time.
        env = self.environment | stack.variables | {"PULUMI_SKIP_CHECKPOINTS": "true", "PULUMI_PARALLEL": "64"}
        done = subprocess.run(
            ["pulumi", *words], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
            raise BenchError(f"pulumi {' '.join(words)} ended with {done.returncode}:\n{said}")
