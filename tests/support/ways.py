"""The two ways through a command, the quick one and argparse's, and what each comes to."""

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

NOT_PLAIN = 200  # no exit code of ours: `quick.main` has returned
Outcome = tuple[int, bytes, bytes, list[str]]


def in_a_child(task: Callable[[], int], stdin: bytes) -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of a task in a process of its own."""
    file = tempfile.TemporaryFile
    with file() as given, file() as out, file() as err:
        given.write(stdin)
        given.seek(0)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            code = 255
            try:
                os.dup2(given.fileno(), 0)
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                sys.stdout = os.fdopen(1, "w", closefd=False)
                sys.stderr = os.fdopen(2, "w", closefd=False, errors="backslashreplace")
                code = task()
            except SystemExit as leaving:
                code = leaving.code if isinstance(leaving.code, int) else 1
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        out.seek(0)
        err.seek(0)
        return os.waitstatus_to_exitcode(status), out.read(), err.read()


def outcome(
    task: Callable[[list[str]], int], arguments: list[str], conf: str = "", stdin: bytes = b""
) -> Outcome:
    """What a way through a command prints, returns and queues, but for time and chance."""
    with tempfile.TemporaryDirectory(prefix="pdagent-") as name:
        root = Path(name)
        for directory in ("tmp", "pdq"):
            (root / "outqueue" / directory).mkdir(parents=True)
        (root / "conf").write_text(f"[Main]\n{conf}\ndata_dir = {root}\n")
        # first, so that an option that lacks its value still lacks it
        code, out, err = in_a_child(lambda: task(["--config", f"{root}/conf", *arguments]), stdin)
        queued = [plain(path) for path in sorted((root / "outqueue" / "pdq").iterdir())]
        assert not list((root / "outqueue" / "tmp").iterdir())
        return code, timeless(out), err, queued


def plain(path: Path) -> str:
    key = path.name.partition("_")[2]
    body = json.loads(path.read_bytes())
    return key + timeless(json.dumps(body, sort_keys=True).encode()).decode()


def timeless(text: bytes) -> bytes:
    """Without times and generated dedup keys. A dry run prints both."""
    text = re.sub(rb'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"', b'"TIME"', text)
    return re.sub(rb"\b[0-9a-f]{32}\b", b"GENERATED", text)
