"""How the server is reached, and what is refused before anybody is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from config.stack import Host
from flowmaster.host.access import access
from flowmaster.host.errors import HostAccessError, HostKeyError, HostUnreachableError
from flowmaster.host.ssh import arguments

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDK/iy0CXIT06fLC0PaKr69/X2VXiTgQIWAoi+ky3lp0"
HOST = Host(address="10.0.0.1", user="ben", host_key=KEY)


def test_the_environment_has_the_last_word() -> None:
    found = access(HOST, {"FLOWMASTER_HOST_ADDRESS": "10.0.0.2", "FLOWMASTER_HOST_USER": "root"})
    assert (found.address, found.user, found.host_key) == ("10.0.0.2", "root", KEY)
    assert access(HOST, {}).user == "ben"


def test_what_the_stack_does_not_say_is_left_to_ssh() -> None:
    found = access(Host(address="demo_Server-1"), {})
    assert (found.address, found.user, found.port, found.host_key) == ("demo_Server-1", None, None, None)
    assert not {"-l", "-p", "-i"} & set(arguments(found))
    assert not any(word.startswith(("-oUserKnown", "-oGlobalKnown", "-oHostKey")) for word in arguments(found))


@pytest.mark.parametrize("address", ["-oProxyCommand=x", "ben@demo", "ssh://demo", "a b", "", "$(id)"])
def test_an_address_that_is_no_name_of_a_host_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="nor an alias of ssh_config"):
        Host(address=address)


@pytest.mark.parametrize("key", ["AAAAC3Nz", "md5 aa:bb", "ssh-ed25519"])
def test_a_host_key_that_is_none_is_refused(key: str) -> None:
    with pytest.raises(HostKeyError, match="is none"):
        access(HOST, {"FLOWMASTER_HOST_PUBLIC_KEY": key})


@pytest.mark.parametrize("port", ["ssh", "0", "65536", "²", "-1"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(HostAccessError, match="which is no port"):
        access(HOST, {"FLOWMASTER_HOST_PORT": port})


@pytest.mark.parametrize("address", ["demo..example", f"{'a' * 64}.example"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    from flowmaster.host import nginx

    with pytest.raises(HostUnreachableError, match=r"does not answer over SSH: .*ssh: Could not resolve hostname"):
        nginx.read(access(HOST, {"FLOWMASTER_HOST_ADDRESS": address}), [])


def test_a_private_key_is_never_shown() -> None:
    host = Host(address="10.0.0.1", user="ben", host_key=KEY, private_key="-----BEGIN PRIVATE")
    assert "BEGIN" not in repr(access(host, {}))
    assert "BEGIN" not in repr(host)


def test_an_address_where_nobody_listens(tmp_path: Path) -> None:
    from flowmaster.host import nginx

    found = access(HOST, {"FLOWMASTER_HOST_ADDRESS": "127.0.0.1", "FLOWMASTER_HOST_PORT": "9"})
    with pytest.raises(HostUnreachableError, match="does not answer over SSH: connection refused") as refused:
        nginx.read(found, [])
    assert len(str(refused.value).splitlines()) == 3
