"""The FlowMaster demo server: what runs on it, at which versions, and how it is reached."""

import pulumi

from components.cluster import cluster_provider, options
from components.compose import compose_projects, phase_outputs
from components.drift import read_server
from components.flowmaster import FlowMaster
from components.guard import plane_unchanged, refuse_foreign_resources
from components.program import program
from components.reverse_proxy import reverse_proxy
from components.rollout import rollout

with program() as settings:
    server = read_server(settings)
    server.heal_drift()
    refuse_foreign_resources(settings)

    cluster = cluster_provider(settings)
    flowmaster = FlowMaster("flowmaster", settings, options(settings, cluster))
    projects = compose_projects(server, flowmaster, options(settings, cluster))
    proxy = reverse_proxy(settings, flowmaster, server.report, server.host, server.ill)
    server.report_findings()

    pulumi.export("addresses", flowmaster.addresses)
    pulumi.export("versions", flowmaster.versions)
    pulumi.export("externalServices", flowmaster.hosts)
    running = rollout(settings, flowmaster, server.ill)
    pulumi.export("ready", running)
    pulumi.export("plane", plane_unchanged(settings, server.host, [running, *proxy.contents, *phase_outputs(projects)]))
