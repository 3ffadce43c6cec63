"""The two states of the server: fresh, and as its people made it by hand."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lab.twin import base, handmade, images, operator, rootfs, service
from lab.twin.api import Api, wait_until
from lab.twin.handmade import NAMESPACE
from lab.twin.layout import REGISTRY_PORT
from lab.twin.registry import Registry
from lab.twin.twin import Twin

_PATIENCE = 60.0


def empty(twin: Twin) -> None:
    """A fresh server: no FlowMaster, no SDX, no Plane, no site in nginx. Registry and databases stay as `up` has them.

    Raises TwinError where something does not go away in time.
    """
    with twin.locked():
        _start_afresh(twin)
    twin.say("empty: a fresh server")


def _start_afresh(twin: Twin) -> None:
    twin.start_stopped_daemons()
    steps: list[Callable[[Twin], None]] = [_remove_namespace, _remove_containers, _restore_images]
    with ThreadPoolExecutor(len(steps)) as pool:
        for done in [pool.submit(step, twin) for step in steps]:
            done.result()
    _remove_moved(twin)
    _restore_files(twin)
    operator.forget(twin.layout)


def _remove_namespace(twin: Twin) -> None:
    """Deletes the namespace, its pods first and at once: the namespace controller alone would wait out their grace."""
    path = f"/api/v1/namespaces/{NAMESPACE}"
    with twin.api() as api:
        if api.get(path):
            for group in ("deployments", "statefulsets", "daemonsets", "replicasets"):
                api.delete(f"/apis/apps/v1/namespaces/{NAMESPACE}/{group}")
            for group in ("jobs", "cronjobs"):
                api.delete(f"/apis/batch/v1/namespaces/{NAMESPACE}/{group}")
            api.delete(f"{path}/pods", grace_seconds=1)
            # claims go when no pod uses them; what goes later than the rest is looked for again by and by only
            api.delete(f"{path}/persistentvolumeclaims")
            for what in ("pods", "persistentvolumeclaims"):
                gone = partial(_none, api, f"{path}/{what}")
                wait_until(f"the {what} gone", gone, _PATIENCE, partial(_names, api, f"{path}/{what}"))
            api.delete(path)
            wait_until("the namespace gone", lambda: not api.get(path), _PATIENCE, lambda: str(api.get(path)))
        base.apply(api, twin.layout)
        base.wait_for_databases(api, _PATIENCE)
    twin.say(f"no namespace {NAMESPACE}")


def _none(api: Api, path: str) -> bool:
    return not api.items(path)


def _names(api: Api, path: str) -> str:
    return ", ".join(item["metadata"]["name"] for item in api.items(path))


def _remove_containers(twin: Twin) -> None:
    if containers := twin.exec(["docker", "ps", "--all", "--quiet"]).stdout.split():
        twin.exec(["docker", "rm", "--force", "--volumes", *containers])
    if volumes := twin.exec(["docker", "volume", "ls", "--quiet"]).stdout.split():
        twin.exec(["docker", "volume", "rm", "--force", *volumes])
    twin.exec(["docker", "network", "prune", "--force"])
    twin.say("no containers of Docker's own")


def _remove_moved(twin: Twin) -> None:
    """What moving a compose project leaves: volumes of the node, the journal, backups, rules of the firewall."""
    with twin.api() as api:
        api.delete("/api/v1/persistentvolumes")
    twin.exec(["sh", "-c", _NOTHING_MOVED])


_NOTHING_MOVED = """
rm -rf /var/lib/flowmaster /var/backups/flowmaster
for chain in $(iptables -t nat -S | sed -n 's/^-N \\(FLOWMASTER-.*\\)/\\1/p'); do
  for hook in PREROUTING OUTPUT; do
    while iptables -t nat -D $hook -m addrtype --dst-type LOCAL -j "$chain" 2>/dev/null; do :; done
  done
  iptables -t nat -F "$chain"; iptables -t nat -X "$chain"
done
"""


def _restore_images(twin: Twin) -> None:
    layer = images.make_layer(service.program().read_bytes())
    registry = Registry("127.0.0.1", REGISTRY_PORT)
    restored = twin.in_network(lambda: registry.push(layer, images.registry_images(layer)))
    twin.say(f"{restored} images put back into the registry")


def _restore_files(twin: Twin) -> None:
    rootfs.restore_nginx(twin.layout)
    for entry in (twin.layout.disk / "opt").iterdir():
        shutil.rmtree(entry)
    twin.exec(["systemctl", "reload-or-restart", "nginx"])


def hand_made(twin: Twin) -> None:
    """The state of the real server, whatever the state before. Raises TwinError where a step takes too long."""
    with twin.locked():
        _start_afresh(twin)
        handmade.make(twin)
    twin.say("hand-made: the state of the real server")
