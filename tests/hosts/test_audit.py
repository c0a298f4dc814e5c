"""What docs/security.md tells an auditor: each command prints what stands beside it."""

import re
from dataclasses import dataclass

import pytest

from tests.hosts.host import KEY, Host
from tests.support.documents import REPOSITORY
from tests.support.events_api import EventsApi


@dataclass(frozen=True)
class Row:
    question: str
    command: str
    prints: str


def rows(family: str) -> list[Row]:
    """The table's rows that have a command, as such a host is to run it."""
    text = (REPOSITORY / "docs" / "security.md").read_text()
    table = text.partition("## What your auditor will ask")[2].partition("\n## ")[0]
    found = []
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 4 or "`" not in cells[2]:
            continue
        # the first is for Debian's family, and the last for the other
        place = 0 if family == "deb" else -1
        prints = re.findall(r"`([^`]+)`", cells[3]) or [""]
        found.append(Row(cells[0], re.findall(r"`([^`]+)`", cells[2])[place], prints[place]))
    return found


@pytest.mark.latest
@pytest.mark.only("systemd")
def test_what_an_auditor_asks(host: Host, api: EventsApi) -> None:
    """On a host that has delivered something."""
    host.sh(f"pd-send -k {KEY} -t trigger -i disk-full -d 'for the log'")
    api.wait_accepted(1)
    asked = rows(host.spec.family)
    assert len(asked) >= 14
    wrong = {}
    for row in asked:
        done = host.run(row.command)
        said = f"{done.stdout}{done.stderr}".strip()
        if (row.prints not in said) if row.prints else said:
            wrong[row.command] = said
    assert wrong == {}
