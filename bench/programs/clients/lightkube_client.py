"""The same by lightkube: its kubeconfig, its transport, no models."""

import sys

import orjson
from lightkube import Client, KubeConfig

from flowmaster.cluster.kinds import KINDS

client = Client(config=KubeConfig.from_env().get(sys.argv[1]))
transport = client._client._client  # the httpx client: a model for each object would be compared with none
for kind in KINDS:
    response = transport.get(kind.path(sys.argv[2]))
    response.raise_for_status()
    orjson.loads(response.content)
