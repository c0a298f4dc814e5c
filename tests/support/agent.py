"""An agent under one directory: real processes, real files, for tests, benchmarks and the demo."""

import compileall
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

from tests.support.users import AGENT, ROOT, SENDER, User

Command = Callable[[str], list[str]]
_LIBRARIES = ("requests", "urllib3", "idna", "certifi", "charset_normalizer")
_RUN_TIME = ("pdagent", *_LIBRARIES, "prometheus_client", "waitress")

# What is bound to happen may take that long on a machine that has other things to do. Nothing waits
# so long on a quiet one, unless a test fails.
PATIENCE_SECONDS = 60.0

# Run a command whose output goes to a pipe that nobody reads any more, or to a full disk.
_UNREAD = """
import os, sys
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 1)
os.execv(sys.argv[1], sys.argv[1:])
"""
UNREAD = (sys.executable, "-c", _UNREAD)
FULL = ("/bin/sh", "-c", 'exec "$@" >/dev/full', "sh")


@cache
def from_source() -> Command:
    """How to run a command from this checkout, by any user: a checkout, or a virtual environment,
    may lie where only its owner can go, so what runs is a copy."""
    # kept until the process ends: cache() above holds it
    copy = tempfile.TemporaryDirectory(prefix="pdagent-code-")
    from_source.copy = copy  # type: ignore[attr-defined]
    os.chmod(copy.name, 0o755)
    for name in _RUN_TIME:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        ignore = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(Path(found.origin).parent, Path(copy.name) / name, ignore=ignore)
    # as installed: else every pd-send would compile what it imports
    compileall.compile_dir(copy.name, quiet=1)
    python = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    start = f"import sys; sys.path.insert(0, {copy.name!r}); from pdagent.__main__ import main; "
    start += "sys.argv[0] = sys.argv.pop(1); sys.exit(main())"
    return lambda name: [python, "-I", "-B", "-c", start, name]


def beginning_with(code: str, only: str) -> Command:
    """As `from_source`, but the command `only` begins with this code, before anything else."""

    def command(name: str) -> list[str]:
        *python, start, called = from_source()(name)
        before, main, after = start.partition("from pdagent.__main__")
        before += f"exec({code!r}); " if name == only else ""
        return [*python, before + main + after, called]

    return command


def from_program(program: Path) -> Command:
    """How to run a command from a frozen program: by a link of that name beside it."""
    links = tempfile.TemporaryDirectory(prefix="pdagent-links-")  # kept by `command`
    os.chmod(links.name, 0o755)

    def command(name: str) -> list[str]:
        link = Path(links.name) / name
        with contextlib.suppress(FileExistsError):
            link.symlink_to(program.resolve())
        return [str(link)]

    return command


class Agent:
    """An agent with its configuration, spool, logs and daemon below `root`. `in_order`: its events
    of one integration key go one by one, unless a test says otherwise; so what arrives can be told
    in advance."""

    def __init__(
        self,
        root: Path,
        events_url: str,
        command: Command | None = None,
        **settings: object,
    ) -> None:
        self.root = root
        self.in_order = False
        self.command = command or from_source()
        self.data_dir = root / "lib"
        self.spool = self.data_dir / "outqueue"
        self.conf = root / "pdagent.conf"
        self.log_file = root / "log" / "pdagentd.log"
        self.output = root / "output"
        self.daemon: subprocess.Popen[bytes] | None = None
        self.said = ""  # what all commands wrote to stderr
        self.environment = {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"}
        root.chmod(0o755)
        for directory in ("lib", "log", "run"):
            self.own(root / directory)
        self.configure(events_url=events_url, **settings)
        self.create_spool()

    def own(self, directory: Path) -> None:
        """Makes a directory of the agent's."""
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)
        if ROOT:
            os.chown(directory, AGENT.uid, AGENT.gid)

    def create_spool(self) -> None:
        # as the package does: pd-send must work before the daemon has ever run
        modes = {"": 0o755, "tmp": 0o3733, "pdq": 0o3733, "suc": 0o2750, "err": 0o2750}
        modes |= {"jobs": 0o3733, "expect": 0o3733, "expected": 0o2750}
        for name, mode in modes.items():
            self.own(self.spool / name)
            (self.spool / name).chmod(mode)

    def configure(self, **settings: object) -> None:
        """Writes the configuration file anew, with these keys besides the directories."""
        lines = ["[Main]", f"data_dir = {self.data_dir}"]
        lines += [f"log_dir = {self.root}/log", f"run_dir = {self.root}/run"]
        lines += [f"{key} = {value}" for key, value in settings.items()]
        lines += ["max_per_key = 1"] if self.in_order and "max_per_key" not in settings else []
        self.conf.write_text("\n".join(lines) + "\n")
        self.conf.chmod(0o644)

    # --- the daemon -----------------------------------------------------------------------------

    def start(self, wait: bool = True, under: Sequence[str] = ()) -> None:
        """Runs `pdagentd -f`, perhaps `under` a command that runs others; with `wait`, until it is
        ready."""
        assert self.daemon is None
        size = self.output.stat().st_size if self.output.exists() else 0
        with self.output.open("ab") as output:
            self.daemon = subprocess.Popen(
                [*under, *self.command("pdagentd"), "-f"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**self.environment, "PDAGENT_CONF": str(self.conf)},
                cwd="/",
                **AGENT.popen(),
            )
        if wait:
            wait_until(lambda: b"Ready:" in self.output.read_bytes()[size:] or self._died())

    def _died(self) -> bool:
        assert self.daemon is not None
        assert self.daemon.poll() is None, self.output.read_text()
        return False

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        return self.end(signal.SIGTERM)

    def end(self, number: signal.Signals) -> int:
        assert self.daemon is not None
        self.daemon.send_signal(number)
        code = self.daemon.wait(timeout=PATIENCE_SECONDS)
        self.daemon = None
        return code

    # --- commands -------------------------------------------------------------------------------

    def run(
        self,
        name: str,
        *arguments: str | bytes,
        user: User | None = None,
        under: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        preexec: Callable[[], object] | None = None,
        input: bytes = b"",
        check: bool = False,
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs a command with this agent's configuration, perhaps `under` one that runs
        others, like strace. As root by default, if the tests are."""
        command: list[str | bytes] = [*under, *self.command(name), "--config", str(self.conf)]
        result = subprocess.run(
            [*command, *arguments],
            input=input,
            capture_output=True,
            env={**self.environment, **(environment or {})},
            cwd="/",
            preexec_fn=preexec,
            timeout=2 * PATIENCE_SECONDS,
            **(user.popen() if user else {}),
        )
        self.said += result.stderr.decode("utf-8", "replace")
        if check:
            assert result.returncode == 0, result
        return result

    def send(
        self, key: str, action: str, *arguments: str, user: User = SENDER
    ) -> subprocess.CompletedProcess[bytes]:
        """A plain `pd-send`, which must succeed."""
        return self.run("pd-send", "-k", key, "-t", action, *arguments, user=user, check=True)

    # --- what is there --------------------------------------------------------------------------

    def names(self, directory: str) -> list[str]:
        """The names in a directory of the spool ("pdq", "suc", "err", "tmp"), sorted."""
        return sorted(os.listdir(self.spool / directory))

    def drop(self, name: str, data: bytes, user: User = SENDER) -> Path:
        """Puts a file into pdq/ as a script of `user` would."""
        path = self.spool / "pdq" / name
        path.write_bytes(data)
        path.chmod(0o644)
        if ROOT:
            os.chown(path, user.uid, AGENT.gid)
        return path

    @property
    def log(self) -> str:
        try:
            return self.log_file.read_text()
        except FileNotFoundError:  # not yet, or it is being rotated
            return ""

    @property
    def logged(self) -> str:
        """All that the daemon's logs say, older ones first."""
        older = sorted(self.log_file.parent.glob(f"{self.log_file.name}.*"), reverse=True)
        return "".join(path.read_text() for path in older) + self.log

    def shown_keys(self, keys: set[str | None]) -> list[str]:
        """Those of these integration keys, and of the spool's, that a log or an error shows."""
        if self.spool.is_dir():
            names = [name for found in self.spool.glob("*/*") if "_" in (name := found.name)]
            keys = keys | {name.partition("_")[2].removesuffix(".txt") for name in names}
        text = self.said
        for file in [self.output, *(self.root / "log").glob("*")]:
            # a running daemon may rotate its log, or write a file anew, at any moment
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                text += file.read_text(errors="replace")
        # a word is no secret, and would be found anywhere
        return sorted(key for key in keys if key and len(key) >= 16 and key in text)

    def __enter__(self) -> "Agent":
        return self

    def __exit__(self, *_: object) -> None:
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """A new directory that every user can reach, unlike pytest's, and on a disk: many hosts have
    /tmp in memory, which is no place for a queue."""
    with tempfile.TemporaryDirectory(prefix="pdagent-", dir="/var/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def in_time(seconds: float, act: Callable[[int], None]) -> int:
    """Does `act(0)`, `act(1)`... until one took less than that. On a machine that has other things
    to do some may take longer, and come to something else. Returns the number of the one."""
    for number in range(10):
        began = time.monotonic()
        act(number)
        if time.monotonic() - began < seconds:
            return number
    raise AssertionError(f"nothing was done within {seconds} s, at ten attempts")


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for what is bound to happen; fails loudly if it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.01)
