"""What the workers of all stages share: ports of their own, options, and the services that they use."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from app.broker.base import Broker
from app.clock import Clock
from app.google.client import GoogleAPIClient
from app.google.errors import GoogleAPIError
from app.limits.permits import Api
from app.limits.quota import SharedQuota
from app.limits.spent import SpentBudgets
from app.models.job import HeldTask
from app.models.settlement import Settled, Settlement, SettleOptions
from app.pipeline.leases import LeaseKeeper
from app.pipeline.owners import TokenOwners
from app.pipeline.refreshing import TokenRefresher
from app.retry.policy import ExponentialBackoffPolicy
from app.store.database import Database


class Tokens(Protocol):
    """Opens sealed access tokens."""

    def open(self, task: HeldTask) -> str:
        """The token of the task's job; raises `TokenUnreadableError` with what to do."""
        ...


class TokenUnreadableError(Exception):
    """The job's access token cannot be unsealed: is its key still in TOKEN_SEALING_KEYS? Or send the token again."""


class Observer(Protocol):
    """Who counts what happens here."""

    def called(self, task: HeldTask, api: Api, error: GoogleAPIError | None, seconds: float) -> None:
        """A call for this task was answered, by a page or by an error."""
        ...

    def settled(self, settlement: Settlement, settled: Settled, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """`concurrency`: tasks at once per stage. `max_review_bytes`: a larger review is dead-lettered. `drop_reviewers`:
    who wrote is not kept, unless the tenant says otherwise."""

    concurrency: int
    max_review_bytes: int
    settle: SettleOptions
    drop_reviewers: bool = False


@dataclass(frozen=True, slots=True)
class Tools:
    """What all workers share. `wake`: tasks are due, or there is room; `announce`: there is news to publish."""

    database: Database
    broker: Broker
    google: GoogleAPIClient
    quota: SharedQuota
    spent_budgets: SpentBudgets
    tokens: Tokens
    refresher: TokenRefresher
    owners: TokenOwners
    policy: ExponentialBackoffPolicy
    leases: LeaseKeeper
    clock: Clock
    wake: Callable[[], None]
    announce: Callable[[], None]
    observer: Observer
    options: WorkerOptions
