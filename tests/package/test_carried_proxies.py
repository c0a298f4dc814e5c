"""What an upgrade takes over from the old agent's files that people have edited: the proxies."""

import subprocess
from pathlib import Path

import pytest

from tests.package.packages import ROOT

UNIT = "lib/systemd/system/pdagent.service"
COPY = "etc/systemd/system/pdagent.service"
SCRIPT = "etc/init.d/pdagent"
OLD = ROOT / "tests/package/old_agent"

# where it was edited, what was added, what becomes of it
EDITS = [
    (UNIT, 'Environment="http_proxy=http://proxy:3128/"', ["http_proxy=http://proxy:3128/"]),
    (COPY, "Environment='https_proxy=http://proxy:3128/'", ["https_proxy=http://proxy:3128/"]),
    (
        UNIT,
        "Environment=HTTP_PROXY=http://p:1 https_proxy=http://p:2",
        ["HTTP_PROXY=http://p:1", "https_proxy=http://p:2"],
    ),
    (UNIT, 'Environment="A=b" "no_proxy=localhost, 10.0.0.1"', ["no_proxy=localhost, 10.0.0.1"]),
    (
        UNIT,
        'Environment="http_proxy=http://me:a%%40b@proxy/"',
        ["http_proxy=http://me:a%40b@proxy/"],
    ),
    (
        UNIT,
        "Environment=http_proxy=http://old\nEnvironment=http_proxy=http://new",
        ["http_proxy=http://new"],
    ),
    (UNIT, '#Environment="http_proxy=http://proxy:3128/"', []),
    (UNIT, "EnvironmentFile=/etc/http_proxy=no", []),
    (SCRIPT, "export http_proxy=http://proxy:3128/", ["http_proxy=http://proxy:3128/"]),
    (SCRIPT, 'export https_proxy="http://me:a%40b@proxy/"', ["https_proxy=http://me:a%40b@proxy/"]),
    (SCRIPT, "http_proxy='http://proxy/'; export http_proxy", ["http_proxy=http://proxy/"]),
    (SCRIPT, "# export http_proxy=http://proxy:3128/", []),
    # spellings that the old agent took, and this one does
    (UNIT, "Environment=https_proxy=proxy:3128", ["https_proxy=proxy:3128"]),
    (UNIT, 'Environment="http_proxy=http://me:a#b@proxy"', ["http_proxy=http://me:a#b@proxy"]),
    (SCRIPT, "export http_proxy=http://me:a#b@proxy", ["http_proxy=http://me:a#b@proxy"]),
    # it knew none for everything
    (UNIT, 'Environment="all_proxy=socks5://proxy:1080"', []),
    (SCRIPT, "export ALL_PROXY=socks5://proxy:1080", []),
]


def carry(root: Path) -> list[str]:
    """The environment file's settings after an upgrade of what is under `root`."""
    file = root / "etc/default/pdagent"
    script = f'set -e; . {ROOT}/packaging/common.sh; carry_proxies "$1" "$2"'
    subprocess.run(["sh", "-c", script, "sh", file, root], check=True)
    if not file.exists():
        return []
    return [line for line in file.read_text().splitlines() if not line.startswith("#")]


def edit(root: Path, path: str, lines: str, source: Path = ROOT / "init") -> None:
    """As the guide has it: after the anchor."""
    anchor = "PID_FILE=$PID_DIR/pdagentd.pid\n" if path == SCRIPT else "/var/run/pdagent\n"
    text = (source / ("pdagent.init" if path == SCRIPT else "pdagent.service")).read_text()
    head, found, tail = text.rpartition(anchor)
    assert found
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(f"{head}{anchor}{lines}\n{tail}")


@pytest.mark.parametrize(("path", "lines", "carried"), EDITS)
def test_proxy_is_carried(tmp_path: Path, path: str, lines: str, carried: list[str]) -> None:
    """A hand edit that an upgrade replaces ends up in the environment file, once."""
    edit(tmp_path, path, lines)
    assert sorted(carry(tmp_path)) == carried
    assert sorted(carry(tmp_path)) == carried


SPELLINGS = [
    (UNIT, 'Environment="https_proxy=https://proxy:3128/"'),
    (SCRIPT, "export https_proxy=https://proxy:3128/"),
    (SCRIPT, 'export https_proxy="HTTPS://proxy:3128/"'),
]


@pytest.mark.parametrize(("path", "line"), SPELLINGS)
def test_what_the_old_agent_spoke(tmp_path: Path, path: str, line: str) -> None:
    """Plain HTTP to every proxy, https:// before it or not. In our files https:// means what it
    says."""
    edit(tmp_path, path, line, OLD)
    assert carry(tmp_path) == ["https_proxy=http://proxy:3128/"]
    (tmp_path / "etc/default/pdagent").unlink()
    edit(tmp_path, path, line)
    [kept] = carry(tmp_path)
    assert kept.lower() == "https_proxy=https://proxy:3128/"


def test_drop_in_of_the_old_agent(tmp_path: Path) -> None:
    """It stays where it is, so it is carried over only where it means another thing from now on."""
    drop_in = tmp_path / "etc/systemd/system/pdagent.service.d/proxy.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text('[Service]\nEnvironment="https_proxy=https://me:a%%40b@proxy/"\n')
    edit(tmp_path, UNIT, "Environment=https_proxy=http://hidden", OLD)
    assert carry(tmp_path) == ["https_proxy=http://hidden"]
    (tmp_path / "etc/default/pdagent").unlink()
    daemon = tmp_path / "usr/share/pdagent/bin/pdagentd.py"
    daemon.parent.mkdir(parents=True)
    daemon.touch()
    assert carry(tmp_path) == ["https_proxy=http://me:a%40b@proxy/"]


def test_environment_file_is_kept(tmp_path: Path) -> None:
    """What an administrator set there stays, and stays private."""
    edit(tmp_path, UNIT, "Environment=http_proxy=http://unit https_proxy=http://unit")
    file = tmp_path / "etc/default/pdagent"
    file.parent.mkdir(parents=True)
    file.write_text("http_proxy=http://file\n")
    file.chmod(0o600)
    assert carry(tmp_path) == ["http_proxy=http://file", "https_proxy=http://unit"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_new_environment_file_is_private(tmp_path: Path) -> None:
    """A proxy's password may be in it."""
    edit(tmp_path, SCRIPT, "export http_proxy=http://me:secret@proxy/")
    carry(tmp_path)
    assert (tmp_path / "etc/default/pdagent").stat().st_mode & 0o777 == 0o600


def test_unedited_files_set_nothing(tmp_path: Path) -> None:
    """What we ship is not taken for an edit."""
    for path in (UNIT, SCRIPT):
        edit(tmp_path, path, "")
    assert carry(tmp_path) == []


def test_old_copy_counts_before_the_packages(tmp_path: Path) -> None:
    """/etc/systemd/system hides /lib/systemd/system."""
    edit(tmp_path, UNIT, "Environment=http_proxy=http://hidden")
    edit(tmp_path, COPY, "Environment=http_proxy=http://used")
    assert carry(tmp_path) == ["http_proxy=http://used"]
