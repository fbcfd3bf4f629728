"""What has to be opened before the rest can be put together: store, signals, broker, Google or its simulator."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import structlog

from app.broker.base import Broker
from app.broker.in_process import InProcessBroker
from app.broker.kafka import KafkaBroker
from app.clock import Clock
from app.config import ConfigurationError, PostgresqlServer, Settings, check_fit_to_start, check_sealing_keys
from app.google.client import GoogleAPIClient
from app.google.endpoints import Endpoints
from app.models.audit import SYSTEM
from app.models.job import Stage
from app.simulator import Catalogue, Faults, Simulator
from app.store.database import Database
from app.store.keys import count_valid_keys
from app.store.migrate import migrate_and_record
from app.store.postgresql import PostgresDatabase
from app.store.sealing import keys_in_use
from app.store.signals import Signals
from app.store.sqlite import SqliteDatabase
from app.telemetry.events import Event
from app.telemetry.metrics import Metrics
from app.wiring.checks import CHECKS_AT_ONCE
from app.wiring.tracing import open_tracing
from app.wiring.values import (
    SHARED_WINDOW_PER_SLOT,
    consumer_group,
    kafka_connection,
    sealing_key_ids,
    topic_layout,
)

if TYPE_CHECKING:
    from app.telemetry.otlp import OtlpTracer

MOCK_PAGE_CACHE_BYTES = 8 * 2**20
MOCK_LEDGER_CALLS = 100_000
"""The simulator inside the service shares its memory: small, where the one in a process of its own is generous."""

KAFKA_DEADLINE_SECONDS = 10.0

log = structlog.get_logger(__name__)


class Opened(NamedTuple):
    """The outside of a service. `signals` between replicas: where several can share the store."""

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


SPARE_CONNECTIONS = 8
"""To Google, for tokens that are renewed while their jobs go on with the old ones."""


async def open_components(settings: Settings, clock: Clock, undo: AsyncExitStack) -> Opened:
    """Open everything; `undo` learns how to close what was opened so far."""
    metrics = Metrics(clock, settings.version)
    tracer = await open_tracing(settings, metrics, undo)
    database = await _open_database(settings, metrics, undo)
    check_fit_to_start(settings, stored_api_keys=await database.read(count_valid_keys) > 0)
    check_sealing_keys(settings, sealing_key_ids(settings), await database.read(keys_in_use))
    signals = await _open_signals(settings, clock, undo)
    broker = await _open_broker(settings, clock, undo)
    simulator = await _open_simulator(settings, undo)
    base_url = simulator.url if simulator else settings.google_api_base_url
    google = await _open_google(settings, base_url, metrics, undo)
    return Opened(settings, clock, metrics, database, signals, broker, simulator, google, base_url, tracer)


async def _open_database(settings: Settings, metrics: Metrics, undo: AsyncExitStack) -> Database:
    database = database_of(settings, exclusive=settings.mock_kafka, committed=metrics.committed)
    undo.push_async_callback(database.close)
    await database.start()
    revision = await database.write(migrate_and_record, SYSTEM)
    log.info(Event.STORE_OPENED, store=await database.version(), revision=revision)
    return database


def database_of(
    settings: Settings, *, exclusive: bool, committed: Callable[[int], None] = lambda _units: None
) -> SqliteDatabase | PostgresDatabase:
    """The store that DATABASE_URL names, not opened. `exclusive`: for a service that must be alone on PostgreSQL.

    A service is always alone on a SQLite file, whatever its broker.
    """
    where = settings.database
    if isinstance(where, PostgresqlServer):
        return PostgresDatabase(where.url.get_secret_value(), exclusive=exclusive, committed=committed)
    return SqliteDatabase(where.path, exclusive=True, committed=committed)


async def _open_signals(settings: Settings, clock: Clock, undo: AsyncExitStack) -> Signals | None:
    where = settings.database
    if settings.mock_kafka or not isinstance(where, PostgresqlServer):
        return None
    signals = Signals(where.url.get_secret_value(), clock)
    undo.push_async_callback(signals.close)
    await signals.start()
    return signals


async def _open_broker(settings: Settings, clock: Clock, undo: AsyncExitStack) -> Broker:
    broker = broker_of(settings, clock)
    undo.push_async_callback(broker.close)
    await broker.start()
    return broker


def broker_of(settings: Settings, clock: Clock) -> KafkaBroker | InProcessBroker:
    """The broker that the settings name, not started."""
    if settings.mock_kafka:
        return InProcessBroker()
    return KafkaBroker(
        kafka_connection(settings.kafka),
        consumer_group(settings.kafka),
        clock,
        layout=topic_layout(settings),
        topic_prefix=settings.kafka.topic_prefix,
        auto_offset_reset=settings.kafka.auto_offset_reset,
        deadline=KAFKA_DEADLINE_SECONDS,
        buffer=2 * SHARED_WINDOW_PER_SLOT * settings.worker_concurrency,
    )


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


async def _open_google(settings: Settings, base_url: str, metrics: Metrics, undo: AsyncExitStack) -> GoogleAPIClient:
    endpoints = Endpoints.at(base_url) if base_url else Endpoints.google()
    # One for every task of every stage and every check: nobody's deadline passes in a queue for one.
    connections = len(Stage) * settings.worker_concurrency + SPARE_CONNECTIONS + CHECKS_AT_ONCE
    google = GoogleAPIClient(endpoints, connections=connections, asked_about_token=metrics.called)
    undo.push_async_callback(google.close)
    await google.start()
    return google
