"""The resources of the project's own program, as plain Pulumi would have them: nothing is asked of the server."""

import pulumi

from components.cluster import cluster_provider, options
from components.flowmaster import FlowMaster
from components.program import load_settings

settings = load_settings()
cluster = cluster_provider(settings)
flowmaster = FlowMaster("flowmaster", settings, options(settings, cluster))
# as the project has it for a stack without sites
pulumi.ComponentResource("flowmaster:index:ReverseProxy", "nginx")
pulumi.export("addresses", flowmaster.addresses)
pulumi.export("versions", flowmaster.versions)
pulumi.export("externalServices", flowmaster.hosts)
