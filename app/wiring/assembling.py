"""Everything put together from what was opened; nothing works yet."""

import os
import secrets
import socket
from collections.abc import Callable

from app.api.service import APIService, TokenCheck
from app.api.services import ApiServices
from app.broker.kafka import KafkaBroker
from app.credentials import TokenSealer
from app.google.client import GoogleAPIClient
from app.google.errors import ErrorKind, GoogleAPIError
from app.ingest.buffer import BoundedDequeBuffer
from app.ingest.committer import Arrival, Committer
from app.leadership import Leadership
from app.lifecycle import Loop
from app.limits.quota import SharedQuota
from app.limits.spent import SpentBudgets
from app.observing import StoreNumbersReader, WalkObserver, deque_numbers
from app.pipeline.accounts import AccountWorker
from app.pipeline.control import JobControl
from app.pipeline.leases import LeaseKeeper
from app.pipeline.locations import LocationWorker
from app.pipeline.owners import TokenOwners
from app.pipeline.reviews import ReviewWorker
from app.pipeline.tokens import SealedTokens
from app.pipeline.worker import Tools
from app.results.dead_letters import DeadLetters
from app.results.export import Export
from app.results.housekeeping import Housekeeping
from app.results.progress import Progress
from app.retry.keeper import TopicKeeper
from app.retry.scheduler import RetryScheduler
from app.state import AppState, Leaders
from app.store.budgets import StoredBudgets
from app.store.signals import Signals
from app.wiring.opening import Opened
from app.wiring.readiness import ReadinessCheck
from app.wiring.values import authenticator, limits_of, policy_of, sealing_keys, window_of, worker_options

SCHEDULER_PAUSE_SECONDS = 0.02
"""Between two passes over a store that several processes share: each costs a dozen round trips."""


def assemble(opened: Opened) -> AppState:
    """All components of a process, whatever its roles: those that it does not have are not started."""
    settings, clock, database = opened.settings, opened.clock, opened.database
    holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    limits = limits_of(settings)
    quota = SharedQuota(StoredBudgets(database), limits, holder, clock)
    spent = SpentBudgets(clock, limits)
    leaders = _leaders(opened, holder)
    scheduler = RetryScheduler(
        database,
        opened.broker,
        clock,
        spent,
        window_of(settings),
        pause=SCHEDULER_PAUSE_SECONDS if leaders.scheduler else 0.0,
    )
    wake = _waker(scheduler, leaders, opened.signals)
    sealer = TokenSealer(sealing_keys(settings))
    tools = Tools(
        database=database,
        broker=opened.broker,
        google=opened.google,
        quota=quota,
        spent_budgets=spent,
        tokens=SealedTokens(sealer),
        owners=TokenOwners(opened.google, clock),
        policy=policy_of(settings),
        leases=LeaseKeeper(database, clock, holder),
        clock=clock,
        wake=wake,
        observer=WalkObserver(opened.metrics),
        options=worker_options(settings),
    )
    buffer: BoundedDequeBuffer[Arrival] = BoundedDequeBuffer(max_size=settings.deque.max_size)
    committer = Committer(
        buffer, database, committed=wake, interval=settings.deque.burst_check_interval_sec, clock=clock
    )
    opened.metrics.watch_deque(deque_numbers(buffer))
    opened.metrics.watch_store(StoreNumbersReader(database, quota, clock))
    loops: list[Loop] = []
    keeper = TopicKeeper(database, opened.broker, clock, leaders.leads_scheduler)
    check = _token_check(opened.google) if settings.validate_token_on_submit else None
    job_control = JobControl(database, wake, token_wait=settings.token_wait_sec)
    services = ApiServices(
        api_service=APIService(buffer, committer, sealer, job_control, check_token=check),
        authenticator=authenticator(settings, database, clock),
        progress=Progress(database),
        export=Export(database),
        dead_letters=DeadLetters(database, wake),
        job_control=job_control,
        quota=quota.snapshot,
        readiness=ReadinessCheck(database, opened.broker, loops, clock, lambda: _problems(keeper)),
        metrics_text=opened.metrics.scrape,
    )
    return AppState(
        **opened._asdict(),
        quota=quota,
        leases=tools.leases,
        leaders=leaders,
        retry_scheduler=scheduler,
        topic_keeper=keeper,
        account_worker=AccountWorker(tools),
        location_worker=LocationWorker(tools),
        review_worker=ReviewWorker(tools),
        deque_buffer=buffer,
        committer=committer,
        housekeeping=Housekeeping(database, clock, settings.token_wait_sec, leaders.leads_scheduler),
        services=services,
        loops=loops,
    )


def _leaders(opened: Opened, holder: str) -> Leaders:
    """With a broker of its own a process is alone, and leads everything."""
    if not isinstance(opened.broker, KafkaBroker):
        return Leaders()
    return Leaders(
        scheduler=Leadership(opened.database, "scheduler", holder, opened.clock),
        publisher=Leadership(opened.database, "publisher", holder, opened.clock),
    )


def _waker(scheduler: RetryScheduler, leaders: Leaders, signals: Signals | None) -> Callable[[], None]:
    """Something is due, or there is room: who leads the scheduler hears of it, here or in another process."""
    if signals is None:
        return scheduler.wake
    signals.on("tasks", scheduler.wake)

    def wake() -> None:
        if leaders.leads_scheduler():
            scheduler.wake()
        else:
            signals.send("tasks")

    return wake


def _problems(keeper: TopicKeeper) -> dict[str, str]:
    return {"topics": keeper.problem} if keeper.problem else {}


def _token_check(google: GoogleAPIClient) -> TokenCheck:
    async def accepted(token: str) -> bool:
        try:
            await google.token_info(token)
        except GoogleAPIError as error:
            return error.kind is not ErrorKind.UNAUTHENTICATED
        return True

    return accepted
