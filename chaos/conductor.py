"""Carries out the rounds and waits after each until work goes on."""

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator

from chaos.arena import Arena, Case
from chaos.records import Records
from chaos.rounds import KNOWN, Round
from chaos.store import AWAY, Timeline

RECOVERY_SECONDS = 90.0
"""Three times the target: then it counts as never."""

LOOK_SECONDS = 0.1
WORK_SECONDS = 60.0
PAUSE_SECONDS = (1.0, 4.0)
"""Between two rounds, when everything works."""

Tell = Callable[[str], None]


class Conductor:
    """`cases` has a note of every disturbance, in the order in which they began."""

    def __init__(self, arena: Arena, timeline: Timeline, records: Records, tell: Tell) -> None:
        self.cases: list[Case] = []
        self.fell: list[int] = []
        self._arena = arena
        self._timeline = timeline
        self._records = records
        self._tell = tell

    def play(self, rounds: Iterable[Round], least: int, until: float, after_each: Callable[[], None]) -> None:
        """At least so many rounds, and further ones while the monotonic clock has not reached `until`."""
        for number, names in enumerate(rounds, start=1):
            self.play_one(names)
            after_each()
            if number >= least and time.monotonic() >= until:
                return

    def play_one(self, names: Round) -> None:
        """Begin all, last as long as the longest wants, end all in reverse; then wait until work goes on."""
        self._wait_for_work()
        under_way = []
        lasts = 0.0
        for name in names:
            case = Case(name, began=time.monotonic())
            self.cases.append(case)
            disturbance = KNOWN[name](self._arena, case)
            lasts = max(lasts, _step(case, disturbance))
            under_way.append((case, disturbance))
        time.sleep(lasts)
        for case, disturbance in reversed(under_way):
            _step(case, disturbance)
            case.ended = time.monotonic()
        self._recover([case for case, _ in under_way])
        time.sleep(self._arena.random.uniform(*PAUSE_SECONDS))

    def _wait_for_work(self) -> None:
        """A disturbance that meets no work, or nobody who publishes yet, proves nothing."""
        deadline = time.monotonic() + WORK_SECONDS
        while not (self._timeline.now.unfinished and self._records.look()) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)

    def _recover(self, cases: list[Case]) -> None:
        """Until a new page was settled and every task that was held has moved on; after an outage also a new record."""
        began = time.monotonic()
        held = self._arena.store.eventually(lambda store: store.held())
        pages, records = self._timeline.now.pages, self._records.look()
        outage = any(case.outage for case in cases)

        def goes_on() -> bool:
            if self._timeline.now.pages <= pages or (outage and self._records.look() <= records):
                return False
            return not held or self._arena.store.eventually(lambda store: store.still(held)) == 0

        while not (recovered := goes_on()) and time.monotonic() - began < RECOVERY_SECONDS:
            time.sleep(LOOK_SECONDS)
        seconds = time.monotonic() - began
        for case in cases:
            case.recovered = seconds if recovered else None
            self._tell(described(case))
        self.fell += self._arena.fleet.revive()


def _step(case: Case, disturbance: Iterator[float]) -> float:
    """The disturbance up to its pause or its end. What it could not do is told, and counts as not reached."""
    try:
        return next(disturbance, 0.0)
    except (AssertionError, subprocess.SubprocessError, *AWAY) as error:
        case.failed = f"{type(error).__name__}: {error}"
        return 0.0


def described(case: Case) -> str:
    went_on = "NEVER went on" if case.recovered is None else f"went on after {case.recovered:.1f} s"
    return f"{case.name:<17} {case.failed or case.told or 'found nothing to disturb'}; {went_on}"
