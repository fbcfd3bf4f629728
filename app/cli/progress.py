"""A job's progress while it runs: a bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.cli.screen import remarks
from app.models.views import JobView
from app.telemetry.redaction import clean

LINE_SECONDS = 2.0
"""Between two plain lines about a job whose state stays the same."""

SHORTEST_ESTIMATE_SECONDS = 10
"""What is over before it is read is not worth saying."""

Show = Callable[[JobView], None]


def describe(job: JobView) -> str:
    """One line: `accounts 1/2 · locations 3/12 · reviews 150/600 · calls 8 · waiting until …: …`."""
    progress = job.progress
    parts = [
        f"accounts {progress.accounts.done}/{progress.accounts.found}",
        f"locations {progress.locations.done}/{progress.locations.found}",
        f"reviews {progress.reviews.fetched}/{progress.reviews.expected}",
        f"calls {progress.calls}",
    ]
    if progress.tasks.dead:
        parts.append(f"dead {progress.tasks.dead}")
    if job.estimate and job.estimate.seconds_left >= SHORTEST_ESTIMATE_SECONDS:
        parts.append(f"about {lasting(job.estimate.seconds_left)} left")
    if job.waiting:
        parts.append(f"waiting until {job.waiting.until:%H:%M:%S} UTC: {clean(job.waiting.reason)}")
    if job.token and job.token.warning:
        parts.append(f"warning: {clean(job.token.warning)}")
    return " · ".join(parts)


def lasting(seconds: int) -> str:
    """`45 s`, `12 min`, `3 h 20 min`, `2 d 5 h`: what a person plans with."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


@contextmanager
def progress_of_a_job() -> Iterator[Show]:
    """Gives the function to call with the job's newest view."""
    console = remarks()
    if console.is_terminal:
        with _bar(console) as show:
            yield show
    else:
        yield PlainLines(lambda line: console.print(line, markup=False))


@contextmanager
def _bar(console: Console) -> Iterator[Show]:
    columns = (SpinnerColumn(), BarColumn(bar_width=24), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("starting", total=None)

        def show(job: JobView) -> None:
            reviews = job.progress.reviews
            text = describe(job)
            for what in ("waiting until", "warning:"):  # 80 columns would cut it off
                text = text.replace(f" · {what}", f"\n{what}")
            text = text.replace("[", r"\[")
            progress.update(bar, description=text, completed=reviews.fetched, total=reviews.expected or None)

        yield show


class PlainLines:
    """A line when the state changes, and every `LINE_SECONDS` while something else does."""

    def __init__(self, write: Callable[[str], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._monotonic = monotonic
        self._state: tuple[object, ...] = ()
        self._line = ""
        self._written_at = float("-inf")

    def __call__(self, job: JobView) -> None:
        """Show the job's newest view."""
        state = (job.status, job.waiting and job.waiting.reason, job.token and job.token.warning)
        line = f"{job.status}: {describe(job)}"
        now = self._monotonic()
        if line != self._line and (state != self._state or now - self._written_at >= LINE_SECONDS):
            self._write(line)
            self._state, self._line, self._written_at = state, line, now
