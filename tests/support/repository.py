"""Package repositories for tests: keys, stand-ins, a web server, private roots for apt and dnf."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
EPOCH = 1_700_000_000  # older than the keys that tests make: the build then takes the key's date

Result = subprocess.CompletedProcess[str]


def run(*command: str | Path, check: bool = True, **environment: str | Path) -> Result:
    """A program with a known environment; its output, both kinds as one, in stdout."""
    env = {"PATH": TOOLS, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
    env |= {name: str(value) for name, value in environment.items()}
    result = subprocess.run(
        command, env=env, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert not check or result.returncode == 0, result.stdout
    return result


@dataclass(frozen=True)
class Keys:
    """A GnuPG home."""

    home: Path

    def gpg(self, *arguments: str | Path, check: bool = True) -> str:
        return run("gpg", "--batch", "--quiet", *arguments, check=check, GNUPGHOME=self.home).stdout

    def make(self, name: str, expires: str = "never", algorithm: str = "rsa3072/sign") -> str:
        """A new key; its fingerprint."""
        kind, _, usage = algorithm.partition("/")
        self.gpg("--passphrase", "", "--quick-generate-key", name, kind, usage, expires)
        return self.fingerprint(name)

    def fingerprint(self, name: str) -> str:
        listing = self.gpg("--with-colons", "--list-keys", f"={name}")
        return next(line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr"))

    def export(self, target: Path, *keys: str) -> Path:
        self.gpg("--yes", "--armor", "--output", target, "--export", *keys)
        return target


@contextmanager
def keys(home: Path) -> Iterator[Keys]:
    home.mkdir(mode=0o700)
    try:
        yield Keys(home)
    finally:
        run("gpgconf", "--kill", "all", GNUPGHOME=home)


def stand_ins(directory: Path) -> Path:
    """Packages with the agent's names and next to nothing inside: a repository does not care."""
    directory.mkdir()
    recipe = directory / "nfpm.yaml"
    for name, architecture in (
        ("pdagent", "amd64"),
        ("pdagent", "arm64"),
        ("pdagent-integrations", "all"),
    ):
        recipe.write_text(
            f"{{name: {name}, arch: {architecture}, platform: linux, version: 3.0.0,"
            f" maintainer: x <x@example.com>, description: stand-in, mtime: '2026-11-01T00:00:00Z',"
            f" contents: [{{src: LICENSE, dst: /usr/share/{name}/LICENSE}}]}}"
        )
        for kind in "deb", "rpm":
            run("nfpm", "package", "-f", recipe, "-p", kind, "-t", f"{directory}/")
    return directory


def build(packages: Path, repo: Path, url: str, signer: Keys, key: str) -> str:
    """Runs what `make repos` runs; what it said."""
    return run(
        "ci/repos.sh",
        packages,
        repo,
        REPO_URL=f"{url}/pdagent",
        GNUPGHOME=signer.home,
        GPG_KEY_ID=key,
        SOURCE_DATE_EPOCH=str(EPOCH),
    ).stdout


@dataclass(frozen=True)
class Site:
    """A directory on a loopback web server."""

    directory: Path
    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def site(directory: Path) -> Iterator[Site]:
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Site(directory, f"http://127.0.0.1:{server.server_port}", asked)
        server.shutdown()


@dataclass(frozen=True)
class Repo:
    """A built repository, published on loopback."""

    packages: Path
    signer: Keys
    key: str
    site: Site

    @property
    def top(self) -> Path:
        return self.site.directory

    @property
    def public(self) -> Path:
        return self.top / "GPG-KEY-pagerduty.gpg"


class Apt:
    """apt with a root of its own, which knows no source and trusts no key until told."""

    def __init__(self, root: Path, architecture: str = "amd64") -> None:
        self.root = root
        for name in "apt.conf.d", "preferences.d", "sources.list.d", "trusted.gpg.d":
            (root / "etc/apt" / name).mkdir(parents=True)
        for name in "lib/apt/lists/partial", "cache/apt/archives/partial", "lib/dpkg":
            (root / "var" / name).mkdir(parents=True)
        (root / "usr/share/keyrings").mkdir(parents=True)
        (root / "var/lib/dpkg/status").touch()
        (root / "apt.conf").write_text(
            f'Dir "{root}/"; Dir::State::status "{root}/var/lib/dpkg/status";'
            f'APT::Architecture "{architecture}"; APT::Architectures {{ "{architecture}"; }};'
            'APT::Sandbox::User "";'
            'Acquire::http::Proxy "DIRECT"; Acquire::Retries "0"; Acquire::Languages "none";'
        )

    def trust(self, key: Path) -> Path:
        """Puts the key where the ready-made sources expect it."""
        keyring = self.root / "usr/share/keyrings/pdagent-archive-keyring.gpg"
        shutil.copy(key, keyring)
        return keyring

    def add(self, source: Path) -> None:
        """Installs a ready-made source, made to look for its key in this root."""
        text = source.read_text().replace("/usr/share/keyrings", f"{self.root}/usr/share/keyrings")
        (self.root / "etc/apt/sources.list.d" / source.name).write_text(text)

    def add_line(self, line: str) -> None:
        (self.root / "etc/apt/sources.list.d/line.list").write_text(line + "\n")

    def get(self, *arguments: str) -> Result:
        return run(
            "env",
            "-C",
            self.root,
            "apt-get",
            *arguments,
            check=False,
            APT_CONFIG=self.root / "apt.conf",
        )


class Dnf:
    """dnf with an installation root of its own and one repository file."""

    def __init__(self, root: Path, source: Path) -> None:
        self.root = root
        (root / "repos").mkdir(parents=True)
        shutil.copy(source, root / "repos")
        (root / "rpm").mkdir()
        (root / "dnf.conf").write_text(
            f"[main]\nreposdir={root}/repos\ncachedir={root}/cache\nlogdir={root}/log\n"
            f"persistdir={root}/persist\nskip_if_unavailable=False\nplugins=0\nproxy=\n"
        )

    def run(self, *arguments: str) -> Result:
        result = run(
            "dnf",
            f"--config={self.root}/dnf.conf",
            f"--installroot={self.root}/host",
            "--releasever=9",
            "--forcearch=x86_64",
            "--assumeyes",
            *arguments,
            check=False,
            HOME=self.root,
        )
        for home in self.root.rglob("pubring"):  # dnf leaves a gpg-agent behind
            run("gpgconf", "--kill", "all", GNUPGHOME=home)
        return result


def signatures(directory: Path, *packages: Path) -> str:
    """What rpm says of the packages, with the keys in this database."""
    return run("rpmkeys", "--dbpath", directory, "--checksig", *packages, check=False).stdout
