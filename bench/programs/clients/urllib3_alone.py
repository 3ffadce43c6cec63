"""The same by urllib3, with the project's own reading of the kubeconfig."""

import sys

import orjson
import urllib3

from flowmaster.cluster.credentials import Credentials
from flowmaster.cluster.kinds import KINDS
from flowmaster.cluster.kubeconfig import access
from flowmaster.cluster.transport import tls_context

entry = access(sys.argv[1])
credentials = Credentials(entry)
credential = credentials.get()
tls = tls_context(entry.content(entry.cluster, "certificate-authority"), credential.certificate)
pool = urllib3.PoolManager(ssl_context=tls)
headers = dict(credentials.headers(credential))
for kind in KINDS:
    response = pool.request("GET", entry.server + kind.path(sys.argv[2]), headers=headers)
    if response.status != 200:
        raise SystemExit(f"{response.status}")
    orjson.loads(response.data)
