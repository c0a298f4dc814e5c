"""What the program asks of a host: its libc, of an age that is promised, and nothing else."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.sections import SymbolTableSection
from PyInstaller.archive.readers import CArchiveReader

from tests.support.frozen import ARM64_PROGRAM, PROGRAM, ROOT, needs_one_file

pytestmark = needs_one_file

# arm64 has the stack protector's guard in the dynamic linker
LIBC = {"libc", "libm", "libpthread", "librt", "ld-linux-aarch64"}
SOURCES = (Path.home(), ROOT, Path("/tmp"))


def unpack(package: Path, target: Path) -> None:
    """The files of a .deb or .rpm below `target`."""
    if package.suffix == ".deb":
        subprocess.run(["dpkg-deb", "-x", package, target], check=True)
        return
    with (target / "payload.tgz").open("wb") as archive, package.open("rb") as rpm:
        subprocess.run(["rpm2archive", "-"], stdin=rpm, stdout=archive, check=True)
    subprocess.run(["tar", "-xzf", "payload.tgz"], cwd=target, check=True)


@pytest.fixture(scope="module")
def elves(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every ELF file of the frozen programs, and of the packages where they are built."""
    places = [PROGRAM.parent, ARM64_PROGRAM.parent]
    for package in sorted((ROOT / "dist").glob("*.deb")) + sorted((ROOT / "dist").glob("*.rpm")):
        if package.suffix == ".deb" or shutil.which("rpm2archive"):
            places.append(tmp_path_factory.mktemp("package"))
            unpack(package, places[-1])
    files = [path for place in places for path in place.rglob("*")]
    found = [path for path in files if path.is_file() and not path.is_symlink()]
    return [path for path in found if path.read_bytes()[:4] == b"\x7fELF"]


def promised(elf: ELFFile) -> tuple[int, ...]:
    triple = {"EM_X86_64": "x86_64-linux-gnu", "EM_AARCH64": "aarch64-linux-gnu"}[elf["e_machine"]]
    text = (ROOT / "ci" / "runtime" / "env.sh").read_text()
    found = re.search(rf"triple={triple} floor=([0-9.]+)", text)
    assert found
    return tuple(int(part) for part in found[1].split("."))


def versions(elf: ELFFile) -> Iterator[str]:
    for section in elf.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for _, needed in section.iter_versions():
                yield from (version.name for version in needed)


def dynamic(elf: ELFFile) -> DynamicSection:
    [section] = [found for found in elf.iter_sections() if isinstance(found, DynamicSection)]
    return section


def test_there_is_one_for_each_architecture(elves: list[Path]) -> None:
    assert {PROGRAM, ARM64_PROGRAM} <= set(elves)


def test_no_symbol_above_the_floor(elves: list[Path]) -> None:
    """A libc as old as the one promised has every symbol that is asked for."""
    for path in elves:
        with path.open("rb") as file:
            elf = ELFFile(file)
            asked, floor = set(versions(elf)), promised(elf)
        assert asked, path
        for version in asked:
            name, _, number = version.partition("_")
            assert name == "GLIBC", (path, version)
            assert tuple(int(part) for part in number.split(".")) <= floor, (path, version)


def test_only_libc_is_needed_and_found_as_the_host_finds_it(elves: list[Path]) -> None:
    for path in elves:
        with path.open("rb") as file:
            tags = list(dynamic(ELFFile(file)).iter_tags())
            needed = [tag for tag in tags if tag.entry.d_tag == "DT_NEEDED"]
            names = [str(tag.needed) for tag in needed]  # type: ignore[attr-defined]
            kinds = {tag.entry.d_tag for tag in tags}
        assert {name.partition(".")[0] for name in names} <= LIBC, path
        assert not kinds & {"DT_RPATH", "DT_RUNPATH"}, path


def test_hardened(elves: list[Path]) -> None:
    """Nothing is both writable and executable, and what the loader filled in is read-only."""
    for path in elves:
        with path.open("rb") as file:
            elf = ELFFile(file)
            segments = {segment["p_type"]: segment["p_flags"] for segment in elf.iter_segments()}
            loads = [s["p_flags"] for s in elf.iter_segments() if s["p_type"] == "PT_LOAD"]
            flags = {tag.entry.d_tag: tag.entry.d_val for tag in dynamic(elf).iter_tags()}
        assert "PT_GNU_RELRO" in segments, path
        assert not segments["PT_GNU_STACK"] & 1, path
        assert not [load for load in loads if load & 1 and load & 2], path
        assert flags.get("DT_FLAGS", 0) & 8, f"{path}: not bound at start"
        assert "DT_TEXTREL" not in flags, path


def test_compiled_with_checks(elves: list[Path]) -> None:
    """Of the stack, and of the sizes of buffers wherever the compiler knows them. Both end in calls
    of libc; the two that an old one lacks are not asked of it. On arm64 the compiler brings the
    checks of the stack and of memcpy along."""
    for path in elves:
        with path.open("rb") as file:
            elf = ELFFile(file)
            symbols = elf.get_section_by_name(".dynsym")
            assert isinstance(symbols, SymbolTableSection)
            asked = {str(s.name) for s in symbols.iter_symbols() if s["st_shndx"] == "SHN_UNDEF"}
        assert {"__read_chk", "__vsnprintf_chk"} <= asked, path
        if elf["e_machine"] == "EM_X86_64":
            assert {"__stack_chk_fail", "__memcpy_chk"} <= asked, path
            assert not {"__poll_chk", "__fdelt_chk"} & asked, path


def test_nothing_to_extract() -> None:
    """All that the program brings is code that it runs from where it lies."""
    kinds = {entry[-1] for entry in CArchiveReader(str(PROGRAM)).toc.values()}
    assert kinds <= {"m", "M", "s", "z", "o"}


def test_no_trace_of_where_it_was_built(elves: list[Path]) -> None:
    for path in elves:
        data = path.read_bytes()
        for place in SOURCES:
            found = re.findall(re.escape(bytes(place)) + rb"/[\w./-]*", data)
            # what Python itself has for its documentation and its profilers
            strange = [name for name in found if not re.match(rb"/tmp/(perf|jit|myimport)", name)]
            assert not strange, path


def test_the_program_has_the_versions_that_tests_run_with() -> None:
    """requests and its like are pinned twice: here with hashes, for the program."""
    pinned = re.compile(r"^([\w-]+)==(\S+)", re.MULTILINE)
    tests = dict(pinned.findall((ROOT / "ci" / "requirements.txt").read_text()))
    for place in ("freeze", "runtime"):
        program = dict(pinned.findall((ROOT / "ci" / place / "requirements.txt").read_text()))
        program.pop("ziglang", None)
        assert program
        assert program.items() <= tests.items()
