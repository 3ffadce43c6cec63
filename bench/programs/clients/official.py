"""The same by the official client: its kubeconfig, its transport, no models."""

import sys

import orjson
from kubernetes.client import ApiClient
from kubernetes.config import load_kube_config

from flowmaster.cluster.kinds import KINDS

load_kube_config(context=sys.argv[1])
client = ApiClient()
for kind in KINDS:
    request = client.param_serialize("GET", kind.path(sys.argv[2]), auth_settings=["BearerToken"])
    response = client.call_api(*request)
    body = response.read()
    if response.status != 200:
        raise SystemExit(f"{response.status}")
    orjson.loads(body)
