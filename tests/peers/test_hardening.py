"""What judges of hardened hosts say before and after the agent is installed: OpenSCAP by the guides
of ssg-debian, and lynis. They find nothing new."""

import re
from collections.abc import Iterator

import pytest

from tests.hosts.engine import Engine, Spec
from tests.hosts.fixtures import NAMES, Note, install_agent, say_what_it_is
from tests.hosts.host import KEY, Host
from tests.support.events_api import EventsApi

GUIDE = "/usr/share/xml/scap/ssg/content/ssg-debian11-ds.xml"
PROFILE = "xccdf_org.ssgproject.content_profile_anssi_np_nt28_high"
TOLD = re.compile(r"^(?:warning|suggestion)\[\]=([^|]*)\|([^|]*)", re.MULTILINE)

pytestmark = pytest.mark.only("hardened")


@pytest.fixture
def bare(engine: Engine, spec: Spec, record_property: Note) -> Iterator[Host]:
    host = Host(engine, spec, spec.image, NAMES)
    try:
        say_what_it_is(host, record_property)
        yield host
    finally:
        host.remove()


def scap(host: Host) -> dict[str, str]:
    """Rule -> result, by the strictest of the guide's profiles. The newest guide that the release
    has is for the one before, which the host calls itself meanwhile."""
    # 2: a rule failed, as some do on every host
    text = host.sh(f"""
        cp /etc/debian_version /tmp/its-own && echo 11.11 >/etc/debian_version
        oscap xccdf eval --profile {PROFILE} {GUIDE} 2>/dev/null || [ $? = 2 ]
        cp /tmp/its-own /etc/debian_version""")
    rules = re.findall(r"^Rule\s+(\S+)$", text, re.MULTILINE)
    results = re.findall(r"^Result\s+(\S+)$", text, re.MULTILINE)
    return dict(zip(rules, results, strict=True))


def lynis(host: Host) -> set[tuple[str, str]]:
    """Warnings and suggestions: the test, and what it says."""
    host.sh("lynis audit system --quick --no-colors --quiet >/dev/null 2>&1 || true")
    return set(TOLD.findall(host.sh("cat /var/log/lynis-report.dat")))


def test_no_new_finding(bare: Host, packages_url: str, running_api: EventsApi) -> None:
    """On a host where the agent has delivered an event."""
    running_api.reset()
    rules, told = scap(bare), lynis(bare)
    install_agent(bare, packages_url, running_api)
    bare.sh(f"pd-send -k {KEY} -t trigger -d 'while it is judged'")
    running_api.wait_accepted(1)
    rules_now, told_now = scap(bare), lynis(bare)

    # The guide fits, and finds what a minimal Debian lacks.
    assert list(rules.values()).count("pass") >= 5
    assert "fail" in rules.values()
    worse = {rule: result for rule, result in rules_now.items() if result != rules.get(rule)}
    assert {rule: result for rule, result in worse.items() if result != "pass"} == {}
    assert told
    assert told_now - told == set()
