"""The page of compose keys: it is what the code makes, and docker compose knows no key that is not on it."""

from __future__ import annotations

import re

import pytest

from flowmaster.compose.keys_table import markdown
from tests.conftest import ROOT

PAGE = ROOT / "docs/compose-keys.md"
SPECIFICATION = {
    "Keys of a service": """annotations attach blkio_config build cap_add cap_drop cgroup cgroup_parent command configs
        container_name cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset
        credential_spec depends_on deploy develop device_cgroup_rules devices dns dns_opt dns_search domainname
        entrypoint env_file environment expose extends external_links extra_hosts gpus group_add healthcheck hostname
        image init ipc isolation label_file labels links logging mac_address mem_limit mem_reservation mem_swappiness
        memswap_limit models network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform ports
        post_start pre_stop privileged profiles provider pull_policy pull_refresh_after read_only restart runtime scale
        secrets security_opt shm_size stdin_open stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits
        use_api_socket user userns_mode uts volumes volumes_from working_dir""",
    "Keys of a volume": "driver driver_opts external labels name",
    "Keys of a network": "attachable driver driver_opts enable_ipv4 enable_ipv6 external internal ipam labels name",
    "Keys of a config": "content environment external file labels name template_driver",
    "Keys of a secret": "driver driver_opts environment external file labels name template_driver",
    "Keys at the top": "version name include models",
}
"""As of the schema of compose-spec in docker compose 2.40. Services, networks, volumes, configs and secrets at the top
have tables of their own."""


def test_the_page_is_what_the_code_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), (
        "uv run python -m flowmaster.compose.keys_table > docs/compose-keys.md"
    )


@pytest.mark.parametrize("part", SPECIFICATION)
def test_every_key_of_the_specification_is_on_the_page_and_no_other(part: str) -> None:
    section = markdown().partition(f"## {part}\n")[2].partition("\n## ")[0]
    listed = set(re.findall(r"^\| `([a-z_0-9]+)` \|", section, re.MULTILINE))
    assert listed == set(SPECIFICATION[part].split())


def test_every_row_says_something() -> None:
    rows = re.findall(r"^\| `[^|]+` \| (.*) \| (.*) \|$", markdown(), re.MULTILINE)
    assert len(rows) > 100
    assert all(becomes.strip() or refused.strip() for becomes, refused in rows)
