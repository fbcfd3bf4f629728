"""What a step of a task comes to: decided by the pipeline, written by the store, told to who counts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from app.models.job import HeldTask, JobStatus, LocationState, Problem, TaskStatus
from app.models.review import Account, Location, Review


@dataclass(frozen=True, slots=True)
class Move:
    """Where the task goes: HELD (goes on), WAITING (for `delay` seconds), DONE or DEAD; and what it carries there."""

    status: TaskStatus
    cursor: str | None = None
    walk: int = 0
    pages: int = 0
    restarts: int = 0
    missing: int = 0
    attempt: int = 0
    delay: float = 0.0
    error: Problem | None = None


@dataclass(frozen=True, slots=True)
class LocationEnd:
    """What became of a location whose task ends here, and why in one word if its reviews were not all read."""

    state: LocationState
    cause: str | None = None


class GivenUp(NamedTuple):
    """One item of a page that cannot be kept; the rest of the page goes on. Dead-lettered once a job and `resource`."""

    kind: str
    resource: str
    cause: str
    detail: str


@dataclass(slots=True)
class Settlement:
    """What to write for a held task.

    `page`: an answer of Google's is settled (not only an attempt). `again` is told, after the page's items are
    in, how many of them were new, and answers where the task goes: only the transaction knows whether a location's rows
    match Google's total, and whether a list still brings anything.
    `try_other_account`: this account may not read the location; if another lists it, that one is asked. `waiting` is
    what people are told: the reason and for how many seconds. `unless_token_replaced`: all this is about
    the token in hand; where the task goes when the job has another by now.
    """

    task: HeldTask
    move: Move
    calls: int = 0
    page: bool = False
    accounts: list[Account] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    given_up: list[GivenUp] = field(default_factory=list)
    total: int | None = None
    average: float | None = None
    location_end: LocationEnd | None = None
    try_other_account: bool = False
    again: Callable[[int], tuple[Move, LocationEnd | None]] | None = None
    waiting: tuple[str, float] | None = None
    project: str | None = None
    token_expires_at: float | None = None
    job_problem: Problem | None = None
    token_problem: Problem | None = None
    unless_token_replaced: Move | None = None


@dataclass(frozen=True, slots=True)
class SettleOptions:
    """How every settlement of a process is written: whether a publisher wants to know, how long `dlq` keeps a token."""

    announce: bool
    token_wait: float


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of it. `move` None: dropped, nothing was written; else where the task went, under `version`.

    `first_review_after`: seconds from the job's submission, when this settle brought its first reviews; `ended_after`:
    the same, when it ended the job.
    """

    move: Move | None
    version: int = 0
    new_reviews: int = 0
    duplicates: int = 0
    new_tasks: int = 0
    total: int | None = None
    job_ended: JobStatus | None = None
    first_review_after: float | None = None
    ended_after: float | None = None

    @property
    def status(self) -> TaskStatus | None:
        return None if self.move is None else self.move.status
