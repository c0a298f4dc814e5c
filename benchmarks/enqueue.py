"""What `pd-send` costs: CPU to its durable exit 0, beside an empty interpreter and an empty
program. What the commands of monitoring tools cost beside it. And how many events a second come
into the queue from 20 of them at once."""

import random
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Budget, Row
from benchmarks.processes import Cost, at_once, cost_of, runner
from benchmarks.subject import Subject
from tests.support.agent import Agent, directory, from_source
from tests.support.users import SENDER

ROUNDS = 25
AT_ONCE = 20
STORM_ROUNDS = 5
STORM = 200  # events a round
PYTHON = ("/usr/bin/python3", "-I", "-S", "-c", "pass")
TRUE = ("/bin/true",)
EVENT = ("-k", "0" * 32, "-t", "trigger", "-d", "Disk is 93% full", "-i", "disk", "-f", "on=/var")
TOOLS = {
    "pd-nagios": (
        *("-k", "0" * 32, "-t", "PROBLEM", "-n", "service", "-f", "SERVICEDESC=Disk"),
        *("-f", "SERVICESTATE=CRITICAL", "-f", "HOSTNAME=db1", "-f", "SERVICEOUTPUT=93% full"),
    ),
    "pd-zabbix": ("0" * 32, "trigger", "name:Disk is full\nid:1\nhostname:db1\nstatus:PROBLEM"),
    "pd-sensu": ("-k", "0" * 32),
}
STDIN = b"""{"id": "1", "action": "create", "occurrences": 1, "client": {"name": "db1"},
    "check": {"name": "disk", "output": "Disk is 93% full", "status": 2, "history": ["0", "2"]}}"""


def run(subject: Subject) -> Iterator[Row]:
    ways = {"from source": from_source()}
    if subject.program is not None:
        ways["frozen"] = subject.command
    with directory() as root, Agent(root, "http://127.0.0.1:9") as agent:
        commands: dict[str, tuple[str, ...]] = {"python3 -c pass": PYTHON, "true": TRUE}
        if reference := compiled(root):
            commands["reference"] = (reference, str(agent.conf), str(agent.spool))
        for name, command in ways.items():
            send = (*command("pd-send"), "--config", str(agent.conf))
            commands[f"pd-send, {name}"] = (*send, *EVENT)
            commands[f"pd-send -h, {name}"] = (*send, "-h")
            for tool, arguments in TOOLS.items():
                start = (*command(tool), "--config", str(agent.conf))
                commands[f"{tool}, {name}"] = (*start, *arguments)
        costs = in_turn(commands, agent.environment)
        rates = storms(commands, agent.environment)
    pass_cpu = [cost.cpu for cost in costs["python3 -c pass"]]
    true_cpu = [cost.cpu for cost in costs["true"]]
    if floor := [cost.cpu for cost in costs["reference"]]:  # there may be no compiler
        yield Row("the same system calls in C, CPU", floor, "ms", "python3 -I -S -c pass", pass_cpu)
    for name in ways:
        budget = Budget(0.65) if name == "frozen" else None
        cpu = [cost.cpu for cost in costs[f"pd-send, {name}"]]
        slow = [cost.cpu for cost in costs[f"pd-send -h, {name}"]]
        wall = [cost.wall for cost in costs[f"pd-send, {name}"]]
        pass_wall = [cost.wall for cost in costs["python3 -c pass"]]
        yield Row(f"pd-send {name}, CPU", cpu, "ms", "python3 -I -S -c pass", pass_cpu, budget)
        yield Row(f"pd-send {name}, CPU", cpu, "ms", "/bin/true", true_cpu)
        yield Row(f"pd-send {name}, fsync waited for", wall, "ms", "python3 -I -S", pass_wall)
        help_budget = Budget(45, of="figure") if name == "frozen" else None
        yield Row(f"pd-send -h {name}, CPU", slow, "ms", "python3 -I -S", pass_cpu, help_budget)
        for tool in TOOLS:
            spent = [cost.cpu for cost in costs[f"{tool}, {name}"]]
            yield Row(f"{tool} {name}, CPU", spent, "ms", "pd-send", cpu, Budget(1.1))
        at_least = Budget(150, at_least=True, of="figure") if name == "frozen" else None
        what, floor = f"{AT_ONCE} pd-send at once, {name}", rates["reference"]
        yield Row(what, rates[f"pd-send, {name}"], "/s", "the same in C", floor, at_least)


def compiled(directory: Path) -> str | None:
    """The program of reference.c, where there is a compiler."""
    program = directory / "reference"
    try:
        source = Path(__file__).with_name("reference.c")
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
    except FileNotFoundError:
        return None
    return str(program)


def storms(
    commands: dict[str, tuple[str, ...]], environment: dict[str, str]
) -> dict[str, list[float]]:
    """Events a second that become durable. Each has its own dedup key."""
    rates = defaultdict(list)
    with runner(SENDER) as sender:
        for _ in range(STORM_ROUNDS):
            for name, command in commands.items():
                if name == "reference" or name.startswith("pd-send, "):
                    each = ["disk-{}" if word == "disk" else word for word in command]
                    rate = sender.submit(at_once, each, environment, AT_ONCE, STORM).result()
                    rates[name].append(rate)
    return rates


def in_turn(
    commands: dict[str, tuple[str, ...]], environment: dict[str, str]
) -> dict[str, list[Cost]]:
    """Each round has an order of its own. A command costs half a millisecond more behind one that
    has used up the caches, such as `-h`, and always the same one would be behind it."""
    costs = defaultdict(list)
    present = [name for name, command in commands.items() if Path(command[0]).exists()]
    order = random.Random(0)
    with runner(SENDER) as sender:
        for number in range(ROUNDS + 1):
            for name in order.sample(present, len(present)):
                cost = sender.submit(cost_of, commands[name], environment, STDIN).result()
                if number:  # the first of each warms up the caches
                    costs[name].append(cost)
    return costs
