"""Compares what nginx has loaded around the declared sites: whether they are in effect, and what they inherit. Pure.

Nothing of this is healed: an update writes no file but those of the sites. Each finding says what a person has to do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from config.reverse_proxy import Recorded, served
from flowmaster.compare.finding import ABSENT, LEFT, Change, Finding, FindingClass, ObjectRef
from flowmaster.host import nginx_tree, server_match
from flowmaster.host.effective_config import Configuration, Server, Setting, fingerprint, recorded_setting
from flowmaster.host.nginx import ENABLED, MAIN, File, HostState, Process

if TYPE_CHECKING:
    from flowmaster.drift.nginx import Comparison

NGINX = ObjectRef("Nginx", "", "nginx")
ACCEPT = "`flowmaster adopt --nginx` accepts it"
_DELETED = " (deleted)"
_OUTSIDE = frozenset({LEFT})
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def findings(comparison: Comparison) -> list[Finding]:
    """Return what differs around the sites, and about the process that serves them."""
    found = [*_processes(comparison)]
    main = comparison.host.configuration
    if reason := _unknown(comparison):
        note = "whether the sites are loaded, and what they inherit, is not known"
        return [*found, Finding(FindingClass.UNKNOWN, NGINX, change=Change.STATE, live=reason, note=note)]
    for path, context in comparison.effective.unread.items():
        if context in ("", "http") and path not in {main, *_own(comparison)} and comparison.host.nginx.valid:
            note = "it may have servers and directives that act on the sites"
            live = f"{path} cannot be read"
            found.append(Finding(FindingClass.UNKNOWN, NGINX, change=Change.STATE, live=live, note=note))
    return [*found, *_loading(comparison), *_inherited(comparison)]


def notes(comparison: Comparison) -> list[str]:
    """Return what changed around the sites without effect on them, and which files cannot be parsed."""
    if not comparison.host.nginx.installed or _unknown(comparison):
        return []
    recorded, files = comparison.proxy.recorded, comparison.host.files
    found = [
        f"nginx: {path} cannot be parsed ({reason}); its text is compared, its servers are not known"
        for path, reason in comparison.effective.unparsed.items()
        if path not in _own(comparison)
    ]
    found += [
        f"nginx: {path}, included within {context}, is not compared: it cannot be read, or is larger than 1 MiB"
        for path, context in comparison.effective.unread.items()
        if context not in ("", "http") and path in files
    ]
    if recorded is None or comparison.host.configuration != recorded.configuration:
        return found
    told = {setting.place.file for _, _, setting, sites in _changes(comparison, recorded) if sites}
    now = surrounding_files(comparison.effective, files, _own(comparison))
    for path in sorted({*now, *recorded.files}):
        if now.get(path) != recorded.files.get(path) and path not in told:
            what = "added" if path not in recorded.files else "changed" if path in now else "gone"
            who = f" ({by})" if path in now and (by := files[path].manager) else ""
            found.append(f"nginx: {path} {what} since {recorded.at}{who}, without effect on the declared sites")
    return found


def record(host: HostState, effective: Configuration, own: Collection[str], at: datetime) -> Recorded:
    """Return what stands around the sites now, as the stack keeps it. `own` names all sites of the project."""
    paths = {f"{ENABLED}/{name}" for name in own}
    program = host.nginx.process.program if host.nginx.process else ""
    return Recorded(
        at=f"{at:%Y-%m-%dT%H:%M:%SZ}",
        configuration=host.configuration,
        program=program.removesuffix(_DELETED) or None,
        inherited={key: setting.value for key, setting in sorted(_settings(effective, paths).items())},
        files=surrounding_files(effective, host.files, paths),
    )


def replaced(host: HostState) -> bool:
    """Return whether another nginx than the one that an update reloads holds a port of ours."""
    return any(map(_is_nginx, host.nginx.holders.values()))


def same_files(host: HostState, own: Collection[str]) -> Mapping[str, str]:
    """Return the paths of ours by all names by which their files are known: links count as what they lead to."""
    real = {path: file.target or path for path, file in host.files.items()}
    ours = {real[path]: path for path in own if path in real}
    return {path: ours[target] for path, target in real.items() if target in ours}


def surrounding_files(effective: Configuration, files: Mapping[str, File], own: Collection[str]) -> dict[str, str]:
    """Return the fingerprint of each file that nginx loads besides ours."""
    texts = {path: files[path].content for path in sorted({effective.main, *effective.loads}) if path in files}
    return {path: fingerprint(text) for path, text in texts.items() if text is not None and path not in own}


def _own(comparison: Comparison) -> set[str]:
    return {f"{ENABLED}/{name}" for name in (*comparison.proxy.sites, *comparison.projects)}


def _unknown(comparison: Comparison) -> str:
    """Why it is not known what nginx loads; empty where it is."""
    effective, main = comparison.effective, comparison.host.configuration
    if main in effective.unparsed:
        return f"{main} cannot be parsed: {effective.unparsed[main]}"
    if main not in effective.unread:
        return ""
    return f"{main} " + ("cannot be read, or is larger than 1 MiB" if main in comparison.host.files else "is missing")


def _usual(comparison: Comparison) -> str:
    """The file that nginx is to be started with."""
    return comparison.proxy.recorded.configuration if comparison.proxy.recorded else MAIN


def _processes(comparison: Comparison) -> Iterator[Finding]:
    """Yield what is not as usual about the process that serves: another one, another program, other options."""
    host, recorded = comparison.host, comparison.proxy.recorded
    nginx = host.nginx
    others = {port: process for port, process in nginx.holders.items() if _is_nginx(process)}
    for port, process in others.items():
        words = " ".join([process.program.removesuffix(_DELETED), *process.arguments[1:]])
        live = f"another nginx ({words}, process {process.pid}) holds port {port}"
        end = f"end that one (kill -QUIT {process.pid}), then systemctl start nginx"
        note = f"up reloads the nginx of /run/nginx.pid; {end}"
        manager = f"{process.login} (login)" if process.login else None
        path = f"ports[{port}]"
        yield Finding(FindingClass.UNHEALTHY, NGINX, path, Change.STATE, live=live, manager=manager, note=note)
    usual = _usual(comparison)
    if host.configuration != usual and (nginx.running or others):
        note = f"nginx was started with -c {host.configuration}; systemctl restart nginx ends that, or {ACCEPT}"
        yield _outside(FindingClass.DRIFT, "configuration", host.configuration, usual, nginx.since, note)
    program = nginx.process.program if nginx.process else ""
    if program.endswith(_DELETED):
        live = f"{program.removesuffix(_DELETED)} was replaced or removed since nginx was started"
        note = "nginx runs the old program until it is restarted: systemctl restart nginx"
        yield Finding(FindingClass.STALE, NGINX, "program", Change.STATE, live=live, when=nginx.since, note=note)
    elif program and recorded and recorded.program and program != recorded.program:
        note = f"another nginx was started; systemctl restart nginx ends that, or {ACCEPT}"
        yield _outside(FindingClass.DRIFT, "program", program, recorded.program, nginx.since, note)


def _is_nginx(process: Process) -> bool:
    """Whether it is an nginx of the server itself, whose configuration is known; a container's is told by its port."""
    return process.name == "nginx" and not process.inside


def _outside(cls: FindingClass, path: str, live: str, usual: str, when: datetime | None, note: str) -> Finding:
    return Finding(cls, NGINX, path, live=live, declared=usual, when=when, note=note, conditions=_OUTSIDE)


def _loading(comparison: Comparison) -> Iterator[Finding]:
    """Yield the sites that nginx does not load, or loads more than once."""
    host, effective = comparison.host, comparison.effective
    names = same_files(host, _own(comparison))
    main, usual = host.files[host.configuration], _usual(comparison)
    for name in comparison.proxy.sites:
        path, ref = f"{ENABLED}/{name}", ObjectRef("NginxSite", "", name)
        if host.site(name) is None or name in host.problems or host.files[path].content is None:
            continue
        loads = [load for file, ours in names.items() if ours == path for load in effective.loaded(file)]
        if not loads:
            cls, live = FindingClass.UNHEALTHY, f"nginx does not load {path}: no include of {main.path} reaches it"
            if any("include" in str(host.files[file].content) for file in effective.unparsed):
                cls, live = FindingClass.UNKNOWN, f"whether nginx loads {path} is not known: a file cannot be parsed"
            later = "" if main.path not in host.nginx.newer else "from the next reload on "
            todo = f"put `include {ENABLED}/*;` back into http of {main.path} and reload nginx"
            if main.path != usual:
                todo = f"systemctl restart nginx loads {usual} again"
            note = f"{later}{_answers_instead(name, comparison)}; {todo}: up writes no file but the sites"
            yield Finding(cls, ref, change=Change.STATE, live=live, manager=main.manager, when=main.changed, note=note)
        elif len(loads) > 1:
            by = [load.by for load in loads]
            last = max((host.files[place.file] for place in by), key=lambda file: file.changed or _LONG_AGO)
            live = f"nginx loads {path} {len(loads)} times: by {', '.join(map(str, by))}"
            note = "the first one answers, and nginx warns of the others; leave one of these lines, and reload nginx"
            yield Finding(
                FindingClass.FOREIGN,
                ref,
                change=Change.STATE,
                live=live,
                manager=last.manager,
                when=last.changed,
                note=note,
            )


def _answers_instead(name: str, comparison: Comparison) -> str:
    """What users of a site get that is not loaded."""
    port, host = next(iter(served(comparison.proxy.sites[name])), (80, ""))
    asked = "flowmaster-check.invalid" if host in ("", "_") else host
    found = server_match.choose([server.match for server in comparison.effective.servers], "", str(port), asked)
    if found is None:
        return f"nothing of nginx listens on port {port}"
    return f"{found.file}:{found.line} answers on port {port} instead"


def _settings(effective: Configuration, own: Collection[str]) -> dict[str, Setting]:
    within = {key: setting for key, (setting, _) in effective.included(own).items()}
    return {**effective.settings_besides(own), **within}


def _changes(comparison: Comparison, recorded: Recorded) -> Iterator[tuple[str, str | None, Setting, list[str]]]:
    """Yield each directive that is not as recorded: its key, live value, the directive, and the sites it acts on."""
    own = _own(comparison)
    names = same_files(comparison.host, own)
    servers = [server for server in comparison.effective.servers if server.match.file in names]
    live = _settings(comparison.effective, own)
    for key in sorted({*live, *recorded.inherited}):
        value = live[key].value if key in live else None
        if value != recorded.inherited.get(key):
            setting = live.get(key) or recorded_setting(key, recorded.inherited[key])
            yield key, value, setting, _acts_on(key, setting, servers, names)


def _acts_on(key: str, setting: Setting, servers: list[Server], names: Mapping[str, str]) -> list[str]:
    """Return the sites that a directive acts on."""
    if key.startswith("included["):
        file = key.removeprefix("included[").partition("]")[0]
        within = [s for s in servers if any(entry["file"] == file for entry in nginx_tree.every(s.block))]
        acting = within or servers
    else:
        acting = [server for server in servers if server.inherits(setting)]
    return sorted({names[server.match.file].rpartition("/")[2] for server in acting})


def _inherited(comparison: Comparison) -> Iterator[Finding]:
    """Yield the directives from outside that act on a site, and did not when they were recorded."""
    recorded, files = comparison.proxy.recorded, comparison.host.files
    for key, value, setting, sites in _changes(comparison, recorded) if recorded else ():
        if not sites or recorded is None:
            continue
        file = files.get(setting.place.file)
        before = recorded.inherited.get(key)
        change = Change.ADDED if before is None else Change.MISSING if value is None else Change.CHANGED
        where = f"in {setting.place}" if value is not None else "in no file of nginx any more"
        todo = f"correct it there and reload nginx, or {ACCEPT}"
        note = f"{where}; acts on {', '.join(sites)}; recorded {recorded.at}; {todo}"
        yield Finding(
            FindingClass.FOREIGN if before is None else FindingClass.DRIFT,
            NGINX,
            key if key.startswith("included[") else f"inherited.{key}",
            change,
            live=ABSENT if value is None else comparison.masker.text(value),
            declared=ABSENT if before is None else comparison.masker.text(before),
            manager=file.manager if file else None,
            when=file.changed if file else None,
            note=note,
            conditions=_OUTSIDE,
        )
