"""What the server itself adds to the report: beside one connection over SSH that runs nginx's own test alone."""

from __future__ import annotations

import shutil
from dataclasses import replace

import yaml

from bench.context import Bench, Comparison, Side
from bench.fleet import Fleet
from bench.measure import Sample
from bench.stack import NAME
from config import load
from config.read_yaml import read_yaml

TARGET = 1.1
_SITE = "/etc/nginx/sites-enabled/flowmaster"


def measure(bench: Bench, size: int) -> list[Comparison]:
    """Of a server as declared, with its nginx in the stack and without, in pairs of runs."""
    fleet = bench.settled(size)
    served = with_nginx(bench, fleet)
    drift = ("flowmaster", "drift", "--stack", NAME)
    sides = (
        Side(name="drift of the cluster alone", command=bench.command(*drift, variables=fleet.variables)),
        Side(
            name="drift with the host",
            command=bench.command(*drift, variables=served.variables),
        ),
        Side(name="ssh HOST nginx -t", command=bench.command(*ssh(bench), "nginx", "-t", variables={})),
    )
    try:
        alone, both, other = bench.compare(sides)
    finally:
        bench.server.twin.exec(["sh", "-ec", f"rm {_SITE}; systemctl reload nginx"])
    added = [
        replace(one, seconds=one.seconds - base.seconds, cpu_seconds=one.cpu_seconds - base.cpu_seconds)
        for one, base in zip(both.runs, alone.runs, strict=True)
    ]
    return [
        Comparison(
            what="what the host adds to drift",
            size=size,
            ours="flowmaster drift, less the same without the host",
            our_sample=Sample(runs=added),
            other=sides[2].name,
            other_sample=other,
            target=TARGET,
        )
    ]


def with_nginx(bench: Bench, fleet: Fleet) -> Fleet:
    """The fleet once more, with the demo's site of nginx, which is then on the server."""
    served = replace(fleet, folder=fleet.folder / "host")
    served.folder.mkdir(exist_ok=True)
    shutil.copy(fleet.catalogue, served.catalogue)
    shutil.rmtree(served.stack.state, ignore_errors=True)
    shutil.copytree(fleet.stack.state, served.stack.state)
    document = yaml.safe_load(fleet.stack.configuration.read_text())
    key = f"{load.PROJECT}:reverseProxy"
    document["config"][key] = read_yaml(load.ROOT / f"Pulumi.{NAME}.yaml")["config"][key]
    served.stack.configuration.write_text(yaml.safe_dump(document, sort_keys=False))
    bench.server.pulumi(served, "up", "--yes", "--skip-preview", "--non-interactive")
    return served


def ssh(bench: Bench) -> tuple[str, ...]:
    """OpenSSH's client, as the same user with the same key, and the host's key verified as well."""
    known = bench.server.environment
    address = known["FLOWMASTER_HOST_ADDRESS"]
    hosts = bench.folder / "known_hosts"
    hosts.write_text(f"{address} {known['FLOWMASTER_HOST_PUBLIC_KEY']}\n")
    options = ("-o", f"UserKnownHostsFile={hosts}", "-o", "BatchMode=yes", "-i", known["FLOWMASTER_HOST_KEY_FILE"])
    return ("ssh", *options, f"{known['FLOWMASTER_HOST_USER']}@{address}")
