"""The guide's service locator: everything a running service consists of, in one place."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.api.services import ApiServices
from app.broker.base import Broker
from app.clock import Clock
from app.config import Settings
from app.console.sessions import Sessions
from app.google.client import GoogleAPIClient
from app.ingest.buffer import BoundedDequeBuffer
from app.ingest.committer import Arrival, Committer
from app.leadership import Leadership
from app.lifecycle import Loop
from app.limits.quota import SharedQuota
from app.pipeline.accounts import AccountWorker
from app.pipeline.leases import LeaseKeeper
from app.pipeline.locations import LocationWorker
from app.pipeline.refreshing import TokenRefresher
from app.pipeline.reviews import ReviewWorker
from app.results.activity import ActivityLog
from app.results.erasing import Erasing
from app.results.housekeeping import Housekeeping
from app.results.key_uses import KeyUses
from app.results.publisher import ReviewPublisher
from app.retry.keeper import TopicKeeper
from app.retry.scheduler import RetryScheduler
from app.simulator import Simulator
from app.store.database import Database
from app.store.signals import Signals
from app.telemetry.metrics import Metrics
from app.webhooks.sender import WebhookSender

if TYPE_CHECKING:
    from app.telemetry.otlp import OtlpTracer


@dataclass(frozen=True, slots=True)
class Leaders:
    """What only one of several processes does at a time; None where there can be no other."""

    scheduler: Leadership | None = None
    publisher: Leadership | None = None

    def leads_scheduler(self) -> bool:
        """Whether this process is the one."""
        return self.scheduler is None or self.scheduler.leading


@dataclass(slots=True)
class AppState:
    """The components, in the order in which they are made; `loops` are the background tasks once started."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    database: Database
    signals: Signals | None
    broker: Broker
    simulator: Simulator | None
    google: GoogleAPIClient
    google_base_url: str
    tracer: "OtlpTracer | None"
    quota: SharedQuota
    refresher: TokenRefresher
    leases: LeaseKeeper
    activity: ActivityLog
    key_uses: KeyUses
    leaders: Leaders
    retry_scheduler: RetryScheduler
    topic_keeper: TopicKeeper
    publisher: ReviewPublisher | None
    account_worker: AccountWorker
    location_worker: LocationWorker
    review_worker: ReviewWorker
    deque_buffer: BoundedDequeBuffer[Arrival]
    committer: Committer
    housekeeping: Housekeeping
    erasing: Erasing
    webhook_sender: WebhookSender
    services: ApiServices
    sessions: Sessions
    loops: list[Loop] = field(default_factory=list)


class _Current:
    state: AppState | None = None


def get_app_state() -> AppState:
    """The running service's state; RuntimeError when none is running in this process."""
    if _Current.state is None:
        raise RuntimeError("No service is running in this process: its lifespan has not started, or has ended.")
    return _Current.state


def set_app_state(state: AppState | None) -> None:
    """Called by the lifespan, at start and at the end."""
    _Current.state = state
