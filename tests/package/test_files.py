"""What is in the packages."""

import json
import os
import posixpath
import re
import shlex
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pdagent import __version__
from pdagent.__main__ import COMMANDS
from tests.package.packages import ROOT, Deb, Package, Rpm, output

LINKS = {
    "pd-send": "/usr/bin/pd-send",
    "pd-queue": "/usr/bin/pd-queue",
    "pdagent": "/usr/bin/pdagent",
    "pdagentd": "/usr/sbin/pdagentd",
}
INTEGRATIONS = {"pd-nagios", "pd-zabbix", "pd-sensu"}

FILES = """
755 root root        /usr/lib/pdagent/pdagent
644 root root        /usr/lib/sysusers.d/pdagent.conf
644 root root        /usr/lib/systemd/system/pdagent-failed@.service
644 root root        /usr/lib/systemd/system/pdagent-failed@.service.d/pdagent-failed.conf
644 root root        /usr/lib/tmpfiles.d/pdagent.conf
644 root root        /usr/share/pdagent/environment
644 root root        /usr/share/pdagent/pdagent.conf
644 root root        /usr/share/bash-completion/completions/pd-send
644 root root        /var/lib/pdagent/scripts/pdagent.service
755 root root        /var/lib/pdagent/scripts/pdagent.init
755 root root        /var/lib/pdagent
755 pdagent pdagent  /var/lib/pdagent/db
755 root root        /var/lib/pdagent/outqueue
3733 pdagent pdagent /var/lib/pdagent/outqueue/tmp
3733 pdagent pdagent /var/lib/pdagent/outqueue/pdq
3733 pdagent pdagent /var/lib/pdagent/outqueue/jobs
2750 pdagent pdagent /var/lib/pdagent/outqueue/suc
2750 pdagent pdagent /var/lib/pdagent/outqueue/err
755 pdagent pdagent  /var/log/pdagent
755 root root        /var/lib/pdagent/scripts
"""

UNIT = "/usr/lib/systemd/system/pdagent.service"


def test_files(package: Package) -> None:
    """Where the old package had them, owned as they must be."""
    for row in FILES.strip().splitlines():
        mode, owner, group, path = row.split()
        assert str(package.files[path]) == f"{mode} {owner} {group}", path
    assert str(package.files[UNIT]) == "644 root root"
    if package.path.suffix == ".deb":
        assert str(package.files["/etc/init.d/pdagent"]) == "755 root root"


def test_nothing_else_is_open(package: Package) -> None:
    """Only the queue's four doors can be written by everyone, and nobody gets rights by a file."""
    open_to_all = {
        path
        for path, file in package.files.items()
        if not file.link and (file.mode & 0o6002 or (file.owner != "root" and file.mode & 0o022))
    }
    queue = "/var/lib/pdagent/outqueue/"
    assert open_to_all == {
        queue + name for name in ("tmp", "pdq", "jobs", "suc", "err", "expect", "expected")
    }


def test_commands(package: Package) -> None:
    """Every command is a relative link to the one program, the old daemon's place included."""
    assert LINKS.keys() == set(COMMANDS) - INTEGRATIONS
    for path in (*LINKS.values(), "/usr/share/pdagent/bin/pdagentd"):
        link = package.files[path].link
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
        assert target == "/usr/lib/pdagent/pdagent", path
        assert not link.startswith("/")


def test_manuals(package: Package) -> None:
    """Each command and the configuration have a manual page."""
    pages = {path for path in package.files if path.startswith("/usr/share/man/man")}
    names = {Path(path).name.split(".gz")[0] for path in pages if path.endswith(".gz")}
    assert names == {"pd-send.1", "pd-queue.1", "pdagent.1", "pdagent.conf.5", "pdagentd.8"}


def test_completions(package: Package) -> None:
    """Where bash, fish and each family's zsh look."""
    zsh = {"deb": "vendor-completions", "rpm": "site-functions"}[package.path.suffix[1:]]
    assert str(package.files[f"/usr/share/zsh/{zsh}/_pdagent"]) == "644 root root"
    for directory, suffix in (
        ("/usr/share/bash-completion/completions/", ""),
        ("/usr/share/fish/vendor_completions.d/", ".fish"),
    ):
        assert {
            path.removeprefix(directory) for path in package.files if path.startswith(directory)
        } == {name + suffix for name in LINKS}


def test_kept_configuration(deb: Deb, rpm: Rpm) -> None:
    """What an administrator edits is marked as such, where the package manager does not ask about
    it. No package owns the environment file."""
    assert {path for path, file in deb.files.items() if file.config} == {"/etc/init.d/pdagent"}
    assert "/etc/pdagent.conf" not in deb.files
    assert {path for path, file in rpm.files.items() if file.config} == {"/etc/pdagent.conf"}
    assert str(rpm.files["/etc/pdagent.conf"]) == "644 root root"
    assert "/etc/init.d/pdagent" not in rpm.files


def test_copies_of_unit_and_script(package: Package) -> None:
    """What the guide has people copy is what the package itself uses."""
    unit = package.read(UNIT)
    assert package.read("/var/lib/pdagent/scripts/pdagent.service") == unit
    script = "/usr/share/pdagent/pdagent.init"
    if script not in package.files:
        script = "/etc/init.d/pdagent"
    assert package.read("/var/lib/pdagent/scripts/pdagent.init") == package.read(script)


def test_dependencies(package: Package) -> None:
    """The C library that the program's symbols ask for, and authorities to trust."""
    assert "ca-certificates" in package.depends
    symbols = output("objdump", "-T", ROOT / "build/freeze/pdagent").decode()
    needed = {tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_([\d.]+)\b", symbols)}
    found = re.search(r"(?:libc6|glibc) \(?>= ([\d.]+)", package.depends)
    assert found is not None
    assert tuple(map(int, found[1].split("."))) >= max(needed)
    assert re.search(r"pdagent-integrations \(?<<? 3", package.against)


def test_old_tools_can_read(deb: Deb, rpm: Rpm) -> None:
    """Neither dpkg nor rpm of ten years ago knew zstd."""
    assert b"control.tar.zst" not in output("ar", "t", deb.path)
    assert b"data.tar.xz" in output("ar", "t", deb.path)
    assert rpm.query("%{PAYLOADCOMPRESSOR}") in ("xz", "gzip")


def test_size(package: Package) -> None:
    """A package keeps to the budgets that docs/performance.md gives it."""
    assert package.path.stat().st_size <= 8_000_000
    assert package.installed_bytes <= 18_000_000


def test_one_table_of_directories(package: Package) -> None:
    """Hosts whose /var comes from an image get the same directories as others."""
    rows = (
        line.split()
        for line in package.read("/usr/lib/tmpfiles.d/pdagent.conf").decode().splitlines()
    )
    table = {row[1]: f"{row[2].lstrip('0')} {row[3]} {row[4]}" for row in rows if row[0] == "d"}
    owned = {path: str(package.files[path]) for path in table}
    assert table == owned
    assert {path for path, file in package.files.items() if file.owner == "pdagent"} <= set(table)


def test_root_writes_into_directories_of_root(package: Package) -> None:
    """Who owns a directory can replace what is in it by links: user pdagent owns none in which the
    package has anything."""
    for path in package.files:
        for parent in map(str, Path(path).parents):
            if parent in package.files:
                assert package.files[parent].owner == "root", path


def test_rpm_knows_the_program_by_its_hash(rpm: Rpm) -> None:
    """fapolicyd trusts what rpm's database has, by SHA-256."""
    rows = rpm.query("[%{FILENAMES} %{FILEDIGESTS}\n]").splitlines()
    digests = dict(row.split(" ") for row in rows)
    program = "/usr/lib/pdagent/pdagent"
    assert digests[program] == sha256(rpm.read(program)).hexdigest()


def test_one_user() -> None:
    """sysusers.d and the scripts make the same one."""
    made = shlex.split((ROOT / "packaging/sysusers.conf").read_text())
    assert made == ["u", "pdagent", "-", "PagerDuty Agent", "/var/lib/pdagent"]
    text = (ROOT / "packaging/common.sh").read_text()
    for option in ("--home-dir /var/lib/pdagent", "--comment 'PagerDuty Agent' pdagent"):
        assert option in text


def digests(directory: Path) -> dict[str, str]:
    """By name: what differs is said in a line, where the files themselves have megabytes."""
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def test_reproducible(dist: Path) -> None:
    """The same bytes whatever the building machine has installed, whoever builds, where and when:
    the second build has another user, umask, locale, directory, clock and number of processors."""
    (parts,) = dist.glob("*.cdx.json")
    properties = json.loads(parts.read_text())["metadata"]["properties"]
    made_from = {row["name"]: row["value"] for row in properties}
    with TemporaryDirectory() as scratch:
        tree = Path(scratch) / "some where" / "else" / "the sources"
        sources = ("agent", "ci", "docs", "init", "packaging")
        for name in (*sources, "build/freeze", "build/freeze-arm64"):
            shutil.copytree(ROOT / name, tree / name)
        for name in ("LICENSE", "build/runtime.lock"):
            shutil.copy(ROOT / name, tree / name)
        # what a link leads to is looked up from the directory where packages are made
        for top in (tree.parent, tree.parents[2]):
            (top / "lib/pdagent").mkdir(parents=True)
            (top / "lib/pdagent/pdagent").write_text("an agent that is installed")
        (tree / "pd-send").write_text("its completion")
        for path in Path(scratch).rglob("*"):
            path.chmod(0o700 if path.is_dir() or os.access(path, os.X_OK) else 0o600)
            os.utime(path, (1, 1))

        # the order of names and what is a letter are others there, and i is no lower I
        locales = Path(scratch) / "locales"
        locales.mkdir()
        turkish = locales / "tr_TR.UTF-8"
        subprocess.run(["localedef", "-i", "tr_TR", "-f", "UTF-8", turkish], check=True)

        command = ["taskset", "-c", "0", "faketime", "2031-02-03 04:05:06", "ci/packages.sh", "out"]
        if os.geteuid() == 0:
            (Path(scratch) / "home").mkdir()
            subprocess.run(["chown", "-R", "65534:65534", scratch], check=True)
            # nobody, but the virtual environment may be root's own
            caps = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
            command = [
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                *caps,
                *command,
            ]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": f"{scratch}/home",
            "LC_ALL": "tr_TR.UTF-8",
            "LOCPATH": str(locales),
            "TZ": "Asia/Kathmandu",
            "COLUMNS": "37",
            "VENV": str((ROOT / os.environ.get("VENV", ".venv")).absolute()),
            "SOURCE_DATE_EPOCH": made_from["pdagent:source-date-epoch"],
            "COMMIT": made_from["pdagent:commit"],
            # who builds stands in the statement beside the package
            **{name: value for name, value in os.environ.items() if name.startswith("GITHUB_")},
        }
        ordered = subprocess.run(
            ["sort"], check=True, input=b"a\nB\n", stdout=subprocess.PIPE, env=environment
        )
        assert ordered.stdout == b"a\nB\n", "the locale is not in force"
        subprocess.run(command, check=True, cwd=tree, env=environment, umask=0o077)
        second = digests(tree / "out")
    assert digests(dist) == second


@pytest.fixture(params=["deb", "rpm"])
def integrations(dist: Path, request: pytest.FixtureRequest) -> Package:
    """The package pdagent-integrations, one family's and then the other's."""
    [path] = dist.glob(f"pdagent-integrations[_-]*.{request.param}")
    return Deb(path) if request.param == "deb" else Rpm(path)


def test_integrations(integrations: Package) -> None:
    """Each command on the path and at its old place, with completion and manual: names of the
    program that a pdagent of at least this version brings."""
    files = integrations.files
    for name in INTEGRATIONS:
        for path in (f"/usr/bin/{name}", f"/usr/share/pdagent-integrations/bin/{name}"):
            link = files[path].link
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
            assert target == "/usr/lib/pdagent/pdagent", path
            assert not link.startswith("/")
        assert files[f"/usr/share/bash-completion/completions/{name}"].link == "pd-send"
        assert f"/usr/share/fish/vendor_completions.d/{name}.fish" in files
        assert f"/usr/share/man/man1/{name}.1.gz" in files
    assert re.search(rf"\bpdagent \(?>= {re.escape(__version__)}", integrations.depends)
    commands = {path.name for path in map(Path, files) if path.name.startswith("pd-")}
    assert {re.sub(r"\.(1\.gz|fish)$", "", name) for name in commands} == INTEGRATIONS


def test_samples(integrations: Package) -> None:
    """Where the old package had them, for everyone to read and copy."""
    samples = "/usr/share/pdagent-integrations/conf/"
    found = {name.removeprefix(samples) for name in integrations.files if name.startswith(samples)}
    assert found == {path.name for path in (ROOT / "packaging/integrations").iterdir()}
    assert all(str(integrations.files[samples + name]) == "644 root root" for name in found)


@pytest.mark.parametrize("family", ["deb", "rpm"])
def test_selinux(dist: Path, family: str) -> None:
    """The policy, which the host's semodule compiles; the interfaces where the family's policies
    have theirs; a pdagent of this version at least."""
    [path] = dist.glob(f"pdagent-selinux[_-]*.{family}")
    package = Deb(path) if family == "deb" else Rpm(path)
    module = "/usr/share/selinux/packages/pdagent.cil"
    assert str(package.files[module]) == "644 root root"
    assert package.read(module) == (ROOT / "packaging/selinux/pdagent.cil").read_bytes()
    place = {"deb": "services", "rpm": "contrib"}[family]
    assert f"/usr/share/selinux/devel/include/{place}/pdagent.if" in package.files
    assert re.search(rf"\bpdagent \(?>= {re.escape(__version__)}", package.depends)
    assert "policycoreutils" in package.depends
