"""Busy loops end with the command that they run beside, however it ends."""

import os
import select
import signal
import subprocess

import pytest

from tests.support.documents import REPOSITORY

BUSY = REPOSITORY / "ci/busy.sh"


def test_the_exit_code_is_the_commands() -> None:
    assert subprocess.run([BUSY, "sh", "-c", "exit 7"], check=False).returncode == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_loop_outlives_the_script(number: int) -> None:
    """Each loop has the script's standard output, and a pipe ends when nobody has it any more."""
    command = [str(BUSY), "sh", "-c", "echo begun; exec sleep 600 >/dev/null"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as script:
        try:
            assert script.stdout is not None
            assert script.stdout.readline() == b"begun\n"
            script.send_signal(number)
            script.wait(60)
            assert select.select([script.stdout], [], [], 60)[0]
            assert script.stdout.read() == b""
        finally:
            os.killpg(script.pid, signal.SIGKILL)  # the command goes on by itself
