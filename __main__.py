"""The FlowMaster demo server: what runs on it, at which versions, and how it is reached."""

import pulumi

from components.cluster import cluster_provider
from components.flowmaster import FlowMaster
from components.program import readable_errors
from components.rollout import ready
from config import load
from drift.preflight import check

with readable_errors():
    settings = load.from_program()
    check(settings)

    cluster = cluster_provider(settings)
    flowmaster = FlowMaster("flowmaster", settings, pulumi.ResourceOptions(providers=[cluster]))

    pulumi.export("addresses", flowmaster.addresses)
    pulumi.export("versions", flowmaster.versions)
    pulumi.export("externalServices", flowmaster.hosts)
    pulumi.export("ready", ready(settings, flowmaster))
