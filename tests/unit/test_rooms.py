"""The rooms: a module is found by its name, and so are its tests."""

from collections import Counter
from pathlib import Path

import pdagent
from tests.support.documents import REPOSITORY

ROOT = Path(pdagent.__file__).parent
# Every room may use these; a plain pd-send has no need of them.
FLAT_BUT_NOT_HOT = {"__main__", "cutting", "log", "shown", "threads"}

# Modules without a file of their own in tests/unit, and where below tests/ they are tested.
_COMMANDS = "integration/test_commands.py"  # commands are run as processes
_PD_SEND = "integration/test_pd_send.py"
_QUEUE = "integration/test_queue.py"
_TERMINAL = "integration/test_queue_terminal.py"
_JOB = "integration/test_job.py"  # jobs are processes
_EXPECT = "integration/test_expect.py"
_CHECK = "integration/test_check.py"  # as root, with a service to look at
TESTED_ELSEWHERE = {
    # tables and values, which all others use
    "api": "unit/test_event.py",
    "exits": "unit/test_reference.py",
    "schedule.limits": "unit/schedule/test_scheduler.py",
    # parts of something that is tested as a whole
    "lines": "unit/test_config.py",
    "queue.beginning": "unit/queue/test_backlog.py",
    "integrations.report": "unit/integrations/test_nagios.py",
    "schedule.experience": "unit/schedule/test_scheduler.py",
    "queue.marks": "unit/queue/test_expected_lapses.py",
    "queue.quota": "unit/queue/test_expected.py",
    "queue.renewal": "unit/queue/test_expected.py",
    "schedule.telling": "unit/queue/test_holds.py",
    "serve.dialects": "unit/serve/test_intake.py",
    "wire.ranking": "unit/schedule/test_relays.py",
    # what needs a daemon, threads of it, several processes or several users
    "check.inside": _CHECK,
    "check.trial": _CHECK,
    "daemon.background": "integration/test_lifecycle.py",
    "daemon.bulletin": "integration/test_condition.py",
    "daemon.outlook": "integration/test_expecting.py",
    "daemon.life": "integration/test_lifecycle.py",
    "daemon.services": "integration/test_insight.py",
    "serve.insight": "integration/test_insight.py",
    "serve.textfile": "unit/serve/test_metrics.py",
    "wire.adapter": "integration/test_adapter.py",
    "wire.direct": "integration/test_direct.py",
    # commands
    "commands.common": _COMMANDS,
    "commands.integration": "integration/test_integrations.py",
    "commands.pd_nagios": "integration/test_integrations.py",
    "commands.pd_queue.arguments": _QUEUE,
    "commands.pd_queue.awaited": _EXPECT,
    "commands.pd_queue.cancel": _EXPECT,
    "commands.pd_queue.change": "integration/test_queue_changes.py",
    "commands.pd_queue.documents": _QUEUE,
    "commands.pd_queue.look": _QUEUE,
    "commands.pd_queue.status": _QUEUE,
    "commands.pd_queue.view": _QUEUE,
    "commands.pd_queue.watch": _TERMINAL,
    "commands.pd_queue.words": _TERMINAL,
    "commands.pd_send.conclusion": _JOB,
    "commands.pd_send.expect": _EXPECT,
    "commands.pd_send.job": _JOB,
    "commands.pd_send.options": _PD_SEND,
    "commands.pd_send.unit": _JOB,
    "commands.pd_sensu": "integration/test_sensu.py",
    "commands.pd_zabbix": "integration/test_integrations.py",
    "commands.pdagent": _COMMANDS,
    "commands.pdagent_check": _CHECK,
    "commands.pdagent_reload": "integration/test_reload.py",
    "commands.pdagentd": "integration/test_lifecycle.py",
    "commands.screen": _TERMINAL,
    "commands.terminal": _TERMINAL,
    "commands.sending": _PD_SEND,
    "jobs.openings": _JOB,
    "jobs.paging": _JOB,
    "jobs.passing": "integration/test_job_streams.py",
    "jobs.starting": _JOB,
}


def test_no_two_modules_have_the_same_name() -> None:
    """Nor does a module have the name of a room."""
    modules = [path.stem for path in ROOT.rglob("*.py") if not path.stem.startswith("__")]
    rooms = [path.name for path in ROOT.rglob("*") if (path / "__init__.py").exists()]
    assert [name for name, number in Counter(modules + rooms).items() if number > 1] == []


def test_what_lies_flat_is_what_every_pd_send_imports() -> None:
    """So `ls` is the documentation of the hot path, and CONTRIBUTING.md names each."""
    flat = {path.stem for path in ROOT.glob("*.py")} - {"__init__"}
    hot = (REPOSITORY / "ci/freeze/hot-modules").read_text().split()
    assert flat == {name.removeprefix("pdagent.") for name in hot[1:]} | FLAT_BUT_NOT_HOT
    page = (REPOSITORY / "CONTRIBUTING.md").read_text()
    assert [name for name in flat - {"__main__"} if f"`{name}`" not in page] == []


def test_no_module_is_longer_than_350_lines() -> None:
    """A module that grows a second idea has found a second name."""
    modules = {path: path.read_text().count("\n") for path in ROOT.rglob("*.py")}
    assert {str(path): lines for path, lines in modules.items() if lines > 350} == {}


def test_the_tests_mirror_the_modules() -> None:
    """Each module has a file of its own, or the table says where its tests are. There is nothing in
    the table that has a file, and nothing that is no module."""
    tests = Path(__file__).parents[1]
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.relative_to(ROOT)
        for path in ROOT.rglob("*.py")
        if not path.stem.startswith("__")
    }
    without = {
        module
        for module, path in modules.items()
        if not (tests / "unit" / path.with_name(f"test_{path.name}")).exists()
    }
    assert without == {*TESTED_ELSEWHERE}
    assert [file for file in {*TESTED_ELSEWHERE.values()} if not (tests / file).exists()] == []
