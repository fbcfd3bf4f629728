"""How one step of a task can end. Only `Retry` spends an attempt."""

from collections.abc import Callable
from dataclasses import dataclass, field

from app.models.job import Problem
from app.models.review import Account, Location, Review
from app.models.settlement import GivenUp, LocationEnd, Move


@dataclass(frozen=True, slots=True)
class Advance:
    """A page was read, or read as far as it will ever be: what it held and where the task goes."""

    move: Move
    page: bool = True
    accounts: list[Account] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    given_up: list[GivenUp] = field(default_factory=list)
    total: int | None = None
    average: float | None = None
    location_end: LocationEnd | None = None
    try_other_account: bool = False
    again: Callable[[int], tuple[Move, LocationEnd | None]] | None = None


@dataclass(frozen=True, slots=True)
class Snooze:
    """Nothing failed: the task waits, for the reason that people are told, `until` (seconds since 1970).

    `token_problem`: what it waits for is a new token. `reason` empty: nothing worth telling (a shutdown).
    """

    until: float
    reason: str = ""
    token_problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed in a way that may pass; `after`: not before so many seconds, if Google said so."""

    problem: Problem
    after: float | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The task cannot be done. `fails_job`: nor can anything else of its job.

    `of_token`: unless the job was given another token meanwhile. `try_other_account`: unless another account that
    lists the location may read it.
    """

    problem: Problem
    fails_job: bool = False
    of_token: bool = False
    try_other_account: bool = False


Outcome = Advance | Snooze | Retry | DeadLetter


@dataclass(slots=True)
class Spent:
    """What a step learned on its way, whatever its end: calls made, and whose quota they spent."""

    calls: int = 0
    project: str | None = None
    token_expires_at: float | None = None
