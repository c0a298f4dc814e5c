"""Hosts by cases, printed at the end of a run. What a host is called is what it says of itself."""

import re
from collections import defaultdict

import pytest

from tests.hosts.host import Host

PROPERTY = "host"


def describe(host: Host) -> str:
    """User land and init, asked from the host."""
    return host.sh("""
        if [ -e /etc/os-release ]; then . /etc/os-release
        else PRETTY_NAME=$(head -n 1 /etc/issue); fi
        if [ -d /run/systemd/system ]; then init=$(systemctl --version | sed 's/ (.*//; q')
        else init="SysV init"; fi
        echo "$PRETTY_NAME, $init"
        """)


class Table:
    """A pytest plug-in. With several workers, it is the controller's that hears of every test."""

    def __init__(self) -> None:
        self.cells: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self.labels: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = re.search(r"::test_(\w+)\[([^\]]+)\]", report.nodeid)
        if not found:
            return
        case, host = found.groups()
        for name, value in report.user_properties:
            if name == PROPERTY:
                self.labels[host] = str(value)
        if report.failed:
            self.cells[case][host] = "FAIL"
        elif report.skipped:
            self.cells[case][host] = "skip"
        elif report.when == "call":
            self.cells[case].setdefault(host, "ok")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        hosts = sorted({host for row in self.cells.values() for host in row})
        if not hosts:
            return
        say = terminalreporter.write_line
        terminalreporter.section("hosts")
        width = max(len(host) for host in hosts)
        for number, host in enumerate(hosts, 1):
            say(f"{number:>3}  {host:<{width}}  {self.labels.get(host, 'never got up')}")
        width = max(len(case) for case in self.cells)
        say("")
        say(" " * width + "".join(f"{number:>5}" for number in range(1, len(hosts) + 1)))
        for case, row in self.cells.items():
            cells = "".join(f"{row.get(host, '-'):>5}" for host in hosts)
            say(f"{case.replace('_', ' '):<{width}}{cells}")
        say("\n-: does not apply to this kind of host")
