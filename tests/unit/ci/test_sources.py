"""Which of Debian's sources the runtime is built from: ci/runtime/fetch.sh on a mirror that is
made up."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.documents import REPOSITORY

STABLE, SECURITY, FORKY, SID = "trixie", "trixie-security", "forky", "sid"
KEPT = {"zlib": "1:1.3.dfsg+really1.3.1-1", "python3.13": "3.13.5-2+deb13u5"}
LOCKED = "3.5.7-1~deb13u2"

# apt's own tools, as fetch.sh calls them: what the mirror lists, and files for some of that.
APT_GET = """#!/bin/sh
case "$*" in
    indextargets*) printf 'http://mirror/debian/\\nhttp://mirror/debian-security/\\n' ;;
    download*)
        grep -qx "$2" "$MIRROR/made" 2>/dev/null || { echo "404 Not Found: $2" >&2; exit 100; }
        name=${2%%=*}
        mkdir -p "root/DEBIAN" "root/usr/share/doc/$name"
        printf '%s\\n' "Package: $name" 'Version: 1' 'Architecture: all' 'Maintainer: a' \\
            'Description: a' >root/DEBIAN/control
        echo "changelog of $2" | gzip >"root/usr/share/doc/$name/changelog.Debian.gz"
        dpkg-deb --build root "${name}_1_all.deb" >/dev/null ;;
    *update*) exit "${NO_MIRROR:-0}" ;;
    *source*)
        for wanted; do :; done
        grep -qx "$wanted" "$MIRROR/files" || { echo "404 Not Found: $wanted" >&2; exit 100; }
        name=${wanted%%=*}_$(echo "${wanted#*=}" | sed 's/^[0-9]*://')
        echo "source of $wanted" >"$name.tar.xz"
        printf 'Checksums-Sha256:\\n %064d 1 %s\\nFiles:\\n' 0 "$name.tar.xz" >"$name.dsc" ;;
esac
"""
# The pool, by URL.
APT_HELPER = """#!/bin/sh
name=${3##*/}
[ -e "$MIRROR/pool/$name" ] && cp "$MIRROR/pool/$name" "$4"
"""
APT_CACHE = '#!/bin/sh\ngrep "^ *$2 |" "$MIRROR/lists"\n'


@dataclass
class Mirror:
    root: Path
    lists: list[tuple[str, str, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def has(self, package: str, version: str, *suites: str, files: bool = True) -> None:
        self.lists += [(package, version, suite) for suite in suites]
        if files:
            self.files.append(f"{package}={version}")

    def fetch(
        self, lock: str, *script: str | Path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        (self.root / "lists").write_text(
            "".join(
                f"   {package} | {version} | http://mirror/debian {suite}/main Sources\n"
                for package, version, suite in self.lists
            )
        )
        (self.root / "files").write_text("".join(f"{file}\n" for file in self.files))
        (self.root / "runtime" / "lock").write_text(lock)
        return subprocess.run(
            ["sh", *(script or ["fetch.sh"])],
            cwd=self.root / "runtime",
            env={
                "PATH": f"{self.root}/bin:{os.environ['PATH']}",
                "HOME": str(self.root),
                "RUNTIME_WORK": str(self.root / "work"),
                "MIRROR": str(self.root),
                **environment,
            },
            capture_output=True,
            text=True,
        )

    def lock(self) -> str:
        return (self.root / "work" / "lock").read_text()

    def taken(self, package: str) -> str:
        rows = (line.split() for line in self.lock().splitlines() if not line.startswith("#"))
        (version,) = {row[1] for row in rows if row[0] == package}
        return version


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """A mirror with all that the lock names, and a fetch.sh that asks it."""
    if not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
        pytest.skip("debian-archive-keyring is not installed")
    runtime = tmp_path / "runtime"
    shutil.copytree(REPOSITORY / "ci" / "runtime", runtime)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("apt-get", APT_GET), ("apt-cache", APT_CACHE), ("apt-helper", APT_HELPER)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    made = Mirror(tmp_path)
    for package, version in KEPT.items():
        made.has(package, version, STABLE)
    made.has("openssl", LOCKED, STABLE)
    return made


def lock(openssl: str = LOCKED) -> str:
    rows = {**KEPT, "openssl": openssl}
    return "".join(f"{name} {version} {'0' * 64} {name}.dsc\n" for name, version in rows.items())


def test_nothing_newer(mirror: Mirror) -> None:
    assert mirror.fetch(lock()).returncode == 0
    assert mirror.taken("openssl") == LOCKED
    assert mirror.taken("zlib") == KEPT["zlib"]


def test_a_fix_is_taken(mirror: Mirror) -> None:
    """Also when the suite of the fixes has it alone."""
    mirror.has("openssl", "3.5.7-1~deb13u3", SECURITY)
    mirror.fetch(lock())
    assert mirror.taken("openssl") == "3.5.7-1~deb13u3"
    assert "# openssl" not in mirror.lock()


def test_the_lock_says_what_could_not_be_had(mirror: Mirror) -> None:
    """Newest first, down to one that the mirror has."""
    mirror.has("openssl", "3.5.9-1~deb13u1", STABLE, files=False)
    mirror.has("openssl", "3.5.7-1~deb13u3", SECURITY, files=False)
    done = mirror.fetch(lock())
    assert mirror.taken("openssl") == LOCKED
    left = [line for line in mirror.lock().splitlines() if line.startswith("# openssl")]
    assert left == [
        "# openssl 3.5.9-1~deb13u1 trixie: the mirror does not have it",
        "# openssl 3.5.7-1~deb13u3 trixie-security: the mirror does not have it",
    ]
    assert done.stderr.count("does not have its files yet") == 2


def test_another_suite_serves_for_what_the_mirror_lacks(mirror: Mirror) -> None:
    """If it has the same release of upstream's."""
    mirror.has("openssl", "3.5.9-1~deb13u1", STABLE, files=False)
    mirror.has("openssl", "3.5.9-1", FORKY)
    mirror.fetch(lock())
    assert mirror.taken("openssl") == "3.5.9-1"
    assert "# openssl 3.5.9-1~deb13u1 trixie: the mirror does not have it" in mirror.lock()


@pytest.mark.parametrize(
    ("package", "lacking", "other"),
    [
        # another series of upstream's
        ("openssl", "3.5.9-1~deb13u1", "3.6.3-1"),
        # older than the one that is lacking
        ("openssl", "3.5.9-1~deb13u1", "3.5.8-1"),
        # Debian's number is higher, and the fix is not in it: upstream is what we have
        ("openssl", "3.5.7-1~deb13u3", "3.5.7-2"),
        ("zlib", "1:1.3.dfsg+really1.3.1-1+deb13u1", "1:1.3.dfsg+really1.3.1-3"),
        # it would bring a hole that we do not have
        ("zlib", "1:1.3.dfsg+really1.3.1-1+deb13u1", "1:1.3.dfsg+really1.3.2-3"),
    ],
)
def test_what_may_lack_the_fix_is_not_taken(
    mirror: Mirror, package: str, lacking: str, other: str
) -> None:
    mirror.has(package, lacking, SECURITY, files=False)
    mirror.has(package, other, FORKY, SID)
    assert mirror.fetch(lock()).returncode == 0
    assert mirror.taken(package) == {**KEPT, "openssl": LOCKED}[package]


def test_the_stable_release_comes_first(mirror: Mirror) -> None:
    """Its patches are made for what it has: a newer release elsewhere is no reason to leave it."""
    mirror.has("python3.13", "3.13.18-1", SID)
    mirror.fetch(lock())
    assert mirror.taken("python3.13") == KEPT["python3.13"]


def test_never_back(mirror: Mirror) -> None:
    """A mirror that has only older ones than the lock's is no place to build from."""
    done = mirror.fetch(lock("3.5.9-1~deb13u1"))
    assert done.returncode != 0
    assert "the lock has 3.5.9-1~deb13u1, the mirror only 3.5.7-1~deb13u2" in done.stderr


def test_what_left_the_lists_is_known_by_its_hash(mirror: Mirror) -> None:
    """The lists have its successor alone, whose files are not there; its own still are."""
    mirror.lists = [row for row in mirror.lists if row[0] != "openssl"]
    mirror.has("openssl", "3.5.9-1~deb13u1", STABLE, files=False)
    pool = mirror.root / "pool"
    pool.mkdir()
    name = "openssl_3.5.7-1~deb13u2.dsc"
    (pool / name).write_text("Checksums-Sha256:\nFiles:\n")
    digest = sha256((pool / name).read_bytes()).hexdigest()
    row = f"openssl {LOCKED} {digest} {name}\n"
    rest = "".join(line for line in lock().splitlines(True) if not line.startswith("openssl"))
    done = mirror.fetch(rest + row)
    assert done.returncode == 0, done.stderr
    assert mirror.taken("openssl") == LOCKED


def test_without_a_mirror_the_lock_stands(mirror: Mirror) -> None:
    """If all of its files are there from before."""
    assert "no earlier download" in mirror.fetch(lock(), NO_MIRROR="1").stderr


def test_what_is_newer(mirror: Mirror, tmp_path: Path) -> None:
    """What the stable release lists that is newer than the lock's, and whether it can be had; the
    newest of the same series in later suites."""
    mirror.has("openssl", "3.5.9-1~deb13u1", STABLE, files=False)
    mirror.has("openssl", "3.5.7-1~deb13u3", SECURITY)
    mirror.has("openssl", "3.6.5-1", FORKY, SID)
    mirror.has("python3.13", "3.13.15-1", FORKY)
    mirror.has("python3.13", "3.13.18-1", SID)
    found = tmp_path / "changelogs"
    assert mirror.fetch(lock(), "newer.sh", found).stdout.splitlines() == [
        "openssl 3.5.9-1~deb13u1 trixie missing",
        "openssl 3.5.7-1~deb13u3 trixie-security here",
        "python3.13 3.13.18-1 sid later",
    ]
    assert [path.name for path in found.iterdir()] == []


def test_the_changelog_of_what_is_newer(mirror: Mirror, tmp_path: Path) -> None:
    """Out of what Debian made of the source, which a mirror may have without the source."""
    mirror.has("openssl", "3.5.9-1~deb13u1", STABLE, files=False)
    mirror.has("openssl", "3.5.7-1~deb13u3", SECURITY, files=False)
    (tmp_path / "made").write_text("libssl3t64=3.5.9-1~deb13u1\n")
    found = tmp_path / "changelogs"
    done = mirror.fetch(lock(), "newer.sh", found)
    assert len(done.stdout.splitlines()) == 2
    texts = {path.name: path.read_text() for path in found.iterdir()}
    assert texts == {"openssl_3.5.9-1~deb13u1": "changelog of libssl3t64=3.5.9-1~deb13u1\n"}
    assert "openssl 3.5.7-1~deb13u3: its changelog cannot be had" in done.stderr


def test_nobody_knows_without_a_mirror(mirror: Mirror, tmp_path: Path) -> None:
    """That is no leave to release."""
    done = mirror.fetch(lock(), "newer.sh", tmp_path / "changelogs", NO_MIRROR="1")
    assert done.returncode != 0
    assert "nobody knows what is newer" in done.stderr


def test_a_release_asks_first() -> None:
    """`make release` makes nothing before it has asked what is newer."""
    command = ["make", "--dry-run", "--always-make", "release", "VENV=/nonexistent"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    steps = [line.strip() for line in done.stdout.splitlines()]
    gate = steps.index("python3 ci/release/vulnerabilities.py gate <build/newer")
    assert gate < min(steps.index(step) for step in steps if "ci/packages.sh" in step)
