"""The variables that make a shell, a test or the project's program work on a twin."""

import os

from lab import tools
from lab.tools.errors import ToolError
from lab.twin import keys, operator
from lab.twin.errors import TwinError
from lab.twin.layout import Layout
from lab.twin.patience import VARIABLE

_OWN = ("FLOWMASTER", "PULUMI", "PYTHON")
"""How variables begin that change what the program does, or how fast: one keeps Python from keeping its bytecode."""


def shell(layout: Layout) -> dict[str, str]:
    """A shell that knows this twin, and of the one that it was started from nothing that changes what is said or done.

    Its width is none of that either: reports are laid out for it. How slow the machine is, it is told.

    Raises TwinError as :func:`variables`.
    """
    around = {k: v for k, v in os.environ.items() if k == VARIABLE or (not k.startswith(_OWN) and k != "COLUMNS")}
    return around | variables(layout)


def variables(layout: Layout) -> dict[str, str]:
    """Everything that `Pulumi.demo.yaml` leaves out because only the server at hand knows it, and the tools.

    Raises TwinError where the twin is not up or the tools are not there.
    """
    try:
        found = tools.environment()
    except ToolError as error:
        raise TwinError(f"{error}\nmake the tools available: lab/bootstrap") from error
    host_key = " ".join((layout.keys / "ssh-host.pub").read_text().split()[:2])
    found |= {
        "KUBECONFIG": str(layout.kubeconfig),
        "FLOWMASTER_TWIN": layout.name,
        "FLOWMASTER_HOST_ADDRESS": layout.server_address,
        "FLOWMASTER_HOST_USER": "root",
        "FLOWMASTER_HOST_KEY_FILE": str(layout.keys / "ssh-user"),
        "FLOWMASTER_HOST_PUBLIC_KEY": host_key,
        "PULUMI_BACKEND_URL": f"file://{layout.pulumi}",
        "PULUMI_CONFIG_PASSPHRASE": keys.passphrase(layout),
    }
    found |= {f"FLOWMASTER_SECRET_{name}": value for name, value in keys.load_secrets(layout).items()}
    if any(os.environ.get(name) for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")):
        around = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
        found["NO_PROXY"] = found["no_proxy"] = ",".join(filter(None, [around, layout.server_address]))
    return found | operator.variables(layout, found)
