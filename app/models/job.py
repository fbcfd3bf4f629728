"""A job and its tasks: states, words and the shapes in which they travel."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class JobStatus(StrEnum):
    """The states of a job; `docs/states.md` has the table of what may follow what."""

    PENDING = "pending"
    PROCESSING = "processing"
    PAUSED = "paused"
    NEEDS_TOKEN = "needs_token"  # noqa: S105 - a state
    COMPLETED = "completed"
    FAILED = "failed"
    DLQ = "dlq"
    CANCELLED = "cancelled"


RUNNING = (JobStatus.PENDING, JobStatus.PROCESSING)
"""Tasks of these jobs are released and claimed."""

OPEN = (*RUNNING, JobStatus.PAUSED, JobStatus.NEEDS_TOKEN)
"""Pages of these jobs settle. Every other state is an end; only `dlq` can be left again, by a redrive."""

ENDED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.DLQ, JobStatus.CANCELLED)


class Stage(StrEnum):
    """One stage of the walk: what its tasks list. Each has its topic and its worker."""

    ACCOUNTS = "accounts"
    LOCATIONS = "locations"
    REVIEWS = "reviews"


class TaskStatus(StrEnum):
    """waiting (in the store, until due) → released (in the broker) → held (by a worker, with a lease) → done | dead."""

    WAITING = "waiting"
    RELEASED = "released"
    HELD = "held"
    DONE = "done"
    DEAD = "dead"


class LocationState(StrEnum):
    """What became of a location: its reviews wait or are being read, were read, or cannot be."""

    WAITING = "waiting"
    DONE = "done"
    UNAVAILABLE = "unavailable"
    DEAD = "dead"


NO_TOKEN_YET = "no access token yet"  # noqa: S105 - a reason
"""How the reason of a wait begins that is not for Google's quota."""

DEFAULT_PROJECT = "default"
"""Whose quota a token spends when Google does not tell."""


class Work(NamedTuple):
    """The right to ask for a claim: what a work message says about its task. `version` makes old copies worthless.

    `weight` is the tenant's share of workers and quota beside other tenants, as of the release. `traceparent`: the span
    that the work belongs to.
    """

    task_id: int
    version: int
    stage: Stage
    tenant: str
    job_id: str
    resource: str
    account: str
    title: str
    weight: int = 1
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something stopped, in the words of RFC 9457: a machine's word, what happened, and what to do."""

    type: str
    detail: str
    status: int | None = None


@dataclass(slots=True)
class HeldTask:
    """A claimed task: one worker's for as long as its lease is extended. The holder updates it after each settle.

    `cursor` is the page token to send (None: the first page), `walk` which pass over a location's pages this is
    (`app.pipeline.reviews.Walk`), of other lists how many pages in a row brought nothing new, `pages` the pages settled
    in this walk, `restarts` how often Google refused the page token, `missing` the 404s in a row, `attempt` the failed
    attempts at this page in a row, `crashes` the claims since the last settle. The `location_*` fields belong to the
    reviews stage: its row, the rows kept so far, Google's newest count, and whether Google calls it verified. The
    `token_*` fields tell whether the job's access token can be renewed, and when it expires and was renewed (seconds
    since 1970, None: not known, and never). `weight` is the tenant's share of quota beside others, as its work message
    told. `drop_reviewers` is the tenant's own setting (None: it has none). `traceparent` is the span that the work
    belongs to: the request's that brought the job, or the message's.
    """

    task_id: int
    version: int
    stage: Stage
    tenant: str
    job_id: str
    resource: str
    account: str
    title: str
    cursor: str | None
    walk: int
    pages: int
    restarts: int
    missing: int
    attempt: int
    crashes: int
    project: str | None
    pages_settled: int
    credential_version: int
    sealed_token: bytes
    location_no: int | None = None
    location_fetched: int = 0
    location_total: int | None = None
    location_verified: bool | None = None
    token_refreshable: bool = False
    token_expires_at: float | None = None
    token_refreshed_at: float | None = None
    drop_reviewers: bool | None = None
    weight: int = 1
    traceparent: str | None = None
