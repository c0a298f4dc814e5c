"""`python -m tests.mutants [MODULE …]` has mutmut mutate these modules, or all of PARTS, and prints
what became of the mutants.

A mutant that no test notices is a test that is missing, or changes nothing that anybody could see.
Those of the second kind are named in survivors.toml, with the reason. The others are printed. A
module of which more than one in twenty survives without a name fails.
"""

import ast
import json
import shutil
import subprocess
import sys
import tomllib
from dataclasses import asdict, dataclass
from difflib import ndiff
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAGE = ROOT / "build" / "mutants"
NAMED = ROOT / "tests" / "mutants" / "survivors.toml"
DAYS = "mutants/test_days.py"
SCHEDULE = [
    *("unit/schedule/test_lane.py", "unit/schedule/test_rules.py", "unit/queue/test_holds.py"),
    *("unit/schedule/test_scheduler.py", "unit/schedule/test_scheduler_chains.py"),
    *("unit/schedule/test_scheduler_trouble.py", "unit/schedule/test_scheduler_outage.py"),
    *("unit/schedule/test_scheduler_files.py", "unit/schedule/test_scheduler_retried.py"),
    DAYS,
]
HANDLING = ["unit/daemon/test_handling.py", "unit/daemon/test_handling_kept.py"]
# By module: the tests that are about it. They run for each of its mutants, so they have to be few.
PARTS = {
    "pdagent.spool": ["unit/test_spool.py", "unit/test_spool_faults.py", DAYS],
    "pdagent.acceptance": ["unit/test_acceptance.py"],
    "pdagent.submission": ["unit/test_submission.py"],
    "pdagent.event": ["unit/test_event.py"],
    "pdagent.encoding": ["unit/test_encoding.py"],
    "pdagent.queue.backlog": [
        *("unit/queue/test_backlog.py", "unit/queue/test_backlog_reading.py"),
        *("unit/queue/test_backlog_settling.py", "unit/queue/test_backlog_machine.py"),
        *("unit/queue/test_waiting.py", "unit/daemon/test_reading.py", DAYS),
    ],
    "pdagent.queue.settlement": [
        *("unit/queue/test_settlement.py", "unit/queue/test_waiting.py", DAYS),
    ],
    "pdagent.queue.filling": ["unit/queue/test_filling.py", DAYS],
    "pdagent.queue.keys": ["unit/queue/test_keys.py", DAYS],
    "pdagent.queue.elapsed": ["unit/queue/test_elapsed.py"],
    "pdagent.schedule.scheduler": [*SCHEDULE, *HANDLING, "unit/schedule/test_relays.py"],
    "pdagent.schedule.lane": SCHEDULE,
    "pdagent.schedule.chains": ["unit/schedule/test_chains.py"],
    "pdagent.schedule.entry": ["unit/schedule/test_entry.py"],
    "pdagent.schedule.outage": [*SCHEDULE, "unit/schedule/test_outage.py"],
    "pdagent.schedule.relays": ["unit/schedule/test_relays.py"],
    "pdagent.wire.verdict": ["unit/wire/test_verdict.py", DAYS],
    "pdagent.wire.connections": [
        *("unit/wire/test_connections.py", "unit/wire/test_exchanges.py"),
        "unit/wire/test_tunnels.py",
    ],
    "pdagent.wire.absence": ["unit/wire/test_absence.py"],
    "pdagent.daemon.activity": ["unit/daemon/test_activity.py"],
    "pdagent.daemon.disk": ["unit/daemon/test_disk.py"],
    "pdagent.daemon.handling": [*HANDLING, DAYS],
    "pdagent.daemon.reading": ["unit/daemon", DAYS],
    "pdagent.serve.intake": ["unit/serve/test_intake.py", DAYS],
    "pdagent.serve.crowd": ["unit/serve/test_crowd.py", "unit/serve/test_listen.py"],
}
# Words in the names of tests that start programs: these can't import what mutmut puts into modules.
ELSEWHERE = (
    "any_user_may or who_may_not or not_writable_is or nothing_is_pending or fault_leaves"
    " or read_only_disk or stops_half_way or interrupt_before or death_between"
    " or (agent_may_not_read and not waits_by_itself)"
)
# Words are for people, who change them without a test. The rest of such a line waits for it, too.
WORDS = [r"\blog\.\w+\(", r'^\s*f?"[^"]*[a-z] [^"]*",?\)?$', r"raise \w+\(f?\"", r"^\s*assert "]
PYPROJECT = """
[tool.pytest.ini_options]
pythonpath = ["src", "."]
addopts = "-p no:cacheprovider -k 'not ({elsewhere})'"
markers = ["needs_root", "fault"]

[tool.mutmut]
source_paths = ["src"]
only_mutate = {only}
do_not_mutate_patterns = {words}
also_copy = ["docs", "init", "packaging", "ci"]
pytest_add_cli_args_test_selection = {tests}
timeout_multiplier = 10.0
timeout_constant = 20.0
use_git_change_detection = false
track_dependencies = false
"""
LEAST = 0.95  # of a module's mutants, killed or named
ALIVE = (None, 0, 5, 33)  # how pytest ended for a mutant: all passed, or no test came by it
SLOW = (-24, 24, 36, 152, 255)  # it did not end in time, which may be the machine's fault


@dataclass(frozen=True)
class Survivor:
    """A mutant that lives: in which function, what is in the code, and what it has in its place."""

    module: str
    function: str
    was: str
    becomes: str


def staged(module: str) -> Path:
    """A copy of agent and tests, as mutmut wants them to lie."""
    stage = STAGE / module
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(ROOT / "agent", stage / "src")
    for directory in ("tests", "docs", "init", "packaging", "ci"):  # which tests read
        shutil.copytree(ROOT / directory, stage / directory)
    only = [f"src/{module.replace('.', '/')}.py"]
    tests = [f"tests/{test}" for test in PARTS[module]]
    text = PYPROJECT.format(only=only, words=json.dumps(WORDS), tests=tests, elsewhere=ELSEWHERE)
    (stage / "pyproject.toml").write_text(text)
    return stage


def mutmut(stage: Path) -> None:
    command = [sys.executable, "-m", "mutmut", "run"]
    done = subprocess.run(command, cwd=stage, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def survivors(stage: Path, module: str, alive: list[str]) -> list[Survivor]:
    """What these mutants are. mutmut writes them below the function that they are mutants of."""
    text = (stage / "mutants" / "src" / f"{module.replace('.', '/')}.py").read_text()
    lines, found = text.splitlines(), []
    code = {
        node.name: lines[node.lineno - 1 : node.end_lineno]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    }
    for mutant in alive:
        name = mutant.removeprefix(f"{module}.")
        mangled = name.rpartition("__mutmut_")[0]  # x_function or xǁClassǁmethod
        function = mangled[2:].replace("ǁ", ".")
        was, becomes = (
            [line.strip().replace(of, function.rpartition(".")[2]) for line in code[of]]
            for of in (f"{mangled}__mutmut_orig", name)
        )
        changed = [line for line in ndiff(was, becomes) if line[0] in "-+"]
        minus, plus = ("\n".join(line[2:] for line in changed if line[0] == sign) for sign in "-+")
        found.append(Survivor(module, function, minus, plus))
    return found


def main(*modules: str) -> int:
    named = {
        Survivor(entry["module"], entry["function"], entry["was"], entry["becomes"])
        for entry in tomllib.loads(NAMED.read_text())["survivor"]
    }
    worst = 1.0
    print("| module | mutants | killed | survived | of these named | killed or named |")
    print("|---|---|---|---|---|---|")
    for module in modules or PARTS:
        stage = staged(module)
        mutmut(stage)
        meta = stage / "mutants" / "src" / f"{module.replace('.', '/')}.py.meta"
        codes: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
        alive = [name for name, code in codes.items() if code in ALIVE]
        found = survivors(stage, module, alive)
        unnamed = [one for one in found if one not in named]
        killed = len(codes) - len(alive)
        slow = [name for name, code in codes.items() if code in SLOW]
        known = len(found) - len(unnamed)
        share = (killed + known) / max(1, len(codes))
        print(
            f"| {module} | {len(codes)} | {killed} | {len(alive)} | {known} | {share:.1%} |",
            flush=True,
        )
        for name in slow:
            print(f"killed, since it did not end: {name}", file=sys.stderr)
        for one in unnamed:
            entry = "".join(
                f"{field} = {json.dumps(text)}\n" for field, text in asdict(one).items()
            )
            print(f'\n[[survivor]]\n{entry}reason = ""', file=sys.stderr, flush=True)
        worst = min(worst, share)
    return 0 if worst >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
