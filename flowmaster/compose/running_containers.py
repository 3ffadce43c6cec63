"""Merges a service of the compose file with its containers. What runs wins; differences are noted. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flowmaster.compose.service.network import exposed
from flowmaster.compose.units import slug

Json = dict[str, Any]
Note = Callable[[str], None]
_HEX = frozenset("0123456789abcdef")
_SECOND = 1_000_000_000
_EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  docker's notation
"""In nanoseconds, docker's unit."""


def merge_running_state(name: str, given: Json, containers: list[Json], image: Json | None, note: Note) -> Json:
    """Return the service's keys with the values of its containers.

    :param image: `docker image inspect` of the running image, if it still exists.
    """
    keys = dict(given)
    first = containers[0]
    config, image_config = first["Config"], (image or {}).get("Config") or {}

    def differs(key: str, what: str) -> None:
        note(f"{name}.{key}: {what}; using what runs")

    reference = str(config.get("Image") or "")
    if reference and not reference.startswith("sha256:") and reference != keys.get("image"):
        if keys.get("image") or not keys.get("build"):
            differs("image", f"the file says {keys.get('image')}, {reference} runs")
        keys["image"] = reference
    keys["environment"] = _environment(keys.get("environment") or {}, config, image_config if image else None, differs)
    _entrypoint_and_command(keys, config, image_config if image else None, differs)
    for key, called in (("user", "User"), ("working_dir", "WorkingDir")):
        running = str(config.get(called) or "")
        expected = str(keys.get(key) or image_config.get(called) or "") if image or keys.get(key) else running
        if running != expected:
            differs(key, f"the file says {expected or 'nothing'}, {running or 'nothing'} runs")
            keys[key] = running or None
    if keys.get("stop_signal") and keys["stop_signal"] == image_config.get("StopSignal"):
        # the image sets it, and every runtime honours the image
        del keys["stop_signal"]
    _restart(keys, first, differs)
    _healthcheck(keys, config, image_config if image else None, differs)
    _exposed(keys, containers)
    _published(keys, containers, note, name)
    return {key: value for key, value in keys.items() if key != "environment" or value}


def _environment(given: Json, config: Json, image_config: Json | None, differs: Callable[[str, str], None]) -> Json:
    running = _variables(config.get("Env"))
    from_image = _variables(image_config.get("Env")) if image_config is not None else {}
    found: Json = {}
    for name, value in running.items():
        if name in given and str(given[name]) != value:
            # no values in the note: either may be a secret
            differs(f"environment.{name}", "the file differs from what runs")
        elif name not in given and from_image.get(name) == value:
            continue
        elif name not in given and image_config is not None:
            differs(f"environment.{name}", "it is not in the file")
        found[name] = value
    for name, value in given.items():
        if name not in running:
            found.setdefault(name, None)
            if value is not None:
                differs(f"environment.{name}", "it is in the file but not set in the container")
            elif name in from_image:
                differs(
                    f"environment.{name}", "it is unset in the container, but in the cluster it has the image's value"
                )
    return found


def _variables(entries: Iterable[str] | None) -> dict[str, str]:
    """Return the variables that are set; docker writes an unset one as a bare name."""
    pairs = (str(entry).partition("=") for entry in entries or ())
    return {name: value for name, separator, value in pairs if separator}


def _entrypoint_and_command(
    keys: Json, config: Json, image_config: Json | None, differs: Callable[[str, str], None]
) -> None:
    """Compare entrypoint and command. An entrypoint in the file clears the image's command."""
    running = (_list(config.get("Entrypoint")), _list(config.get("Cmd")))
    entrypoint, command = keys.get("entrypoint"), keys.get("command")
    from_image = (_list((image_config or {}).get("Entrypoint")), _list((image_config or {}).get("Cmd")))
    expected = (
        from_image[0] if entrypoint is None else _list(entrypoint),
        _list(command) if command is not None else from_image[1] if entrypoint is None else [],
    )
    if image_config is None:
        # without the image, only the file can be compared
        expected = (running[0] if entrypoint is None else expected[0], running[1] if command is None else expected[1])
    if running[0] != expected[0]:
        differs("entrypoint", "the file differs from what runs")
        keys["entrypoint"], keys["command"] = running[0], running[1] or None
    elif running[1] != expected[1]:
        differs("command", "the file differs from what runs")
        keys["command"] = running[1] or None


def _list(value: Any) -> list[str]:
    return [str(word) for word in ([value] if isinstance(value, str) else value or []) if word != ""]


def _restart(keys: Json, container: Json, differs: Callable[[str, str], None]) -> None:
    policy = (container.get("HostConfig") or {}).get("RestartPolicy") or {}
    running = str(policy.get("Name") or "no")
    if running == "on-failure" and policy.get("MaximumRetryCount"):
        running += f":{policy['MaximumRetryCount']}"
    deployed = (keys.get("deploy") or {}).get("restart_policy")
    if deployed and not keys.get("restart"):
        return
    if running != str(keys.get("restart") or "no"):
        differs("restart", f"the file says {keys.get('restart') or 'nothing'}, {running} runs")
        keys["restart"] = running


def _healthcheck(keys: Json, config: Json, image_config: Json | None, differs: Callable[[str, str], None]) -> None:
    """Add the image's health check, unless the file has one."""
    running = config.get("Healthcheck") or {}
    given = keys.get("healthcheck") or {}
    if given.get("disable") or not running.get("Test"):
        return
    found: Json = {"test": _list(running["Test"])}
    for key, docker_key in (("interval", "Interval"), ("timeout", "Timeout"), ("start_period", "StartPeriod"),
                        ("start_interval", "StartInterval")):  # fmt: skip
        if running.get(docker_key):
            found[key] = f"{running[docker_key] / _SECOND:g}s"
    if running.get("Retries"):
        found["retries"] = running["Retries"]
    if given.get("test") and _list(given["test"]) != found["test"]:
        differs("healthcheck", "the file has another test than runs")
    elif not given.get("test") and image_config is not None and not (image_config.get("Healthcheck") or {}).get("Test"):
        differs("healthcheck", "it is not in the file")
    elif given.get("test"):
        return
    keys["healthcheck"] = {**found, **{k: v for k, v in given.items() if k != "test"}}


def _exposed(keys: Json, containers: list[Json]) -> None:
    """Add ports that the image exposes."""
    known = {(int(p["target"]), str(p.get("protocol") or "tcp")) for p in keys.get("ports") or () if p.get("target")}
    for entry in keys.get("expose") or ():
        known.update(exposed(entry))
    more = {port for c in containers for port in c["Config"].get("ExposedPorts") or ()}
    found = sorted((entry for entry in more if exposed(entry)[0] not in known), key=lambda entry: exposed(entry)[0])
    if found:
        keys["expose"] = [*(keys.get("expose") or ()), *found]


def _published(keys: Json, containers: list[Json], note: Note, name: str) -> None:
    """Pin ports that docker chose from a range, and addresses that its own configuration chose."""
    found = []
    for given in keys.get("ports") or ():
        port = _with_address(given, containers)
        if port != given:
            note(f"{name}.ports: docker publishes {port.get('published')} on {port['host_ip']} alone; so it stays")
        published = port.get("published")
        if published is None or str(published).isdigit():
            found.append(port)
            continue
        chosen = sorted({number for _, number in _bindings(port, containers)}, key=int)
        found += [{**port, "published": number} for number in chosen] or [port]
        if chosen:
            note(f"{name}.ports: docker chose {', '.join(chosen)} of {published}; the choice is kept")
    if found:
        keys["ports"] = found


def _with_address(port: Json, containers: list[Json]) -> Json:
    """The port on the address that it is published on: docker's `ip` says which where the file does not."""
    actual = {address for address, _ in _bindings(port, containers)}
    if port.get("host_ip") or not actual or actual & _EVERY_ADDRESS:
        return port
    return {**port, "host_ip": min(actual)}


def _bindings(port: Mapping[str, Any], containers: list[Json]) -> Iterable[tuple[str, str]]:
    """Addresses and ports of the server on which docker publishes a port of the containers."""
    called = f"{port['target']}/{port.get('protocol') or 'tcp'}"
    for container in containers:
        for binding in ((container.get("NetworkSettings") or {}).get("Ports") or {}).get(called) or ():
            yield str(binding.get("HostIp", "")), str(binding["HostPort"])


def is_anonymous(volume: str) -> bool:
    """Return whether docker generated a volume's name."""
    return len(volume) == 64 and set(volume) <= _HEX


def anonymous_name(service: str, target: str) -> str:
    """Return the name that an anonymous volume gets."""
    return f"{service}-{slug(target)}"
