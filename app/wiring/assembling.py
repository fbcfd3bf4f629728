"""Everything put together from what was opened; nothing works yet."""

import os
import secrets
import socket
from collections.abc import Callable
from functools import partial

from app.api.key_desk import KeyDesk
from app.api.service import APIService
from app.api.services import ApiServices
from app.broker.transactions import FencedError
from app.config.shown import shown
from app.console.sessions import Sessions
from app.credentials import TokenSealer
from app.ingest.buffer import BoundedDequeBuffer
from app.ingest.committer import Arrival, Committer
from app.leadership import Leadership, SteppedDownError
from app.lifecycle import Loop
from app.limits.permits import Api
from app.limits.quota import SharedQuota
from app.limits.spent import SpentBudgets
from app.models.durations import DAY_SECONDS
from app.models.job import JobStatus
from app.observing import StoreNumbersReader, WalkObserver, deque_numbers
from app.pipeline.accounts import AccountWorker
from app.pipeline.control import JobControl
from app.pipeline.exchange import TokenExchange
from app.pipeline.leases import LeaseKeeper
from app.pipeline.locations import LocationWorker
from app.pipeline.owners import TokenOwners
from app.pipeline.refreshing import TokenRefresher
from app.pipeline.reviews import ReviewWorker
from app.pipeline.tokens import SealedTokens
from app.pipeline.tools import Tools
from app.results.activity import ActivityLog
from app.results.audit import AuditLog
from app.results.dead_letters import DeadLetters
from app.results.erasing import Erasing
from app.results.erasures import Erasures
from app.results.events import JobEvents
from app.results.export import Export
from app.results.forecasts import Forecasts
from app.results.housekeeping import Housekeeping
from app.results.key_uses import KeyUses
from app.results.overview import Overviews
from app.results.progress import Progress
from app.results.publisher import ReviewPublisher
from app.results.quotas import Quotas
from app.results.tenants import Tenants
from app.retry.keeper import TopicKeeper
from app.retry.scheduler import IDLE_SECONDS, RetryScheduler
from app.state import AppState, Leaders
from app.store.budgets import StoredBudgets
from app.store.signals import Signals
from app.webhooks.client import CallbackClient
from app.webhooks.desk import Webhooks
from app.webhooks.sender import WebhookSender
from app.webhooks.signing import WebhookSigner
from app.wiring.checks import token_checks
from app.wiring.measuring import process_numbers
from app.wiring.opening import Opened
from app.wiring.readiness import ReadinessCheck
from app.wiring.values import (
    authenticator,
    consumer_group,
    kafka_connection,
    limits_of,
    policy_of,
    sealing_keys,
    submit_limits_of,
    topic_layout,
    window_of,
    worker_options,
)

SCHEDULER_PAUSE_SECONDS = 0.02
"""Between two passes over a store that several processes share: each costs a dozen round trips."""

UNWOKEN_SECONDS = 3.0
"""Where replicas wake each other, the store is asked so seldom by who leads: a signal that was lost costs this much."""


def assemble(opened: Opened) -> AppState:
    """All components of a process, whatever its roles: those that it does not have are not started."""
    settings, clock, database = opened.settings, opened.clock, opened.database
    holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    limits = limits_of(settings)
    quota = SharedQuota(StoredBudgets(database), limits, holder, clock)
    spent = SpentBudgets(clock, limits)
    leaders = _leaders(opened, holder)
    scheduler = _scheduler(opened, spent)
    publisher = _publisher(opened)
    wake = _waker("tasks", scheduler.wake, leaders.scheduler, opened.signals)
    announce = _waker("outbox", publisher.wake, leaders.publisher, opened.signals) if publisher else _nothing
    keys = sealing_keys(settings)
    sealer, signer = TokenSealer(keys), WebhookSigner(keys)
    activity = ActivityLog(database, clock)
    tools = _tools(opened, holder, sealer, quota=quota, spent=spent, activity=activity, wake=wake, announce=announce)
    buffer: BoundedDequeBuffer[Arrival] = BoundedDequeBuffer(max_size=settings.deque.max_size)
    committer = _committer(opened, buffer, wake)
    opened.metrics.watch_deque(deque_numbers(buffer))
    opened.metrics.watch_store(StoreNumbersReader(database, quota, clock))
    loops: list[Loop] = []
    keeper = TopicKeeper(database, opened.broker, clock, leaders.leads_scheduler)
    job_control = JobControl(database, wake, token_wait=settings.token_wait_sec)
    api_service = APIService(
        buffer, committer, sealer, job_control, **token_checks(opened.google, wanted=settings.validate_token_on_submit)
    )
    readiness = ReadinessCheck(database, opened.broker, loops, clock, lambda: _problems(keeper, publisher))
    key_uses = KeyUses(database, clock)
    services = _services(
        opened,
        api_service,
        key_uses,
        job_control=job_control,
        signer=signer,
        quota=quota,
        wake=wake,
        readiness=readiness,
    )
    opened.metrics.watch_process(lambda: process_numbers(state))
    state = AppState(
        **opened._asdict(),
        quota=quota,
        refresher=tools.refresher,
        leases=tools.leases,
        activity=activity,
        key_uses=key_uses,
        leaders=leaders,
        retry_scheduler=scheduler,
        topic_keeper=keeper,
        publisher=publisher,
        account_worker=AccountWorker(tools),
        location_worker=LocationWorker(tools),
        review_worker=ReviewWorker(tools),
        deque_buffer=buffer,
        committer=committer,
        housekeeping=_housekeeping(opened, leaders),
        erasing=_erasing(opened, leaders, announce),
        webhook_sender=_webhook_sender(opened, sealer, signer, leaders),
        services=services,
        sessions=Sessions(sealer, clock, database),
        loops=loops,
    )
    return state


def _tools(
    opened: Opened,
    holder: str,
    sealer: TokenSealer,
    *,
    quota: SharedQuota,
    spent: SpentBudgets,
    activity: ActivityLog,
    wake: Callable[[], None],
    announce: Callable[[], None],
) -> Tools:
    """What the workers of all stages share."""
    clock, database = opened.clock, opened.database
    return Tools(
        database=database,
        broker=opened.broker,
        google=opened.google,
        quota=quota,
        spent_budgets=spent,
        tokens=SealedTokens(sealer),
        refresher=_refresher(opened, sealer, wake),
        owners=TokenOwners(opened.google, clock),
        policy=policy_of(opened.settings),
        leases=LeaseKeeper(database, clock, holder),
        clock=clock,
        wake=wake,
        announce=announce,
        observer=WalkObserver(opened.metrics, activity),
        options=worker_options(opened.settings),
    )


def _committer(opened: Opened, buffer: BoundedDequeBuffer[Arrival], wake: Callable[[], None]) -> Committer:
    settings = opened.settings
    return Committer(
        buffer,
        opened.database,
        committed=wake,
        interval=settings.deque.burst_check_interval_sec,
        limits=submit_limits_of(settings),
        clock=opened.clock,
    )


def _housekeeping(opened: Opened, leaders: Leaders) -> Housekeeping:
    settings = opened.settings
    return Housekeeping(
        opened.database,
        opened.clock,
        settings.token_wait_sec,
        _turn_to_sweep(opened, leaders, "housekeeping"),
        token_max_age=settings.token_max_age_days * DAY_SECONDS,
        swept=partial(opened.metrics.swept, "housekeeping"),
        failed=partial(opened.metrics.job_ended, JobStatus.FAILED.value),
    )


def _erasing(opened: Opened, leaders: Leaders, announce: Callable[[], None]) -> Erasing:
    settings = opened.settings
    return Erasing(
        opened.database,
        opened.clock,
        settings.retention_days,
        publishes=not settings.mock_kafka,
        announce=announce,
        leading=_turn_to_sweep(opened, leaders, "erasing"),
        swept=partial(opened.metrics.swept, "erasing"),
    )


def _turn_to_sweep(opened: Opened, leaders: Leaders, sweep: str) -> Callable[[], bool]:
    """Whether it is this process's turn; the metrics learn of its first, so that a sweep that never goes through is
    seen."""

    def leads() -> bool:
        leading = leaders.leads_scheduler()
        if leading:
            opened.metrics.sweep_is_due(sweep)
        return leading

    return leads


def _refresher(opened: Opened, sealer: TokenSealer, wake: Callable[[], None]) -> TokenRefresher:
    """Renews the access tokens of jobs that have a grant."""
    settings, clock = opened.settings, opened.clock
    policy, token_wait = policy_of(settings), settings.token_wait_sec
    exchange = TokenExchange(opened.database, opened.google, sealer, policy, clock, token_wait=token_wait)
    return TokenRefresher(exchange, clock, wake)


def _services(
    opened: Opened,
    api_service: APIService,
    key_uses: KeyUses,
    *,
    job_control: JobControl,
    signer: WebhookSigner,
    quota: SharedQuota,
    wake: Callable[[], None],
    readiness: ReadinessCheck,
) -> ApiServices:
    """What the routes work with."""
    database = opened.database
    forecasts = Forecasts(database, limits_of(opened.settings)[Api.REVIEWS], quota.snapshot, opened.clock)
    progress = Progress(database, forecasts)
    return ApiServices(
        api_service=api_service,
        authenticator=authenticator(
            opened.settings,
            database,
            opened.clock,
            used=key_uses.used,
            refused=opened.metrics.authentication_failed,
        ),
        keys=KeyDesk(database),
        progress=progress,
        events=JobEvents(progress, opened.clock, most_streams=opened.settings.max_event_streams),
        tenants=Tenants(database, submit_limits_of(opened.settings)),
        overviews=Overviews(
            database, publishes=not opened.settings.mock_kafka, max_redrives=opened.settings.dlq_max_redrives
        ),
        export=Export(database),
        dead_letters=DeadLetters(database, wake, opened.settings.dlq_max_redrives),
        erasures=Erasures(database),
        job_control=job_control,
        webhooks=Webhooks(database, signer),
        audit=AuditLog(database, opened.clock),
        quota=Quotas(database, quota.snapshot).of,
        settings=shown(opened.settings),
        readiness=readiness,
        metrics_text=opened.metrics.scrape,
    )


def _webhook_sender(opened: Opened, sealer: TokenSealer, signer: WebhookSigner, leaders: Leaders) -> WebhookSender:
    client = CallbackClient(opened.settings.webhook.allowed_networks)
    return WebhookSender(
        opened.database,
        client,
        sealer=sealer,
        signer=signer,
        metrics=opened.metrics,
        clock=opened.clock,
        leading=leaders.leads_scheduler,
    )


def _scheduler(opened: Opened, spent: SpentBudgets) -> RetryScheduler:
    """A store that several processes share is asked in fewer passes."""
    settings = opened.settings
    pause = 0.0 if settings.mock_kafka else SCHEDULER_PAUSE_SECONDS
    return RetryScheduler(
        opened.database, opened.broker, opened.clock, spent, window_of(settings), pause=pause, idle=_idle(opened)
    )


def _leaders(opened: Opened, holder: str) -> Leaders:
    """With a broker of its own a process is alone, and leads everything."""
    if opened.settings.mock_kafka:
        return Leaders()
    return Leaders(
        scheduler=Leadership(opened.database, "scheduler", holder, opened.clock),
        publisher=Leadership(opened.database, "publisher", holder, opened.clock),
    )


def _publisher(opened: Opened) -> ReviewPublisher | None:
    """Without Kafka there is no topic to publish to."""
    settings = opened.settings
    if settings.mock_kafka:
        return None
    return ReviewPublisher(
        opened.database,
        kafka_connection(settings.kafka),
        consumer_group(settings.kafka),
        opened.clock,
        layout=topic_layout(settings),
        topic_prefix=settings.kafka.topic_prefix,
        idle=_idle(opened),
        published=opened.metrics.published,
    )


def _idle(opened: Opened) -> float:
    return UNWOKEN_SECONDS if opened.signals else IDLE_SECONDS


def _waker(
    topic: str, wake: Callable[[], None], leadership: Leadership | None, signals: Signals | None
) -> Callable[[], None]:
    """There is work for who leads: it hears of it, here or in another process."""
    if signals is None or leadership is None:
        return wake
    signals.on(topic, wake)

    def tell() -> None:
        if leadership.leading:
            wake()
        else:
            signals.send(topic)

    return tell


def _nothing() -> None:
    """Nobody publishes."""


def _problems(keeper: TopicKeeper, publisher: ReviewPublisher | None) -> dict[str, str]:
    told = {"topics": keeper.problem, "publisher": publisher.problem if publisher else None}
    return {name: problem for name, problem in told.items() if problem}


async def publish_until_fenced(publisher: ReviewPublisher) -> None:
    """A publisher whose place another has taken stands by again: that is no failure."""
    try:
        await publisher.run()
    except FencedError as error:
        raise SteppedDownError(str(error)) from error
