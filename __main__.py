"""The FlowMaster demo server: what runs on it, at which versions, and how it is reached."""

import pulumi

from components.cluster import cluster_provider, options
from components.compose import compose_projects, settled
from components.drift import look
from components.flowmaster import FlowMaster
from components.guard import guard, plane_untouched
from components.program import load_settings, no_debug_messages, readable_errors, wait_for_all_outputs_at_once
from components.reverse_proxy import reverse_proxy
from components.rollout import ready

no_debug_messages()
wait_for_all_outputs_at_once()
with readable_errors():
    settings = load_settings()
    server = look(settings)
    server.undo_drift()
    guard(settings)

    cluster = cluster_provider(settings)
    flowmaster = FlowMaster("flowmaster", settings, options(settings, cluster))
    projects = compose_projects(server, flowmaster, options(settings, cluster))
    proxy = reverse_proxy(settings, flowmaster, server.report, server.host, server.ill)
    server.say()

    pulumi.export("addresses", flowmaster.addresses)
    pulumi.export("versions", flowmaster.versions)
    pulumi.export("externalServices", flowmaster.hosts)
    running = ready(settings, flowmaster, server.ill)
    pulumi.export("ready", running)
    pulumi.export("plane", plane_untouched(settings, server.host, [running, *proxy.contents, *settled(projects)]))
