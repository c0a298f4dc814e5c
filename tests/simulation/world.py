"""The world: tasks, one of which runs at a time, a clock that only it moves, and one seed.

A task is a real thread that holds the baton while it runs. At each call that a real kernel could
put off (files, locks, network, clocks) it comes to `wait`, and the seed says who goes on. Nothing
happens between two such calls, so a seed is one interleaving, and gives the same one each time.
When nobody can go on, the clock goes to the next moment that somebody waits for.
"""

import _thread
import math
import random
from collections.abc import Callable

STEPS_MOST = 150_000
REAL_SECONDS = 300.0  # for a run of less than one; beyond this a task waits for something real


class Died(BaseException):
    """This process is no more. Not even what it does at the end is done."""


class Violation(AssertionError):
    """A promise was broken."""


class Process:
    def __init__(self, name: str, uid: int = 0) -> None:
        self.name = name
        self.uid = uid
        self.dead = False
        self.faulty = False  # whether its calls may fail


class Task:
    """Goes on when `ready` says so (None: at once), and at `until` anyway."""

    def __init__(self, process: Process, name: str, body: Callable[[], object]) -> None:
        self.process = process
        self.name = name
        self.body: Callable[[], object] | None = body
        self.ready: Callable[[], bool] | None = None
        self.until = math.inf
        self.gate = _thread.allocate_lock()
        self.gate.acquire()


class World:
    """`observe` is called after each step. `switch`: how likely another one goes on."""

    def __init__(self, seed: int) -> None:
        self.choice = random.Random(seed)
        self.now = 1000.0
        self.stepped = 0.0  # seconds that somebody has put the wall clock forward
        self.steps = 0
        self.tasks: list[Task] = []
        self.running: Task | None = None
        self.switch = self.choice.choice([0.05, 0.3, 0.7])
        self.stall = self.choice.choice([0.0, 0.001, 0.005])
        self.observe: Callable[[], None] = lambda: None
        self.failure: BaseException | None = None
        self.tell: Callable[[str], None] | None = None  # where a replay is shown
        self._home = _thread.allocate_lock()
        self._home.acquire()

    # --- what tasks call ------------------------------------------------------------------------

    def wait(
        self, what: object, ready: Callable[[], bool] | None = None, seconds: float = math.inf
    ) -> bool:
        """Lets others go on, until `ready`, for so long at most. Returns whether it is ready."""
        task = self.running
        assert task is not None
        if task.process.dead:
            raise Died
        if self.tell is not None:
            self.tell(f"{task.process.name}/{task.name}: {what}")
        task.ready, task.until = ready, self.now + seconds
        if ready is None and self.choice.random() < self.stall:  # a slow disk, a busy processor
            task.ready, task.until = _never, self.now + self.choice.choice([0.01, 1.0, 8.0])
        self._pass_on(task)
        if task.process.dead:
            raise Died
        return ready is None or ready()

    def sleep(self, seconds: float) -> None:
        self.wait("sleep", _never, max(0.0, seconds))

    def start(self, process: Process, name: str, body: Callable[[], object]) -> None:
        task = Task(process, name, body)
        self.tasks.append(task)
        _thread.start_new_thread(self._live, (task,))

    def is_over(self, process: Process) -> bool:
        return all(task.process is not process for task in self.tasks)

    # --- the scheduler --------------------------------------------------------------------------

    def run(self) -> None:
        """Runs all tasks to their end, in this order or that. Raises what went wrong."""
        self._pass_on(None)
        if not self._home.acquire(timeout=REAL_SECONDS):
            raise RuntimeError(f"{self.running and self.running.name} waits for something real")
        if self.failure is not None:
            raise self.failure

    def _live(self, task: Task) -> None:
        task.gate.acquire()
        try:
            body, task.body = task.body, None
            if body is not None and not task.process.dead:
                body()
        except Died:
            pass
        except BaseException as error:
            self.fail(error)
        body = None
        self.tasks.remove(task)
        self._pass_on(None)

    def _pass_on(self, leaving: Task | None) -> None:
        try:
            self._step()
        except BaseException as error:
            self.fail(error)
        if not self.tasks:
            self._home.release()
            return
        self.running = self._chosen()
        if self.running is not leaving:
            self.running.gate.release()
            if leaving is not None:
                leaving.gate.acquire()

    def _step(self) -> None:
        self.steps += 1
        self.now += self.choice.random() * 0.0001
        if self.failure is None:
            self.observe()
            if self.steps > STEPS_MOST:
                raise Violation("it never comes to rest")

    def _chosen(self) -> Task:
        while True:
            for task in self.tasks:
                if task.process.dead:  # it only has to be told
                    return task
            awake = [
                task
                for task in self.tasks
                if task.ready is None or task.until <= self.now or task.ready()
            ]
            if awake:
                if self.running in awake and self.choice.random() >= self.switch:
                    return self.running
                return self.choice.choice(awake)
            soonest = min(task.until for task in self.tasks)
            if soonest == math.inf:
                self.fail(Violation(f"nobody can go on: {[task.name for task in self.tasks]}"))
            else:
                self.now = soonest

    def fail(self, error: BaseException) -> None:
        """The first thing that goes wrong ends it all."""
        self.failure = self.failure or error
        for task in self.tasks:
            task.process.dead = True


def _never() -> bool:
    return False
