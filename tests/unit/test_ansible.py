"""Ansible's role knows what the agent knows."""

import re
from pathlib import Path

from pdagent.daemon import services
from pdagent.settings import SETTINGS

ROLE = Path(__file__).parents[2] / "packaging/ansible/roles/pdagent"


def test_the_role_restarts_for_what_a_reload_does_not_take_up() -> None:
    """And reloads for all else, so that no setting waits for somebody's restart."""
    listed = re.findall(r"^  - (\w+)$", (ROLE / "vars/main.yml").read_text(), re.MULTILINE)
    assert set(services.FIXED) <= set(listed) <= set(SETTINGS)


def test_each_variable_is_described() -> None:
    """With the default that it has."""
    defaults = re.findall(
        r"^(pdagent_\w+):", (ROLE / "defaults/main.yml").read_text(), re.MULTILINE
    )
    specs = (ROLE / "meta/argument_specs.yml").read_text()
    assert re.findall(r"^      (pdagent_\w+):", specs, re.MULTILINE) == defaults
    tasks = "".join(path.read_text() for path in ROLE.glob("t*/*"))
    handlers = (ROLE / "handlers/main.yml").read_text()
    assert [name for name in defaults if name not in tasks + handlers] == []
