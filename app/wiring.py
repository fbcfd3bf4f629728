"""The composition root: from settings to a running service, and back. The only room that knows all the others."""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import structlog

from app.api.auth import Authenticator, parse_api_keys
from app.api.schemas import Readiness
from app.api.service import APIService, TokenCheck
from app.api.services import ApiServices
from app.broker.base import Broker
from app.broker.in_process import InProcessBroker
from app.clock import Clock, SystemClock
from app.config import ConfigurationError, PostgresqlServer, Settings, check_fit_to_start
from app.crash import arm
from app.credentials import SealingKey, TokenSealer, load_or_create_key
from app.google.client import GoogleAPIClient
from app.google.endpoints import Endpoints
from app.google.errors import ErrorKind, GoogleAPIError
from app.ingest.buffer import BoundedDequeBuffer
from app.ingest.committer import Arrival, Committer
from app.lifecycle import Loop
from app.limits.permits import Api
from app.limits.quota import SharedQuota
from app.limits.rules import Limits
from app.limits.spent import SpentBudgets
from app.models.job import Stage
from app.models.settlement import SettleOptions
from app.observing import StoreNumbersReader, WalkObserver, deque_numbers
from app.pipeline.accounts import AccountWorker
from app.pipeline.control import JobControl
from app.pipeline.leases import LeaseKeeper
from app.pipeline.locations import LocationWorker
from app.pipeline.owners import TokenOwners
from app.pipeline.reviews import ReviewWorker
from app.pipeline.tokens import SealedTokens
from app.pipeline.worker import Tools, WorkerOptions
from app.results.dead_letters import DeadLetters
from app.results.export import Export
from app.results.housekeeping import Housekeeping
from app.results.progress import Progress
from app.retry.policy import ExponentialBackoffPolicy
from app.retry.scheduler import RetryScheduler
from app.simulator import Catalogue, Faults, Simulator
from app.state import AppState
from app.store.budgets import StoredBudgets
from app.store.database import Database
from app.store.keys import count_keys
from app.store.migrate import migrate
from app.store.postgresql import PostgresDatabase
from app.store.release import Window
from app.store.sqlite import SqliteDatabase
from app.telemetry.events import Event
from app.telemetry.metrics import Metrics

WINDOW_PER_SLOT = 4
"""Released and not yet claimed tasks, for each task that a stage works on at once: the next are at hand, and of one
job no more than one for each: work of another job finds its place among them at once."""

DRAIN_SECONDS = 15.0
"""For pages in flight at a stop. Slow clients may take 3 s before, and a store that is away 6 s after it: an orderly
stop ends within 25 s."""

READY_CHECK_SECONDS = 5.0

MOCK_PAGE_CACHE_BYTES = 8 * 2**20
MOCK_LEDGER_CALLS = 100_000
"""The simulator inside the service shares its memory: small, where the one in a process of its own is generous."""

log = structlog.get_logger(__name__)


class _Opened(NamedTuple):
    """What had to be opened before the rest can be put together."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    database: Database
    simulator: Simulator | None
    google: GoogleAPIClient
    google_base_url: str


async def initialize_components(settings: Settings, clock: Clock | None = None) -> AppState:
    """Make everything and open what must be open; nothing works yet. Undoes what it opened when it fails."""
    clock = clock or SystemClock()
    arm(settings.crash_at)
    async with AsyncExitStack() as undo:
        metrics = Metrics(clock)
        database = await _open_database(settings, metrics, undo)
        check_fit_to_start(settings, stored_api_keys=await database.read(count_keys) > 0)
        simulator = await _open_simulator(settings, undo)
        base_url = simulator.url if simulator else settings.google_api_base_url
        google = await _open_google(settings, base_url, undo)
        state = _assemble(_Opened(settings, clock, metrics, database, simulator, google, base_url))
        undo.pop_all()
    return state


async def _open_database(settings: Settings, metrics: Metrics, undo: AsyncExitStack) -> Database:
    database = database_of(settings, exclusive=True, committed=metrics.committed)
    undo.push_async_callback(database.close)
    await database.start()
    revision = await database.write(migrate)
    log.info(Event.STORE_OPENED, store=await database.version(), revision=revision)
    return database


def database_of(
    settings: Settings, *, exclusive: bool, committed: Callable[[int], None] | None = None
) -> SqliteDatabase | PostgresDatabase:
    """The store that DATABASE_URL names, not opened. `exclusive`: for the service, not for a command beside it."""
    where = settings.database
    if isinstance(where, PostgresqlServer):
        return PostgresDatabase(where.url.get_secret_value(), exclusive=exclusive)
    return SqliteDatabase(where.path, exclusive=exclusive, committed=committed)


async def _open_simulator(settings: Settings, undo: AsyncExitStack) -> Simulator | None:
    if not settings.mock_google_api:
        return None
    world = settings.simulator
    catalogue = Catalogue(seed=world.seed, accounts=world.accounts, locations=world.locations, reviews=world.reviews)
    simulator = Simulator(
        catalogue, _faults(world.faults), page_cache_bytes=MOCK_PAGE_CACHE_BYTES, ledger_calls=MOCK_LEDGER_CALLS
    )
    undo.push_async_callback(simulator.stop)
    await simulator.start()
    log.info(Event.SIMULATOR_STARTED, url=simulator.url)
    return simulator


def _faults(setting: str) -> Faults:
    if setting in ("good", "flaky"):
        return Faults.preset(setting)
    try:
        return Faults.parse(Path(setting).read_bytes())
    except (OSError, ValueError) as error:
        problem = f"SIMULATOR_FAULTS: {setting} is neither good, flaky nor a file of faults: {error}"
        raise ConfigurationError([problem]) from error


async def _open_google(settings: Settings, base_url: str, undo: AsyncExitStack) -> GoogleAPIClient:
    endpoints = Endpoints.at(base_url) if base_url else Endpoints.google()
    # A connection for every task of every stage: nobody's deadline passes in a queue for one.
    google = GoogleAPIClient(endpoints, connections=len(Stage) * settings.worker_concurrency + 8)
    undo.push_async_callback(google.close)
    await google.start()
    return google


def _assemble(opened: _Opened) -> AppState:
    settings, clock, database = opened.settings, opened.clock, opened.database
    holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    sealer = TokenSealer(_sealing_keys(settings))
    quota = SharedQuota(StoredBudgets(database), limits_of(settings), holder, clock)
    tools, scheduler = _tools(opened, InProcessBroker(), quota, SealedTokens(sealer), holder)
    buffer: BoundedDequeBuffer[Arrival] = BoundedDequeBuffer(max_size=settings.deque.max_size)
    interval = settings.deque.burst_check_interval_sec
    committer = Committer(buffer, database, committed=scheduler.wake, interval=interval, clock=clock)
    opened.metrics.watch_deque(deque_numbers(buffer))
    opened.metrics.watch_store(StoreNumbersReader(database, quota, clock))
    loops: list[Loop] = []
    job_control = JobControl(database, scheduler.wake, token_wait=settings.token_wait_sec)
    check = _token_check(opened.google) if settings.validate_token_on_submit else None
    api_service = APIService(buffer, committer, sealer, job_control, check_token=check)
    services = ApiServices(
        api_service=api_service,
        authenticator=_authenticator(settings, database, clock),
        progress=Progress(database),
        export=Export(database),
        dead_letters=DeadLetters(database, scheduler.wake),
        job_control=job_control,
        quota=quota.snapshot,
        readiness=_readiness(database, loops),
        metrics_text=opened.metrics.scrape,
    )
    return AppState(
        **opened._asdict(),
        broker=tools.broker,
        quota=quota,
        leases=tools.leases,
        retry_scheduler=scheduler,
        account_worker=AccountWorker(tools),
        location_worker=LocationWorker(tools),
        review_worker=ReviewWorker(tools),
        deque_buffer=buffer,
        committer=committer,
        housekeeping=Housekeeping(database, clock, settings.token_wait_sec),
        services=services,
        loops=loops,
    )


def _tools(
    opened: _Opened, broker: Broker, quota: SharedQuota, tokens: SealedTokens, holder: str
) -> tuple[Tools, RetryScheduler]:
    """What the workers share, and the scheduler that gives them work."""
    settings, clock, database = opened.settings, opened.clock, opened.database
    spent = SpentBudgets(clock)
    slots = settings.worker_concurrency
    window = Window(total=WINDOW_PER_SLOT * slots, per_job=slots)
    scheduler = RetryScheduler(database, broker, clock, spent, window)
    tools = Tools(
        database=database,
        broker=broker,
        google=opened.google,
        quota=quota,
        spent_budgets=spent,
        tokens=tokens,
        owners=TokenOwners(opened.google, clock),
        policy=_policy(settings),
        leases=LeaseKeeper(database, clock, holder),
        clock=clock,
        wake=scheduler.wake,
        observer=WalkObserver(opened.metrics),
        options=_worker_options(settings),
    )
    return tools, scheduler


def _sealing_keys(settings: Settings) -> list[SealingKey]:
    configured = [SealingKey(key_id, secret) for key_id, secret in settings.sealing_keys]
    return configured or [load_or_create_key(settings.data_directory / "sealing.key")]


def limits_of(settings: Settings) -> dict[str, Limits]:
    """The same limits for each of Google's three APIs: each counts by itself."""
    rates = settings.rate_limit
    limits = Limits(
        bucket_capacity=rates.token_bucket_capacity,
        refill_rate=rates.refill_rate,
        per_minute=rates.per_minute,
        per_day=rates.per_day,
        reserve_percent=settings.quota_reserve_percent,
        day_zone=rates.day_zone,
    )
    return {str(api): limits for api in Api}


def _policy(settings: Settings) -> ExponentialBackoffPolicy:
    retry = settings.retry
    return ExponentialBackoffPolicy(
        retry.initial_backoff_ms, retry.backoff_multiplier, retry.max_backoff_ms, retry.max_retries
    )


def _worker_options(settings: Settings) -> WorkerOptions:
    # Nobody publishes to reviews-raw here: the store's feed and export are that topic (docs/architecture.md).
    options = SettleOptions(announce=False, token_wait=settings.token_wait_sec)
    return WorkerOptions(settings.worker_concurrency, settings.max_review_bytes, options)


def _authenticator(settings: Settings, database: Database, clock: Clock) -> Authenticator:
    keys = parse_api_keys(key.get_secret_value() for key in settings.api_keys)
    return Authenticator(
        database,
        static_keys=keys,
        open_on_loopback=settings.environment == "development",
        clock=clock,
    )


def _token_check(google: GoogleAPIClient) -> TokenCheck:
    async def accepted(token: str) -> bool:
        try:
            await google.token_info(token)
        except GoogleAPIError as error:
            return error.kind is not ErrorKind.UNAUTHENTICATED
        return True

    return accepted


def _readiness(database: Database, loops: list[Loop]) -> Callable[[], Awaitable[Readiness]]:
    async def check() -> Readiness:
        checks = {"store": await _store_check(database)}
        checks |= {loop.name: "ok" if loop.healthy else "keeps dying: see the logs" for loop in loops}
        return Readiness(ready=bool(loops) and set(checks.values()) == {"ok"}, checks=checks)

    return check


async def _store_check(database: Database) -> str:
    """By a write: a store that can only be read cannot do the service's work."""
    try:
        async with asyncio.timeout(READY_CHECK_SECONDS):
            await database.write(lambda _transaction: None)
    except TimeoutError:
        return f"did not answer within {READY_CHECK_SECONDS:.0f} s"
    except Exception as error:
        return str(error) or type(error).__name__
    return "ok"


async def start_background_tasks(state: AppState) -> None:
    """Start the guide's loops: producer, retry, workers; and those that keep leases and house."""
    await state.broker.start()
    await state.retry_scheduler.begin()
    bodies: dict[str, Callable[[], Awaitable[None]]] = {
        "producer_loop": state.committer.run,
        "retry_loop": state.retry_scheduler.run,
        "account_worker": state.account_worker.run,
        "location_worker": state.location_worker.run,
        "review_worker": state.review_worker.run,
        "leases": state.leases.run,
        "housekeeping": state.housekeeping.run,
    }
    for name, body in bodies.items():
        loop = Loop(name, body, state.clock, restarted=state.metrics.loop_restarted)
        state.loops.append(loop)
        loop.start()
    log.info(Event.SERVICE_STARTED, google=state.google_base_url or "Google")


async def shutdown_background_tasks(state: AppState) -> None:
    """Stop in reverse: accept nothing more, finish the pages in flight, give back what is held, close. Idempotent."""
    await state.committer.stop()
    await _stop_loops(state, "retry_loop", "housekeeping")
    workers = (state.account_worker, state.location_worker, state.review_worker)
    await asyncio.gather(*(worker.stop(DRAIN_SECONDS) for worker in workers))
    await _stop_loops(state, *(loop.name for loop in state.loops))
    await close_components(state)
    log.info(Event.SERVICE_STOPPED)


async def _stop_loops(state: AppState, *names: str) -> None:
    for loop in [loop for loop in state.loops if loop.name in names]:
        await loop.stop()
        state.loops.remove(loop)


async def close_components(state: AppState) -> None:
    """Let go of what `initialize_components` opened. Idempotent."""
    await state.quota.close()
    await state.broker.close()
    await state.google.close()
    if state.simulator is not None:
        await state.simulator.stop()
    await state.database.close()
