"""Names and addresses of a twin, and which of them are refused."""

import ipaddress
from pathlib import Path

import pytest

from lab.twin import TwinError, layout, network
from lab.twin.layout import Layout


def test_a_twin_is_found_by_its_name_alone() -> None:
    subnet = ipaddress.IPv4Network("10.77.0.0/24")
    twin = Layout(name="demo", subnet=subnet, state=Path("/cache/twins/demo"))
    assert (twin.machine_address, twin.server_address) == ("10.77.0.1", "10.77.0.2")
    assert (twin.link, twin.cgroup) == ("fm-demo", "flowmaster-twin-demo")
    assert twin.api_url == "https://10.77.0.2:6443"


@pytest.mark.parametrize("name", ["a", "demo", "a-very-long-name-for-one-twin", "x" * 30])
def test_interface_names_fit_and_differ(name: str) -> None:
    assert layout.valid_name(name) == name
    assert len(layout.link_name(name)) <= 15
    assert layout.link_name(name) != layout.link_name(name[:-1] + "y")


@pytest.mark.parametrize("name", ["", "Demo", "1st", "a/b", "..", "a b", "demo-", "x" * 31, "démo"])
def test_names_that_could_not_name_a_folder_are_refused(name: str) -> None:
    with pytest.raises(TwinError, match="cannot be used"):
        layout.valid_name(name)


@pytest.mark.parametrize(
    ("subnet", "reason"),
    [
        ("10.78.0.0/33", "is none"),
        ("10.78.0.1/24", "has host bits set"),
        ("65.21.153.0/24", "must be private"),
        ("10.78.0.0/30", "at least a /29"),
        ("10.42.0.0/16", "the pods inside"),
        ("10.43.185.0/24", "the services inside"),
        ("172.16.0.0/12", "the containers inside"),
    ],
)
def test_subnets_that_cannot_be_used_are_refused_with_the_reason(subnet: str, reason: str) -> None:
    with pytest.raises(TwinError, match=reason):
        layout.valid_subnet(subnet)


def test_a_twin_without_a_subnet_gets_the_usual_one_or_a_free_one_of_its_own() -> None:
    assert [str(subnet) for subnet in layout.candidate_subnets("demo")] == ["10.77.0.0/24"]
    others = layout.candidate_subnets("second")
    assert len(set(others)) == 254
    assert others == layout.candidate_subnets("second")
    assert layout.DEFAULT_SUBNET not in others


def test_a_taken_subnet_is_passed_over_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, *_ = layout.candidate_subnets("unit-test")
    monkeypatch.setattr(network, "taken_subnets", lambda: {first: "fm-other"})
    with network.reserved_subnet("unit-test", None) as subnet:
        assert subnet == second
    with pytest.raises(TwinError, match=r"is taken by fm-other\n.*--subnet"), network.reserved_subnet("x", str(first)):
        pass


def test_two_twins_that_come_up_at_once_get_two_subnets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "taken_subnets", dict)
    with network.reserved_subnet("unit-test", None) as first, network.reserved_subnet("unit-test", None) as second:
        assert first != second
