"""The configuration file and the manuals say what the agent does."""

import gzip

import pytest

from pdagent import config
from pdagent.settings import SETTINGS
from tests.package.packages import Package

OLD_KEYS = {
    "send_interval_secs": 10,
    "cleanup_interval_secs": 10800,
    "cleanup_threshold_secs": 604800,
    "backoff_interval_secs": 60,
    "retry_limit_for_possible_errors": 60,
    "source_address": "0.0.0.0",
}


@pytest.fixture
def shipped(package: Package) -> str:
    return package.read("/etc/pdagent.conf").decode()


def test_shipped_configuration(shipped: str) -> None:
    """The old file's keys, set as they were set there."""
    assert config.parse(shipped, "it") == (OLD_KEYS, [])


def test_every_setting_is_shipped(shipped: str) -> None:
    """Take the comment sign away, and each setting has its default."""
    names = [setting.name for setting in SETTINGS]
    lines = [
        line.removeprefix("#") if line.removeprefix("#").split(" ")[0] in names else line
        for line in shipped.splitlines()
    ]
    values, problems = config.parse("\n".join(lines), "it")
    assert problems == []
    assert values == {setting.name: setting.default for setting in SETTINGS}


def test_every_setting_is_in_the_manual(package: Package) -> None:
    page = gzip.decompress(package.read("/usr/share/man/man5/pdagent.conf.5.gz")).decode()
    for setting in SETTINGS:
        assert f".TP\n.B {setting.name} =" in page


def test_every_option_is_in_the_manual(package: Package) -> None:
    page = gzip.decompress(package.read("/usr/share/man/man1/pd-send.1.gz")).decode()
    from pdagent.commands.send import parser

    for action in parser()._actions:
        for option in action.option_strings:
            assert option.replace("-", "\\-") in page
