"""One service of a compose file beside its containers: what really runs wins, and the difference is told. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flowmaster.compose.service.network import exposed
from flowmaster.compose.units import slug

Json = dict[str, Any]
Tell = Callable[[str], None]
_HEX = frozenset("0123456789abcdef")
_SECOND = 1_000_000_000
"""In nanoseconds, in which docker counts."""


def what_runs(name: str, given: Json, containers: list[Json], image: Json | None, tell: Tell) -> Json:
    """The service's keys with what its containers really have.

    :param image: `docker image inspect` of what they run, where it is still there.
    """
    keys = dict(given)
    first = containers[0]
    config, own = first["Config"], (image or {}).get("Config") or {}

    def differs(key: str, what: str) -> None:
        tell(f"{name}.{key}: {what}; what runs is taken")

    reference = str(config.get("Image") or "")
    if reference and not reference.startswith("sha256:") and reference != keys.get("image"):
        if keys.get("image") or not keys.get("build"):
            differs("image", f"the file says {keys.get('image')}, {reference} runs")
        keys["image"] = reference
    keys["environment"] = _environment(keys.get("environment") or {}, config, own if image else None, differs)
    _words(keys, config, own if image else None, differs)
    for key, called in (("user", "User"), ("working_dir", "WorkingDir")):
        runs = str(config.get(called) or "")
        meant = str(keys.get(key) or own.get(called) or "") if image or keys.get(key) else runs
        if runs != meant:
            differs(key, f"the file says {meant or 'nothing'}, {runs or 'nothing'} runs")
            keys[key] = runs or None
    if keys.get("stop_signal") and keys["stop_signal"] == own.get("StopSignal"):
        # the image asks for it by itself, and every runtime listens
        del keys["stop_signal"]
    _restart(keys, first, differs)
    _healthcheck(keys, config, own if image else None, differs)
    _exposed(keys, containers)
    _published(keys, containers, tell, name)
    return {key: value for key, value in keys.items() if key != "environment" or value}


def _environment(given: Json, config: Json, own: Json | None, differs: Callable[[str, str], None]) -> Json:
    runs = _variables(config.get("Env"))
    usual = _variables(own.get("Env")) if own is not None else {}
    found: Json = {}
    for name, value in runs.items():
        if name in given and str(given[name]) != value:
            # not what they are: either may be a secret
            differs(f"environment.{name}", "the file says something else than runs")
        elif name not in given and usual.get(name) == value:
            continue
        elif name not in given and own is not None:
            differs(f"environment.{name}", "it is not in the file")
        found[name] = value
    for name, value in given.items():
        if name not in runs:
            found.setdefault(name, None)
            if value is not None:
                differs(f"environment.{name}", "it is in the file, and does not run")
            elif name in usual:
                differs(
                    f"environment.{name}", "it is taken from the image, and in the cluster it has the image's value"
                )
    return found


def _variables(entries: Iterable[str] | None) -> dict[str, str]:
    """Those that are set: a name alone is docker's word for one that is not."""
    pairs = (str(entry).partition("=") for entry in entries or ())
    return {name: value for name, separator, value in pairs if separator}


def _words(keys: Json, config: Json, own: Json | None, differs: Callable[[str, str], None]) -> None:
    """Entrypoint and command: a file's entrypoint makes the image's command void."""
    runs = (_list(config.get("Entrypoint")), _list(config.get("Cmd")))
    entrypoint, command = keys.get("entrypoint"), keys.get("command")
    usual = (_list((own or {}).get("Entrypoint")), _list((own or {}).get("Cmd")))
    meant = (
        usual[0] if entrypoint is None else _list(entrypoint),
        _list(command) if command is not None else usual[1] if entrypoint is None else [],
    )
    if own is None:
        # without the image, only what the file says can be compared
        meant = (runs[0] if entrypoint is None else meant[0], runs[1] if command is None else meant[1])
    if runs[0] != meant[0]:
        differs("entrypoint", "the file says something else than runs")
        keys["entrypoint"], keys["command"] = runs[0], runs[1] or None
    elif runs[1] != meant[1]:
        differs("command", "the file says something else than runs")
        keys["command"] = runs[1] or None


def _list(value: Any) -> list[str]:
    return [str(word) for word in ([value] if isinstance(value, str) else value or []) if word != ""]


def _restart(keys: Json, container: Json, differs: Callable[[str, str], None]) -> None:
    policy = (container.get("HostConfig") or {}).get("RestartPolicy") or {}
    runs = str(policy.get("Name") or "no")
    if runs == "on-failure" and policy.get("MaximumRetryCount"):
        runs += f":{policy['MaximumRetryCount']}"
    deployed = (keys.get("deploy") or {}).get("restart_policy")
    if deployed and not keys.get("restart"):
        return
    if runs != str(keys.get("restart") or "no"):
        differs("restart", f"the file says {keys.get('restart') or 'nothing'}, {runs} runs")
        keys["restart"] = runs


def _healthcheck(keys: Json, config: Json, own: Json | None, differs: Callable[[str, str], None]) -> None:
    """Docker asks what the image says, unless the file says something else."""
    runs = config.get("Healthcheck") or {}
    given = keys.get("healthcheck") or {}
    if given.get("disable") or not runs.get("Test"):
        return
    found: Json = {"test": _list(runs["Test"])}
    for key, called in (("interval", "Interval"), ("timeout", "Timeout"), ("start_period", "StartPeriod"),
                        ("start_interval", "StartInterval")):  # fmt: skip
        if runs.get(called):
            found[key] = f"{runs[called] / _SECOND:g}s"
    if runs.get("Retries"):
        found["retries"] = runs["Retries"]
    if given.get("test") and _list(given["test"]) != found["test"]:
        differs("healthcheck", "the file says another test than runs")
    elif not given.get("test") and own is not None and not (own.get("Healthcheck") or {}).get("Test"):
        differs("healthcheck", "it is not in the file")
    elif given.get("test"):
        return
    keys["healthcheck"] = {**found, **{k: v for k, v in given.items() if k != "test"}}


def _exposed(keys: Json, containers: list[Json]) -> None:
    """Ports of the image's own are open to the others as those of the file are."""
    known = {(int(p["target"]), str(p.get("protocol") or "tcp")) for p in keys.get("ports") or () if p.get("target")}
    for entry in keys.get("expose") or ():
        known.update(exposed(entry))
    more = {port for c in containers for port in c["Config"].get("ExposedPorts") or ()}
    found = sorted((entry for entry in more if exposed(entry)[0] not in known), key=lambda entry: exposed(entry)[0])
    if found:
        keys["expose"] = [*(keys.get("expose") or ()), *found]


def _published(keys: Json, containers: list[Json], tell: Tell, name: str) -> None:
    """Ports of the server that docker chose from a range."""
    found = []
    for port in keys.get("ports") or ():
        published = port.get("published")
        if published is None or str(published).isdigit():
            found.append(port)
            continue
        chosen = sorted(set(_chosen(port, containers)), key=int)
        found += [{**port, "published": number} for number in chosen] or [port]
        if chosen:
            tell(f"{name}.ports: of {published} docker chose {', '.join(chosen)}, which it keeps")
    if found:
        keys["ports"] = found


def _chosen(port: Mapping[str, Any], containers: list[Json]) -> Iterable[str]:
    called = f"{port['target']}/{port.get('protocol') or 'tcp'}"
    for container in containers:
        for binding in ((container.get("NetworkSettings") or {}).get("Ports") or {}).get(called) or ():
            yield str(binding["HostPort"])


def is_anonymous(volume: str) -> bool:
    """Whether docker made up a volume's name itself."""
    return len(volume) == 64 and set(volume) <= _HEX


def anonymous_name(service: str, target: str) -> str:
    """What such a volume is called from now on."""
    return f"{service}-{slug(target)}"
