"""`pd-send run`: a command runs as if nobody watched, and its failure pages."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support import syslog
from tests.support.agent import Agent, wait_until
from tests.support.events import KEY
from tests.support.terminals import Terminal
from tests.support.users import ROOT, SENDER, STRANGER, User

Done = subprocess.CompletedProcess[bytes]


def run(agent: Agent, *words: str, user: User = SENDER, under: Sequence[str] = ()) -> Done:
    return agent.run("pd-send", "run", "-k", KEY, *words, user=user, under=under)


def begun(agent: Agent, *words: str, **how: object) -> "subprocess.Popen[bytes]":
    """A run that goes on."""
    command = [*agent.command("pd-send"), "--config", str(agent.conf), "run", "-k", KEY, *words]
    return subprocess.Popen(
        command,
        cwd=agent.root,
        env=agent.environment,
        stdin=subprocess.DEVNULL,
        **{**SENDER.popen(), **how},
    )


def events(agent: Agent) -> list[dict[str, object]]:
    """The bodies that are pending, in order."""
    return [json.loads((agent.spool / "pdq" / name).read_bytes()) for name in agent.names("pdq")]


def actions(agent: Agent) -> list[object]:
    return [event["event_action"] for event in events(agent)]


def page(agent: Agent) -> tuple[str, dict[str, object]]:
    """The summary and the details of the one event."""
    [event] = events(agent)
    payload = event["payload"]
    assert isinstance(payload, dict)
    return payload["summary"], payload["custom_details"]


def files(agent: Agent) -> list[str]:
    return os.listdir(agent.spool / "jobs")


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (["sh", "-c", "exit 3"], 3, r"exit 3 after [0-9.]+ s"),
        (["sh", "-c", "kill -9 $$"], 137, r"killed by SIGKILL after [0-9.]+ s"),
        (["no-such-command"], 127, r"not found \(exit 127\)"),
        (["/etc/passwd"], 126, r"cannot be run: Permission denied \(exit 126\)"),
        (["/"], 126, r"cannot be run: Permission denied \(exit 126\)"),
        ([""], 127, r"not found \(exit 127\)"),
    ],
)
def test_a_failure_pages(agent: Agent, command: list[str], code: int, says: str) -> None:
    """And the exit code is the command's, or what env and nice exit with."""
    done = run(agent, "--", *command)
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")
    summary, details = page(agent)
    name = os.path.basename(command[0]) or command[0] or "''"
    assert re.fullmatch(rf"{name} failed on {os.uname().nodename}: {says}", summary)
    assert details.get("exit", details.get("signal")) == ("SIGKILL" if code == 137 else code)
    assert details["user"]


def test_success_costs_nothing(agent: Agent) -> None:
    """No event, no file, no word; streams are the command's."""
    done = agent.run("pd-send", "run", "-k", KEY, "--", "cat", input=b"through", user=SENDER)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"through", b"")
    assert (events(agent), files(agent)) == ([], [])


def test_success_resolves_what_a_failure_opened(agent: Agent, tmp_path: Path) -> None:
    """Once, under the same dedup key; another job's success does not."""
    flag = agent.root / "flag"
    job = ["--", "test", "!", "-e", str(flag)]
    flag.touch()
    assert run(agent, *job).returncode == 1
    assert run(agent, "--", "test", "-e", "/").returncode == 0
    assert actions(agent) == ["trigger"]
    flag.unlink()
    assert [run(agent, *job).returncode for _ in range(2)] == [0, 0]
    assert actions(agent) == ["trigger", "resolve"]
    first, second = events(agent)
    assert first["dedup_key"] == second["dedup_key"]
    assert files(agent) == []


def test_what_was_said_of_the_event_is_in_it(agent: Agent) -> None:
    """The options of pd-send that describe an event."""
    run(
        agent,
        *("-i", "backup", "-d", "No backup", "--severity", "warning", "--source", "db1"),
        *("-f", "runbook=R1", "--component", "disk", "--link", "http://x/1 Runbook", "--", "false"),
    )
    [event] = events(agent)
    payload = event["payload"]
    assert isinstance(payload, dict)
    assert (event["dedup_key"], event["links"]) == (
        "backup",
        [{"href": "http://x/1", "text": "Runbook"}],
    )
    assert (payload["summary"], payload["severity"], payload["source"]) == (
        "No backup",
        "warning",
        "db1",
    )
    assert payload["custom_details"]["runbook"] == "R1"
    assert payload["custom_details"]["command"] == "false"


def test_the_nth_failure_in_a_row_pages(agent: Agent) -> None:
    """And those after it. A success between them begins anew, and resolves only what was opened."""
    flag = agent.root / "flag"
    job = ["--failures", "3", "--", "test", "-e", str(flag)]
    for _ in range(2):
        run(agent, *job)
    flag.touch()
    run(agent, *job)
    flag.unlink()
    assert (events(agent), files(agent)) == ([], [])
    for _ in range(4):
        run(agent, *job)
    assert actions(agent) == ["trigger", "trigger"]
    flag.touch()
    run(agent, *job)
    assert actions(agent) == ["trigger", "trigger", "resolve"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "the command stands behind --"),
        (["--"], "the command stands behind --"),
        (["true"], "the command stands behind --"),
        (
            ["--timeout", "soon", "--", "true"],
            "'soon' is no time: it must be a number",
        ),
        (["--timeout", "0", "--", "true"], "'0' is no time: it must be more than 0"),
        (["--failures", "0", "--", "true"], "must be a whole number from 1"),
        (["--output-lines", "-1", "--", "true"], "must be a whole number from 0"),
        (["--severity", "bad", "--", "true"], "invalid choice: 'bad'"),
        (["--outputlines", "3", "--", "true"], "unrecognized"),
    ],
)
def test_a_wrong_command_line_runs_nothing(agent: Agent, words: list[str], says: str) -> None:
    """One line, and exit 2."""
    done = run(agent, *words)
    [line, usage] = done.stderr.decode().splitlines()
    assert done.returncode == 2
    assert says in line
    assert usage.startswith("usage: pd-send run [options] -- COMMAND [ARGUMENT]...")
    assert (events(agent), files(agent)) == ([], [])


@pytest.mark.parametrize("word", ["run", "expect", "unit", "change"])
def test_a_word_that_does_not_stand_first(agent: Agent, word: str) -> None:
    """As people type it who know git."""
    done = agent.run("pd-send", "-k", KEY, word, "--", "true")
    assert (done.returncode, done.stdout) == (2, b"")
    assert (
        f"If the word {word} is meant, it stands first: pd-send {word} -h".encode() in done.stderr
    )


def test_a_key_that_nobody_has(agent: Agent) -> None:
    """The command runs all the same, and the page waits for the key."""
    for option, name in ((["-k", "@nobody"], "@nobody"), ([], "@default")):
        done = agent.run("pd-send", "run", *option, "--", "sh", "-c", "echo ran; exit 4")
        assert (done.returncode, done.stdout) == (4, b"ran\n")
        [line] = done.stderr.decode().splitlines()
        assert "A page waits in the queue until" in line
        assert events(agent)[-1]["routing_key"] == name


# --- streams ------------------------------------------------------------------------------------


def test_a_hundred_megabytes(agent: Agent) -> None:
    """Come through whole and in order; the page has the last lines."""
    script = "yes 0123456789 | head -c 104857600; echo the end; exit 1"
    process = begun(agent, "--output-lines", "2", "--", "sh", "-c", script, stdout=subprocess.PIPE)
    assert process.stdout is not None
    found = hashlib.sha256()
    size = 0
    while piece := process.stdout.read(1 << 20):
        found.update(piece)
        size += len(piece)
    expected = (b"0123456789\n" * (104857600 // 11 + 1))[:104857600] + b"the end\n"
    assert process.wait() == 1
    assert (size, found.digest()) == (len(expected), hashlib.sha256(expected).digest())
    assert page(agent)[1]["output"] == "0123456789\n0the end"


def test_a_slow_reader_slows_the_command_down(agent: Agent) -> None:
    """Nothing is kept for it in memory; who stops reading ends the command as ever."""
    script = "trap 'touch piped; exit 9' PIPE; while echo xxxxxxxxxxxxxxxx; do :; done; touch piped"
    agent.root.chmod(0o777)
    process = begun(agent, "--", "sh", "-c", script, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    wait_until(lambda: command_of(process.pid) == "sh" and is_blocked(child_of(process.pid)))
    assert resident(process.pid) < 60_000_000
    process.stdout.close()
    wait_until(lambda: (agent.root / "piped").exists())
    process.stderr.close()
    process.wait(timeout=60)


def is_blocked(pid: int) -> bool:
    """Whether a process waits for a pipe to be read."""
    return "pipe" in Path(f"/proc/{pid}/wchan").read_text() and state(pid) == "S"


def child_of(pid: int) -> int:
    [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def state(pid: int) -> str:
    """As ps has it: R, S, T..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def test_streams_stay_apart_and_in_order(agent: Agent) -> None:
    """Where both go to one place, lines keep their order; else each goes to its own."""
    script = "for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done; exit 1"
    done = run(agent, "--", "sh", "-c", script)
    assert done.stdout == b"".join(b"out %d\n" % i for i in range(1, 6))
    assert done.stderr == b"".join(b"err %d\n" % i for i in range(1, 6))
    process = begun(
        agent, "--", "sh", "-c", script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    both, _ = process.communicate(timeout=60)
    lines = "".join(f"out {i}\nerr {i}\n" for i in range(1, 6))
    assert both.decode() == lines
    output = events(agent)[1]["payload"]["custom_details"]["output"]  # type: ignore[index]
    assert output == lines.rstrip("\n")


def test_binary_output(agent: Agent) -> None:
    """Comes through byte for byte; the page has what can be read of it."""
    text = r"a\000\377\033[31mred\033[0m b\r 50%%\r100%%\nlast \033]0;title\007\342\202\254"
    script = f"printf '{text}'; exit 1"
    done = run(agent, "--", "sh", "-c", script)
    assert (
        done.stdout == b"a\0\xff\x1b[31mred\x1b[0m b\r 50%\r100%\nlast \x1b]0;title\x07\xe2\x82\xac"
    )
    assert page(agent)[1]["output"] == "100%\nlast \u20ac"


@pytest.mark.parametrize("closed", ["1", "2", "012"])
def test_closed_streams(agent: Agent, closed: str) -> None:
    """Stay closed for the command, and nothing else takes their place."""
    seen = agent.root / "seen"
    seen.touch()
    seen.chmod(0o666)
    closing = " ".join(f"{fd}>&-" for fd in closed)
    script = f"for fd in 0 1 2; do [ -e /proc/$$/fd/$fd ] && echo $fd >>{seen}; done; exit 1"
    done = run(agent, "--", "sh", "-c", script, under=["sh", "-c", f'"$0" "$@" {closing}'])
    assert done.returncode == 1
    assert set(seen.read_text().split()) == {"0", "1", "2"} - set(closed)
    assert len(events(agent)) == 1


def test_no_lines_and_no_pipe(agent: Agent) -> None:
    """With --output-lines 0 the command has our own streams."""
    process = begun(
        agent, "--output-lines", "0", "--", "sh", "-c", "readlink /proc/$$/fd/1; exit 1",
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    ours = os.readlink(f"/proc/self/fd/{process.stdout.fileno()}")
    assert process.communicate(timeout=60)[0].decode().strip() == ours
    assert "output" not in page(agent)[1]


def test_a_full_disk_behind_stdout_is_the_commands_to_see(agent: Agent) -> None:
    """Else half a dump would look like a whole one."""
    with open("/dev/full", "wb") as full:
        process = begun(agent, "--", "sh", "-c", "echo x || exit 5", stdout=full)
        assert process.wait(timeout=60) == 5
    assert page(agent)[1]["exit"] == 5


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_a_file_is_the_commands_own(agent: Agent, mode: str) -> None:
    """The page has the last lines of standard error's, and only of this run."""
    log = agent.root / "log.txt"
    log.write_text("before\n")
    script = "readlink /proc/$$/fd/1; echo err >&2; exit 1"
    with log.open(mode) as file:
        process = begun(agent, "--", "sh", "-c", script, stdout=file, stderr=file)
        assert process.wait(timeout=60) == 1
    written = f"{log}\nerr"
    assert log.read_text() == ("before\n" if mode == "ab" else "") + written + "\n"
    assert page(agent)[1]["output"] == written


def test_data_in_a_file_are_not_for_a_page(agent: Agent) -> None:
    """Standard output that goes to a file of its own may be anything, such as a dump. The command
    need not be in it either."""
    with (agent.root / "dump").open("wb") as dump:
        process = begun(
            agent, "-f", "command=dump", "--", "sh", "-c", "echo private; echo err >&2; exit 1",
            stdout=dump, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.communicate(timeout=60)[1] == b"err\n"
    assert (agent.root / "dump").read_text() == "private\n"
    details = page(agent)[1]
    assert (details["output"], details["command"]) == ("err", "dump")


def test_output_that_nobody_wants_is_in_the_page(agent: Agent) -> None:
    """As with cron's >/dev/null 2>&1."""
    process = begun(
        agent, "--", "sh", "-c", "echo out; echo err >&2; exit 1",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.wait(timeout=60) == 1
    assert page(agent)[1]["output"] == "out\nerr"


def test_children_are_not_waited_for(agent: Agent) -> None:
    """A child that goes on writing neither holds up the end nor loses what it writes."""
    agent.root.chmod(0o777)
    later = "while [ ! -e go ]; do sleep 0.05; done; echo later; echo and later"
    script = f"({later}) & echo now; exit 6"
    process = begun(agent, "--", "sh", "-c", script, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"now\n"
    assert process.wait(timeout=60) == 6
    assert len(events(agent)) == 1
    (agent.root / "go").touch()
    assert process.stdout.read() == b"later\nand later\n"


# --- signals and time ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT),
        *(signal.SIGPWR, signal.SIGABRT, signal.SIGRTMIN + 3),
    ],
)
def test_signals_are_handed_on(agent: Agent, number: int) -> None:
    """What somebody sends to pd-send reaches the command, which decides."""
    agent.root.chmod(0o777)
    script = f"trap 'echo got; exit 7' {int(number)}; echo ready; while :; do sleep 0.05; done"
    process = begun(agent, "--", "sh", "-c", script, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert process.stdout.read() == b"got\n"
    assert process.wait(timeout=60) == 7
    assert page(agent)[1]["exit"] == 7


def test_a_signal_that_kills(agent: Agent) -> None:
    """Is the command's end and not ours: the page goes out, with 128+n."""
    process = begun(agent, "--", "sleep", "1000")
    wait_until(lambda: command_of(process.pid) == "sleep")
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert page(agent)[1]["signal"] == "SIGTERM"


def command_of(pid: int) -> str:
    """The name of a process's child, once it has one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return Path(f"/proc/{children[0]}/comm").read_text().strip() if children else ""


def test_ignored_signals_stay_ignored(agent: Agent) -> None:
    """As nohup wants it, and the command begins with the signals of any other."""
    script = 'trap \'\' HUP; exec "$0" "$@"'
    done = run(agent, "--", "grep", "^Sig[BI]", "/proc/self/status", under=["sh", "-c", script])
    masks = dict(line.split(":\t") for line in done.stdout.decode().splitlines())
    assert int(masks["SigBlk"], 16) == 0
    # Whoever runs the tests may have had others ignored.
    assert int(masks["SigIgn"], 16) == ignored() | 1 << (signal.SIGHUP - 1)


def ignored() -> int:
    """The signals that a command ignores which this process starts, as a mask."""
    looked = subprocess.run(
        ["grep", "^SigIgn", "/proc/self/status"], stdout=subprocess.PIPE, check=True
    )
    return int(looked.stdout.split()[1], 16)


def test_stopped_and_continued(agent: Agent) -> None:
    """SIGTSTP stops both, SIGCONT continues both."""
    # In a group of its own: the kernel stops nobody in a group without a parent, which this test's
    # may be (signal(7), setpgid(2): an orphaned process group).
    process = begun(agent, "--", "sh", "-c", "sleep 1000; :", process_group=0)
    wait_until(lambda: command_of(process.pid) == "sh")
    child = child_of(process.pid)
    wait_until(lambda: command_of(child) == "sleep")
    sleep = child_of(child)
    process.send_signal(signal.SIGTSTP)
    wait_until(lambda: state(process.pid) == "T" and state(child) == "T")
    process.send_signal(signal.SIGCONT)
    wait_until(lambda: state(process.pid) == "S" and state(child) == "S")
    os.kill(child, signal.SIGKILL)
    assert process.wait(timeout=60) == 137
    os.kill(sleep, signal.SIGKILL)


def test_time_out(agent: Agent) -> None:
    """Ends the whole of it: a shell's children do not live on."""
    seconds = f"1234.{time.time_ns()}"  # nobody else's
    script = f"sleep {seconds} & wait; :"
    # Whoever runs the tests may have a terminal.
    done = run(agent, "--timeout", "1s", "--", "sh", "-c", script, under=["setsid", "--wait"])
    assert done.returncode == 128 + signal.SIGTERM
    wait_until(lambda: ["sleep", seconds] not in commands())
    summary, details = page(agent)
    assert re.search(r"timed out after \d", summary)
    assert details["signal"] == "SIGTERM"


def commands() -> list[list[str]]:
    """All processes' command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.append(path.read_text(errors="replace").split("\0")[:-1])
    return found


def test_time_out_is_no_success(agent: Agent) -> None:
    """Whatever the command makes of SIGTERM: 124, as timeout(1) has it, in the place of 0."""
    script = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
    # by then the shell has set its trap, however busy the machine
    assert run(agent, "--timeout", "4", "--", "sh", "-c", script).returncode == 124
    assert "timed out after" in page(agent)[0]


@pytest.mark.parametrize("time", ["366d", "99999999999d"])
def test_a_time_out_may_be_far_away(agent: Agent, time: str) -> None:
    """The kernel waits for 24 days at once, and no longer."""
    done = run(agent, "--timeout", time, "--", "sh", "-c", "exit 4")
    assert (done.returncode, done.stderr) == (4, b"")
    assert page(agent)[1]["exit"] == 4


# --- a terminal ---------------------------------------------------------------------------------


def test_a_terminal_stays_one(agent: Agent) -> None:
    """The command has it, ^C reaches it once, and ^Z stops both for the shell."""
    script = "test -t 0 && test -t 1 && test -t 2 && echo terminal; n=0; trap 'n=$((n+1))' INT;"
    script += "echo ready; while [ ! -e go ]; do sleep 0.05; done; echo got $n; exit 8"
    agent.root.chmod(0o777)
    here = f"cd {agent.root}; {script}"
    command = [*agent.command("pd-send"), "--config", str(agent.conf), "run", "-k", KEY, "--"]
    with Terminal([*command, "sh", "-c", here], agent.environment) as terminal:
        terminal.until("ready")
        assert "terminal" in "".join(terminal.lines)
        terminal.type("\x03")
        time.sleep(0.3)  # a second one, which must not come, would come now
        (agent.root / "go").touch()
        terminal.until("got 1")
        assert terminal.process.wait(timeout=60) == 8
    summary, details = page(agent)
    assert "exit 8" in summary
    assert "output" not in details


def test_a_question_on_the_terminal_can_be_answered(agent: Agent) -> None:
    """Such as ssh's for a password, wherever the streams go, and with a time-out too."""
    ask = "echo ask >/dev/tty; read answer </dev/tty; echo got $answer >/dev/tty; exit 8"
    command = [*agent.command("pd-send"), "--config", str(agent.conf), "run", "-k", KEY]
    command += ["--timeout", "1h", "--", "sh", "-c", ask]
    script = '"$@" </dev/null >/dev/null 2>&1'
    with Terminal(["sh", "-c", script, "sh", *command], agent.environment) as terminal:
        terminal.until("ask")
        terminal.type("yes\n")
        terminal.until("got yes")
        assert terminal.end() == 8


# --- what is kept -------------------------------------------------------------------------------


def test_a_page_that_cannot_be_queued(agent: Agent) -> None:
    """Changes nothing for the command; it is said on stderr and in the system's log."""
    agent.configure(events_url="http://127.0.0.1:1", direct_delivery="off")
    (agent.spool / "pdq").chmod(0)
    if ROOT:
        (agent.spool / "pdq").rmdir()
        done, line = syslog.run(
            agent, "pd-send", ["run", "-k", KEY, "--", "sh", "-c", "exit 3"], {}
        )
        assert b"pdq" in line
    else:
        done = run(agent, "--", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert b"The event was not queued" in done.stderr
    assert KEY.encode() not in done.stderr


@pytest.mark.parametrize("missing", [True, False])
def test_without_a_place_for_its_file(agent: Agent, missing: bool) -> None:
    """The page goes out, and what can't be kept is said."""
    if missing:
        (agent.spool / "jobs").rmdir()
    else:
        (agent.spool / "jobs").chmod(0o700)
    done = run(agent, "--", "false")
    assert done.returncode == 1
    if missing or ROOT:
        assert b"No success will resolve the incident" in done.stderr
    assert actions(agent) == ["trigger"]
    assert run(agent, "--", "true").stderr == b""


@pytest.mark.needs_root
@pytest.mark.skipif(not ROOT, reason="needs several users")
@pytest.mark.parametrize("kind", ["file", "link", "fifo", "directory", "second name"])
def test_what_a_stranger_puts_there(agent: Agent, kind: str) -> None:
    """Is neither read, written nor waited for. A failure pages at once, a success resolves."""
    run(agent, "-i", "backup", "--failures", "2", "--", "false")
    [name] = files(agent)
    path = agent.spool / "jobs" / name
    path.unlink()
    mine = agent.root / "mine"
    mine.write_text("precious")
    os.chown(mine, SENDER.uid, SENDER.gid)
    script = {
        "file": f"echo x >{path}; chmod 666 {path}",
        "link": f"ln -s {mine} {path}",
        "fifo": f"mkfifo {path}; chmod 666 {path}",
        "directory": f"mkdir {path}; chmod 777 {path}",
        "second name": "",
    }[kind]
    subprocess.run(["sh", "-c", script], check=True, **STRANGER.popen())
    if kind == "second name":
        os.link(mine, path)
    done = run(agent, "-i", "backup", "--failures", "2", "--", "false")
    assert (done.returncode, actions(agent)) == (1, ["trigger"])
    assert run(agent, "-i", "backup", "--failures", "2", "--", "true").returncode == 0
    assert actions(agent) == ["trigger", "resolve"]
    assert mine.read_text() == "precious"
    assert path.is_symlink() or path.exists()


def test_runs_at_the_same_time(agent: Agent) -> None:
    """No incident is left open by a success that came between a failure and its event."""
    running = [begun(agent, "-i", "job", "--", name) for name in ("false", "true") * 4]
    codes = [process.wait(timeout=60) for process in running]
    assert codes == [1, 0] * 4
    found = actions(agent)
    assert found.count("trigger") == 4
    if not files(agent):
        assert found[-1] == "resolve"
    run(agent, "-i", "job", "--", "true")
    assert (actions(agent)[-1], files(agent)) == ("resolve", [])


def test_a_run_that_takes_long_to_page(agent: Agent) -> None:
    """As with direct delivery. A success beside it does not wait for it, and leaves it to the next
    one to resolve what it may open yet."""
    run(agent, "-i", "job", "--", "false")
    [name] = files(agent)
    with (agent.spool / "jobs" / name).open("rb") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        assert run(agent, "-i", "job", "--", "true").returncode == 0
    assert (actions(agent), files(agent)) == (["trigger", "resolve"], [name])
    run(agent, "-i", "job", "--", "true")
    assert (actions(agent), files(agent)) == (["trigger", "resolve", "resolve"], [])


def test_a_file_that_was_not_written_in_time(agent: Agent) -> None:
    """After a crash or on a full disk: there may be an open incident."""
    run(agent, "-i", "backup", "--failures", "2", "--", "false")
    [name] = files(agent)
    for content in ("", "{", '{"failures": "x"}', "[]"):
        path = agent.spool / "jobs" / name
        path.write_text(content)
        if ROOT:
            os.chown(path, SENDER.uid, SENDER.gid)
        run(agent, "-i", "backup", "--", "true")
        assert actions(agent)[-1] == "resolve"
        assert files(agent) == []
    assert len(events(agent)) == 4


# --- units --------------------------------------------------------------------------------------


def unit(agent: Agent, name: str, result: str, code: str = "", status: str = "") -> Done:
    """As pdagent-failed@.service, under systemd 251 and later. The journal is a test's own."""
    programs = agent.root / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "journalctl").write_text("#!/bin/sh\necho started\necho last words\n")
    (programs / "journalctl").chmod(0o755)
    told = {"UNIT": name, "SERVICE_RESULT": result, "EXIT_CODE": code, "EXIT_STATUS": status}
    environment = {f"MONITOR_{name}": value for name, value in told.items()}
    environment["PATH"] = f"{programs}:/usr/bin:/bin"
    words = ["unit", "-k", KEY, "--output-lines", "1", "--", name]
    return agent.run("pd-send", *words, environment=environment)


@pytest.mark.parametrize("name", ["job.service", r"dev-disk-by\x2duuid-1.swap", "-.mount"])
def test_a_unit(agent: Agent, name: str) -> None:
    """Its failure is a page with its last lines, its success resolves what that opened, once."""
    assert unit(agent, name, "success", "exited", "0").returncode == 0
    assert events(agent) == []
    assert unit(agent, name, "exit-code", "exited", "3").returncode == 0
    summary, details = page(agent)
    assert summary == f"{name} failed on {os.uname().nodename}: exit 3"
    assert details == {"unit": name, "result": "exit-code", "exit": 3, "output": "last words"}
    for _ in range(2):
        assert unit(agent, name, "success", "exited", "0").returncode == 0
    assert actions(agent) == ["trigger", "resolve"]


@pytest.mark.parametrize("name", ["", " ", "/usr/bin/backup", "a b.service", "a\nb", "x" * 256])
def test_no_unit(agent: Agent, name: str) -> None:
    """A name that no unit can have is a wrong command line. Its page could never be resolved."""
    done = unit(agent, name, "exit-code", "exited", "3")
    [line, _] = done.stderr.decode().splitlines()
    says = f"{name!r} is not the name of a unit, such as backup.service"
    assert line == f"pd-send unit: error: {says}"
    assert (done.returncode, events(agent), files(agent)) == (2, [], [])


def test_the_unit_that_pages_does_not_page_for_itself(agent: Agent) -> None:
    """Where each service is to page for its failure, that would never end."""
    done = unit(agent, "pdagent-failed@job.service", "exit-code", "exited", "75")
    assert (done.returncode, events(agent)) == (0, [])


def test_a_unit_whose_page_cannot_be_queued(agent: Agent) -> None:
    """Then the unit that pages has failed, for systemd to tell."""
    agent.configure(events_url="http://127.0.0.1:1", direct_delivery="off")
    (agent.spool / "pdq").rmdir()
    done = unit(agent, "job.service", "timeout")
    assert done.returncode == 75
    assert b"The event was not queued" in done.stderr
