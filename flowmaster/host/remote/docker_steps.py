"""The single things that are done with a compose project's containers; any may be asked for again."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from flowmaster.host.remote import docker_journal
from flowmaster.host.remote.common import Json, Refused, master, run, workers
from flowmaster.host.remote.docker import PROJECT, api, compose, containers, service

PRIVATE = "127.0.0.2"
"""From where nginx, and these checks, ask the containers: what comes from there is never led on to nginx."""
BACKUPS = "/var/backups/flowmaster"
_DEPENDS = "com.docker.compose.depends_on"
_STEP = 0.1


def levels(found: list[Json]) -> list[list[Json]]:
    """The containers in the order in which they are to be started: those that others depend on first."""
    waiting = {service(each): each for each in found}
    needs = {
        name: {
            word.partition(":")[0] for word in str((each["Config"].get("Labels") or {}).get(_DEPENDS, "")).split(",")
        }
        for name, each in waiting.items()
    }
    order: list[list[Json]] = []
    while waiting:
        free = sorted(name for name in waiting if not (needs[name] & waiting.keys() - {name}))
        # a circle is no order at all
        order.append([waiting.pop(name) for name in free or sorted(waiting)])
    return order


def stop(request: Json) -> Json:
    """Stop the containers, the ones that others depend on last, and have Docker not start them again by itself."""
    project = str(request["project"])
    found = containers(project)
    known = docker_journal.load(project).get("restart") or {}
    policies = {str(each["Name"]): each["HostConfig"]["RestartPolicy"] for each in found}
    # what was written down at the first stop is kept: by now it may be `no` because of that
    docker_journal.note(project, request["run"], {"restart": {**policies, **known}})
    _never_restart(found)
    for level in reversed(levels(found)):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda each: api("POST", f"/containers/{each['Id']}/stop"), level))
    running = [each["Name"] for each in containers(project) if each["State"].get("Running")]
    if running:
        raise Refused("containers", f"still running: {', '.join(running)}")
    return {"stopped": [each["Name"] for each in found]}


def _never_restart(found: list[Json]) -> None:
    wanted = [each for each in found if each["HostConfig"]["RestartPolicy"]["Name"] != "no"]
    with ThreadPoolExecutor(8) as pool:
        update = {"RestartPolicy": {"Name": "no"}}
        list(pool.map(lambda each: api("POST", f"/containers/{each['Id']}/update", update), wanted))


def start(request: Json) -> Json:
    """Start the containers as they are, under the restart policy that they had; wait until they run, and are well."""
    project = str(request["project"])
    found = containers(project)
    missing = sorted(set(request["services"]) - {service(each) for each in found})
    if missing:
        raise Refused("containers", f"there is no container for {', '.join(missing)}")
    known = docker_journal.load(project).get("restart") or {}
    for level in levels([each for each in found if service(each) in request["services"]]):
        for each in level:
            policy = known.get(str(each["Name"]))
            if policy and policy != each["HostConfig"]["RestartPolicy"]:
                api("POST", f"/containers/{each['Id']}/update", {"RestartPolicy": policy})
            if not each["State"].get("Running"):
                api("POST", f"/containers/{each['Id']}/start")
    docker_journal.note(project, request["run"], {"restart": None})
    _until_well(project, request["services"], float(request.get("patience", 60)))
    return {"started": [each["Name"] for each in found]}


def _until_well(project: str, services: list[str], patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        found = [each for each in containers(project) if service(each) in services]
        ill = [
            f"{each['Name'].lstrip('/')} is {_condition(each)}"
            for each in found
            if _condition(each) not in ("running", "healthy")
        ]
        if not ill:
            return
        if time.monotonic() > deadline:
            raise Refused("containers", "; ".join(ill))
        time.sleep(_STEP)


def _condition(container: Json) -> str:
    state = container["State"]
    health = (state.get("Health") or {}).get("Status", "none")
    return str(state["Status"]) if state["Status"] != "running" or health in ("none", "") else str(health)


def smoke(request: Json) -> Json:
    """Whether each of these answers, asked directly: `answers` with words for those that do not, within `patience`."""
    deadline = time.monotonic() + float(request.get("patience", 30))

    def settled(check: Json) -> Json:
        while True:
            words = _words(check)
            if not words or time.monotonic() > deadline:
                return {**check, "words": words}
            time.sleep(_STEP)

    checks = request["checks"]
    with ThreadPoolExecutor(max(1, len(checks))) as pool:
        return {"answers": list(pool.map(settled, checks))}


def _words(check: Json) -> str:
    source = (PRIVATE, 0) if str(check["address"]).startswith("127.") else None
    try:
        connection = http.client.HTTPConnection(check["address"], int(check["port"]), timeout=5, source_address=source)
        try:
            connection.request("GET", check["path"], headers={"Host": "localhost", "Connection": "close"})
            answer = connection.getresponse()
            answer.read(1)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as err:
        return f"does not answer: {str(err) or type(err).__name__}"
    return f"answers {answer.status}" if answer.status >= 500 else ""


def redirect(request: Json) -> Json:
    """Lead new connections to the old ports on to nginx's own, before Docker's rules; or, with no `ports`, no more."""
    chain, ports = chain_of(request["project"]), request["ports"]
    if not ports:
        for hook in ("PREROUTING", "OUTPUT"):
            while run(_nat("-D", hook, *_JUMP, chain))[0] == 0:
                pass
        run(_nat("-F", chain))
        run(_nat("-X", chain))
        return {"rules": rules(request["project"])}
    lines = ["*nat", f":{chain} - [0:0]"]
    lines += [_rule(chain, *port) for port in ports]
    code, words = _restore("\n".join([*lines, "COMMIT", ""]))
    for hook in ("PREROUTING", "OUTPUT") if code == 0 else ():
        if not _first(hook, chain):
            while run(_nat("-D", hook, *_JUMP, chain))[0] == 0:
                pass
            code, words = run(_nat("-I", hook, "1", *_JUMP, chain))
    found = rules(request["project"])
    if code != 0 or sorted(found["ports"]) != sorted([int(a), int(b), *address] for a, b, *address in ports):
        raise Refused("rules", f"iptables does not take the rules: {words}")
    return {"rules": found}


_JUMP = ("-m", "addrtype", "--dst-type", "LOCAL", "-j")
_RULE = re.compile(r"--dport (\d+) -j (?:REDIRECT --to-ports |DNAT --to-destination ([\d.]+):)(\d+)")
_LONGEST_CHAIN = 28


def _rule(chain: str, old: int, new: int, address: str = "") -> str:
    """Lead connections to a port on; those to a loopback address only where they come from the server itself."""
    rule = f"-A {chain} ! -s {PRIVATE}/32 -p tcp"
    if not address:
        return f"{rule} -m tcp --dport {old} -j REDIRECT --to-ports {new}"
    # kube-proxy has the kernel route such addresses from outside, too
    own = f"-d {address}/32 -m addrtype --src-type LOCAL"
    return f"{rule} {own} -m tcp --dport {old} -j DNAT --to-destination {address}:{new}"


def chain_of(project: str) -> str:
    """The chain of rules of a project. iptables takes no longer names, and two projects never share one."""
    chain = f"FLOWMASTER-{project.upper()}"
    if len(chain) <= _LONGEST_CHAIN:
        return chain
    mark = hashlib.sha256(project.encode()).hexdigest()[:6]
    return f"{chain[: _LONGEST_CHAIN - 7]}-{mark}"


def rules(project: str) -> Json:
    """The rules in force: `ports` as pairs, and in which `hooks` they come before Docker's."""
    chain = chain_of(project)
    code, words = run(_nat("-S", chain))
    found = _RULE.findall(words) if code == 0 else []
    ports = [[int(old), int(new), *([address] if address else [])] for old, address, new in found]
    return {"ports": ports, "hooks": [hook for hook in ("PREROUTING", "OUTPUT") if ports and _first(hook, chain)]}


def _first(hook: str, chain: str) -> bool:
    code, words = run(_nat("-S", hook))
    jumps = [line.rpartition(" ")[2] for line in words.splitlines() if line.startswith("-A ") and " -j " in line]
    if code != 0 or chain not in jumps:
        return False
    return "DOCKER" not in jumps or jumps.index(chain) < jumps.index("DOCKER")


def _nat(*words: str) -> list[str]:
    return ["iptables", "-w", "5", "-t", "nat", *words]


def _restore(text: str) -> tuple[int, str]:
    import subprocess

    from flowmaster.host.remote.common import PATH

    command = ["iptables-restore", "--wait", "5", "--noflush"]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, env={"PATH": PATH}, check=False)
    except FileNotFoundError:
        return 127, "iptables-restore: not found"
    return done.returncode, done.stderr.decode("utf-8", "replace").strip()


def drained(request: Json) -> Json:
    """Wait until nginx's old workers have nothing open to these addresses any more; `left` is what still was."""
    wanted = set(request["addresses"])
    deadline = time.monotonic() + float(request.get("seconds", 5))
    began = time.monotonic()
    while True:
        left = _open_of_old_workers(wanted)
        if not left or time.monotonic() > deadline:
            return {"left": left, "seconds": round(time.monotonic() - began, 3)}
        time.sleep(0.02)


def _open_of_old_workers(wanted: set[str]) -> int:
    pid = master()
    if pid is None:
        return 0
    old = set()
    for worker in workers(pid):
        try:
            with open(f"/proc/{worker}/cmdline") as stream:
                if "shutting down" in stream.read():
                    old.add(str(worker))
        except OSError:
            continue
    if not old:
        return 0
    code, words = run(["ss", "-Htnp", "state", "established"])
    count = 0
    for line in words.splitlines() if code == 0 else ():
        fields = line.split()
        if len(fields) > 4 and fields[3] in wanted and set(re.findall(r"pid=(\d+)", line)) & old:
            count += 1
    return count


def push(request: Json) -> Json:
    """Have the registry hold each image as Docker has it; `digests` says under which digest, by image id."""
    digests = {}
    for image in request["images"]:
        identity, tag = str(image["id"]), str(image["name"])
        repository = tag.rpartition(":")[0]
        facts = api("GET", f"/images/{quote(identity)}/json", missing=True)
        known = image.get("digest") or _digest(facts or {}, repository)
        if known and _in_registry(repository, known):
            digests[identity] = known
            continue
        if facts is None:
            raise Refused(
                "image", f"Docker has no image {identity} any more, and the registry has no {repository} of it"
            )
        for command in (["docker", "tag", identity, tag], ["docker", "push", "--quiet", tag]):
            code, words = run(command, timeout=1800.0)
            if code != 0:
                raise Refused("image", f"{' '.join(command[:2])} {tag}: {words}")
        digest = _digest(api("GET", f"/images/{quote(identity)}/json"), repository)
        if not digest or not _in_registry(repository, digest):
            raise Refused("image", f"{tag} was pushed, but the registry does not have {digest or 'its digest'}")
        digests[identity] = digest
    return {"digests": digests}


def _digest(facts: Json, repository: str) -> str:
    found = [entry for entry in facts.get("RepoDigests") or () if entry.startswith(f"{repository}@")]
    return found[-1].partition("@")[2] if found else ""


def _in_registry(repository: str, digest: str) -> bool:
    host, _, name = repository.partition("/")
    address, _, port = host.partition(":")
    kinds = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, "
    kinds += "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.index.v1+json"
    connection = http.client.HTTPConnection(address, int(port or 80), timeout=10)
    try:
        connection.request("HEAD", f"/v2/{name}/manifests/{digest}", headers={"Accept": kinds})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException) as err:
        raise Refused("image", f"the registry {host} does not answer: {err}") from err
    finally:
        connection.close()


def archive(request: Json) -> Json:
    """A backup of the volumes and of the project's folder, compared with what is there once it is written."""
    folder = f"{BACKUPS}/{request['project']}"
    os.makedirs(folder, mode=0o700, exist_ok=True)
    place = f"{folder}/{time.strftime('%Y%m%dT%H%M%S')}.tar"
    paths = [path.lstrip("/") for path in (request["folder"], *(v["source"] for v in request["volumes"]))]
    how = ["--xattrs", "--acls", "--numeric-owner", "--directory", "/"]
    try:
        for verb in ("--create", "--compare"):
            code, words = run(["tar", verb, "--file", f"{place}.partial", *how, *paths], timeout=3600.0)
            if code != 0:
                raise Refused("archive", f"tar {verb}: {words[-300:]}")
        os.chmod(f"{place}.partial", 0o600)
        os.rename(f"{place}.partial", place)
    finally:
        if os.path.lexists(f"{place}.partial"):
            os.unlink(f"{place}.partial")
    return {"backup": place, "bytes": os.path.getsize(place)}


def remove(request: Json) -> Json:
    """Take the stopped containers and their networks away; volumes, folder and images stay."""
    project = str(request["project"])
    found = containers(project)
    running = [each["Name"] for each in found if each["State"].get("Running")]
    if running:
        raise Refused("containers", f"still running, so none is taken away: {', '.join(running)}")
    for each in found:
        api("DELETE", f"/containers/{each['Id']}?v=false", missing=True)
    for network in api("GET", "/networks") or ():
        if (network.get("Labels") or {}).get(PROJECT) == project:
            api("DELETE", f"/networks/{network['Id']}", missing=True)
    return {"removed": [each["Name"] for each in found]}


def create(request: Json) -> Json:
    """Make the missing containers from their file, not started, and have Docker not start them by itself."""
    project = str(request["project"])
    compose(request["folder"], [], "create", "--no-recreate", "--pull", "missing", timeout=600.0)
    found = containers(project)
    policies = {str(each["Name"]): each["HostConfig"]["RestartPolicy"] for each in found}
    known = docker_journal.load(project).get("restart") or {}
    docker_journal.note(project, request["run"], {"restart": {**policies, **known}})
    _never_restart(found)
    return {"created": [each["Name"] for each in found]}


def free(path: str) -> int:
    """Bytes free at a path."""
    return shutil.disk_usage(path).free
