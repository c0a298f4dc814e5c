"""Packages as their own family's tools see them."""

import subprocess
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[2]
CONFIG, NOREPLACE, GHOST = 1, 16, 64  # rpm's flags


@dataclass(frozen=True)
class File:
    mode: int
    owner: str
    group: str
    link: str = ""
    config: bool = False
    ghost: bool = False

    def __str__(self) -> str:
        return f"{self.mode:o} {self.owner} {self.group}"


class Package(Protocol):
    path: Path
    files: dict[str, File]
    depends: str
    against: str
    installed_bytes: int

    def read(self, path: str) -> bytes: ...


def output(*command: str | Path) -> bytes:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def archive(deb: Path, part: str) -> tarfile.TarFile:
    return tarfile.TarFile(fileobj=BytesIO(output("dpkg-deb", part, deb)))


def content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


class Deb:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = archive(path, "--fsys-tarfile")
        control = archive(path, "--ctrl-tarfile")
        conffiles = []
        if "./conffiles" in control.getnames():
            conffiles = content(control, "./conffiles").decode().split()
        self.files = {}
        self.installed_bytes = 0
        for member in self._files:
            name = "/" + member.name.removeprefix("./").rstrip("/")
            self.installed_bytes += member.size
            self.files[name] = File(
                member.mode & 0o7777,
                member.uname or "root",
                member.gname or "root",
                member.linkname,
                name in conffiles,
            )
        self.depends = self.field("Pre-Depends") + ", " + self.field("Depends")
        self.against = self.field("Breaks")

    def field(self, name: str) -> str:
        return output("dpkg-deb", "--field", self.path, name).decode().strip()

    def read(self, path: str) -> bytes:
        return content(self._files, "." + path)


class Rpm:
    def __init__(self, path: Path) -> None:
        self.path = path
        tags = (
            "FILENAMES",
            "FILEMODES",
            "FILEUSERNAME",
            "FILEGROUPNAME",
            "FILEFLAGS",
            "FILELINKTOS",
        )
        line = "\t".join(f"%{{{tag}}}" for tag in tags)
        self.files = {}
        for row in self.query(f"[{line}\n]").splitlines():
            name, mode, owner, group, flags, link = row.split("\t")
            kept = int(flags) & (CONFIG | NOREPLACE) == CONFIG | NOREPLACE
            ghost = bool(int(flags) & GHOST)
            self.files[name] = File(int(mode) & 0o7777, owner, group, link, kept, ghost)
        self.depends = self.query("[%{REQUIRENAME} %{REQUIREFLAGS:depflags} %{REQUIREVERSION}, ]")
        self.against = self.query("[%{CONFLICTNAME} %{CONFLICTFLAGS:depflags} %{CONFLICTVERSION}]")
        self.installed_bytes = int(self.query("%{SIZE}"))

    def query(self, what: str) -> str:
        return output("rpm", "--query", "--package", "--queryformat", what, self.path).decode()

    def read(self, path: str) -> bytes:
        archive = subprocess.run(["rpm2cpio", self.path], check=True, stdout=subprocess.PIPE).stdout
        command = ["cpio", "--quiet", "--extract", "--to-stdout", "." + path]
        return subprocess.run(command, check=True, input=archive, stdout=subprocess.PIPE).stdout
