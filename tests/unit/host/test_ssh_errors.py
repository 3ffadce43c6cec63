"""What OpenSSH's client says, in versions from 8.2 to 10, as errors of this project."""

from __future__ import annotations

import pytest

from flowmaster.host.access import Access
from flowmaster.host.errors import HostAccessError, HostError, HostKeyError, HostUnreachableError
from flowmaster.host.ssh_errors import failure, lost

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDK/iy0CXIT06fLC0PaKr69/X2VXiTgQIWAoi+ky3lp0"
PINNED = Access(address="demo", host_key=KEY)
KNOWN = Access(address="demo", user="ben", port=2222)
CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
The fingerprint for the ED25519 key sent by the remote host is
SHA256:abc.
Please contact your system administrator.
Host key for {} has changed and you have requested strict checking.
Host key verification failed.
"""
UNKNOWN = "No {} host key is known for {} and you have requested strict checking.\nHost key verification failed.\n"

CASES = [
    (
        PINNED,
        CHANGED.format("flowmaster-host"),
        HostKeyError,
        "HOST KEY CHANGED: demo has SHA256:abc, but the known one",
    ),
    (
        PINNED,
        CHANGED.format("gate"),
        HostKeyError,
        "HOST KEY CHANGED: gate has SHA256:abc, but known_hosts has another",
    ),
    (KNOWN, CHANGED.format("[demo]:2222"), HostKeyError, "HOST KEY CHANGED: [demo]:2222 has SHA256:abc, but known_h"),
    (
        PINNED,
        UNKNOWN.format("RSA", "flowmaster-host"),
        HostKeyError,
        "HOST KEY CHANGED: demo has a key of another type",
    ),
    (PINNED, UNKNOWN.format("RSA", "gate"), HostKeyError, "the host key of gate is not known"),
    (KNOWN, UNKNOWN.format("RSA", "[demo]:2222"), HostKeyError, "the host key of [demo]:2222 is not known"),
    (
        PINNED,
        "Host key verification failed.\nConnection closed by UNKNOWN port 65535\n",
        HostKeyError,
        "demo is not reached: Host key verification failed.\n",
    ),
    (
        PINNED,
        "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa\r\n",
        HostKeyError,
        "HOST KEY CHANGED: demo has a key of another type, ssh-rsa, but the known one is SHA256:",
    ),
    (
        PINNED,
        "command-line line 0: Bad protocol 2 host key algorithms 'ssh-foo'.\n",
        HostKeyError,
        "the host key of demo cannot be read",
    ),
    (
        KNOWN,
        "Authorised use only.\nben@10.0.0.1: Permission denied (publickey,password).\r\n",
        HostAccessError,
        "demo does not let ben in with the keys that ssh has here (ben@10.0.0.1: Permission denied",
    ),
    (
        PINNED,
        "root@10.0.0.1: Permission denied (publickey).\n",
        HostAccessError,
        "demo does not let root in",
    ),
    (
        KNOWN,
        "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\n"
        "Disconnected from 10.0.0.1 port 22\n",
        HostAccessError,
        "demo does not let ben in with the keys that ssh has here (Received disconnect",
    ),
    (
        KNOWN,
        'sign_and_send_pubkey: signing failed for ED25519 "x" from agent: agent refused operation\n'
        "ben@10.0.0.1: Permission denied (publickey).\n",
        HostAccessError,
        "(sign_and_send_pubkey: signing failed",
    ),
    (
        KNOWN,
        "ssh: connect to host 10.0.0.1 port 2222: Connection refused\r\n",
        HostUnreachableError,
        "demo port 2222 does not answer over SSH: connection refused (ssh: connect to host 10.0.0.1 port 2222: C",
    ),
    (
        PINNED,
        "ssh: connect to host gate port 22: No route to host\nConnection closed by UNKNOWN port 65535\n",
        HostUnreachableError,
        "demo does not answer over SSH: No route to host (ssh: connect to host gate port 22",
    ),
    (
        PINNED,
        "ssh: connect to host 10.0.0.1 port 22: Connection timed out\n",
        HostUnreachableError,
        "demo does not answer over SSH: no answer within 10 s (ssh: ",
    ),
    (
        PINNED,
        "Connection timed out during banner exchange\nConnection to 10.0.0.1 port 22 timed out\n",
        HostUnreachableError,
        "demo does not answer over SSH: no answer within 10 s (Connection timed out",
    ),
    (
        PINNED,
        "ssh: Could not resolve hostname demo: Name or service not known\n",
        HostUnreachableError,
        "demo does not answer over SSH: Name or service not known (ssh: Could not",
    ),
    (
        PINNED,
        "kex_exchange_identification: read: Connection reset by peer\nConnection reset by 10.0.0.1 port 22\n",
        HostUnreachableError,
        "demo does not answer over SSH: it closed the connection (kex_exchange",
    ),
    (
        KNOWN,
        "/home/ben/.ssh/config: line 3: Bad configuration option: nosuch\n"
        "/home/ben/.ssh/config: terminating, 1 bad configuration options\n",
        HostAccessError,
        "ssh cannot be used for demo (/home/ben/.ssh/config: line 3: Bad configuration option: nosuch)",
    ),
    (
        PINNED,
        "command-line: line 0: Bad configuration option: knownhostscommand\n",
        HostAccessError,
        "a host key of the stack needs OpenSSH 8.5 or later here",
    ),
    (
        KNOWN,
        "Bad owner or permissions on /home/ben/.ssh/config\n",
        HostAccessError,
        "ssh cannot be used for demo (Bad owner or permissions on /home/ben/.ssh/config)",
    ),
    (KNOWN, "something new\n", HostUnreachableError, "does not answer over SSH: ssh does not say why (something new)"),
    (KNOWN, "", HostUnreachableError, "does not answer over SSH: ssh does not say why"),
]


@pytest.mark.parametrize(("access", "said", "kind", "words"), CASES, ids=[words[-40:] for *_, words in CASES])
def test_what_ssh_says_becomes_an_error_that_says_what_to_do(
    access: Access, said: str, kind: type[HostError], words: str
) -> None:
    error = failure(access, said, None)
    assert type(error) is kind
    assert words in str(error)
    assert len(str(error).splitlines()) <= 3


def test_a_connection_that_is_lost_is_told_by_the_last_line() -> None:
    said = "some warning\nclient_loop: send disconnect: Broken pipe\r\n"
    assert lost(KNOWN, said).found == "the connection to demo was lost: client_loop: send disconnect: Broken pipe"
    assert lost(KNOWN, "").found == "the connection to demo was lost: it closed the connection"
