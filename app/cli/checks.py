"""What `doctor` looks at. A check finds something out, changes nothing, and knows what to do about it."""

import asyncio
import difflib
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from dotenv import dotenv_values

from app.api.authenticator import ApiKeySettingError, parse_api_keys
from app.cli import process_checks
from app.cli.findings import Finding, Health
from app.cli.local import database_of
from app.cli.sealing_checks import keys_of_the_store, sealing_key
from app.clock import SystemClock
from app.config import (
    ConfigurationError,
    PostgresqlServer,
    Settings,
    SqliteFile,
    check_fit_to_start,
    load_settings,
    variables,
)
from app.edge.files import SPARE_FILES, allowed_files
from app.google.client import GoogleAPIClient
from app.google.endpoints import Endpoints
from app.limits.quota import SharedQuota
from app.limits.views import BudgetView
from app.store.budgets import StoredBudgets
from app.store.database import Database, StoreUnavailableError
from app.store.keys import count_valid_keys
from app.store.migrate import SchemaTooNewError, fits, head_revision, revision
from app.wiring import limits_of

LEAST_DISK_BYTES = 200 * 2**20
COMFORTABLE_DISK_BYTES = 2 * 2**30
"""About a million and a half reviews."""

OLDEST_POSTGRESQL = 15
"""The oldest that the tests run on."""

STORE_SECONDS = 5.0
GOOGLE_SECONDS = 10.0


async def examine() -> list[Finding]:
    """Every check, in the order in which a person would mend things."""
    findings = misspelled(os.environ | _env_file())
    try:
        settings = load_settings()
    except ConfigurationError as error:
        broken = [Finding("configuration", Health.BROKEN, problem) for problem in error.problems]
        return [*broken, *findings, sqlite_version()]
    findings.append(Finding("configuration", Health.OK, f"{settings.environment}, store {settings.database}"))
    findings += [finding async for finding in _of_the_store(settings)]
    findings += [sealing_key(settings), disk(settings), open_files(settings), sqlite_version()]
    findings += [process_checks.port(settings), process_checks.roles(settings), await process_checks.kafka(settings)]
    findings += [finding async for finding in _of_google(settings)]
    return findings


def _env_file() -> dict[str, str]:
    """What `.env` sets; nothing when it is not text, which `load_settings` tells."""
    try:
        return {name: value or "" for name, value in dotenv_values(".env").items()}
    except UnicodeDecodeError:
        return {}


def misspelled(environment: Mapping[str, str]) -> list[Finding]:
    """Variables that are none of ours and look as if they were meant to be."""
    known = [variable.name for variable in variables(Settings)]
    all_known = {*known, *(f"{name}_FILE" for name in known)}
    findings = []
    for name in sorted(set(environment) - all_known):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.87)
        if near:
            findings.append(
                Finding("configuration", Health.WARNING, f"{name} is no setting", f"did you mean {near[0]}?")
            )
    return findings


def sqlite_version() -> Finding:
    """3.7.0 to 3.51.2 can lose a WAL when several connections checkpoint; the service lets only one."""
    return Finding("SQLite", Health.OK, sqlite3.sqlite_version)


def open_files(settings: Settings) -> Finding:
    """The process's hard limit of open files, of which each connection is one; the service raises the soft one."""
    allowed, needed = allowed_files(), settings.edge.max_connections + SPARE_FILES
    if allowed is None or allowed >= needed:
        return Finding("open files", Health.OK, f"enough for MAX_CONNECTIONS={settings.edge.max_connections}")
    found = f"up to {allowed}, which is {max(1, allowed - SPARE_FILES)} connections"
    mend = f"raise the hard limit to {needed} (ulimit -Hn, systemd's LimitNOFILE), or lower MAX_CONNECTIONS"
    return Finding("open files", Health.WARNING, found, mend)


def disk(settings: Settings) -> Finding:
    """Room and right to write where the service keeps its files."""
    if isinstance(settings.database, PostgresqlServer) and settings.sealing_keys:
        return Finding("disk", Health.OK, "no files are kept here")
    directory = _nearest(settings.data_directory)
    if not directory.is_dir():
        mend = "move it away, or set DATABASE_URL to a file in a folder"
        return Finding("disk", Health.BROKEN, f"{directory} is a file and no folder", mend)
    if not os.access(directory, os.W_OK | os.X_OK):
        return Finding("disk", Health.BROKEN, f"{directory} cannot be written to", f"chown or chmod {directory}")
    free = shutil.disk_usage(directory).free
    found = f"{free / 2**30:.1f} GiB free in {directory}"
    if free < LEAST_DISK_BYTES:
        return Finding("disk", Health.BROKEN, found, "make room, or move the store by DATABASE_URL")
    if free < COMFORTABLE_DISK_BYTES:
        return Finding("disk", Health.WARNING, found, "a million reviews take about 1.2 GiB")
    return Finding("disk", Health.OK, found)


def _nearest(directory: Path) -> Path:
    """The directory, or the first above it that exists; a file when one stands in the way."""
    candidates = [directory.absolute(), *directory.absolute().parents]
    return next(candidate for candidate in candidates if candidate.exists())


async def _of_the_store(settings: Settings) -> AsyncIterator[Finding]:
    where = settings.database
    if isinstance(where, SqliteFile) and not where.path.exists():
        yield Finding("store", Health.OK, f"none yet; {where.path} is made at the first start")
        yield _fitness(settings, stored_api_keys=False)
        return
    database = database_of(settings, exclusive=False)
    try:
        async with asyncio.timeout(STORE_SECONDS):
            await database.start()
            for check in (tables, _budgets, keys_of_the_store, _api_keys):
                yield await check(settings, database)
    except SchemaTooNewError as error:
        yield Finding("store", Health.BROKEN, str(where), str(error))
    except (StoreUnavailableError, TimeoutError) as error:
        yield Finding("store", Health.BROKEN, f"{where}: {error or 'no answer'}", _mend_store(where))
    finally:
        await database.close()


def _mend_store(where: SqliteFile | PostgresqlServer) -> str:
    if isinstance(where, PostgresqlServer):
        return "is PostgreSQL running, and do host, user and password in DATABASE_URL fit?"
    return f"may the service read and write {where.path} and its directory, and is it a database of this service?"


async def tables(_settings: Settings, database: Database) -> Finding:
    """Which server it is, and whether its tables are this version's."""
    version = await database.version()
    text = f"{version}, revision {await database.read(revision)}"
    name, _, number = version.partition(" ")
    if name == "PostgreSQL" and int(number.partition(".")[0]) < OLDEST_POSTGRESQL:
        return Finding("store", Health.WARNING, text, f"PostgreSQL {OLDEST_POSTGRESQL} is the oldest that is tested")
    if await database.read(fits):
        return Finding("store", Health.OK, text)
    return Finding(
        "store", Health.WARNING, text, f"revision {head_revision()} is current: run `review-fetcher migrate`"
    )


async def _budgets(settings: Settings, database: Database) -> Finding:
    """The budget that has least left, and whether Google has closed one."""
    budgets: list[BudgetView] = []
    if await database.read(fits):
        quota = SharedQuota(StoredBudgets(database), limits_of(settings), "doctor", SystemClock())
        budgets = list(await quota.snapshot())
    closed = [budget for budget in budgets if budget.closed_until is not None]
    if closed:
        names = ", ".join(f"{budget.api} of project {budget.project}: {budget.reason}" for budget in closed)
        return Finding("quota", Health.WARNING, f"closed: {names}", "nothing to do: it opens again by itself")
    left = [(window.left, budget.api, window) for budget in budgets for window in budget.windows]
    if not left:
        return Finding("quota", Health.OK, "nothing spent yet")
    calls, api, window = min(left, key=lambda item: item[0] / item[2].limit)
    return Finding("quota", Health.OK, f"least left: {calls:.0f} of {window.limit:.0f} calls, {api}, {window.name}")


async def _api_keys(settings: Settings, database: Database) -> Finding:
    stored = 0
    if await database.read(fits):
        stored = await database.read(count_valid_keys)
    return _fitness(settings, stored_api_keys=stored > 0)


def _fitness(settings: Settings, *, stored_api_keys: bool) -> Finding:
    """Whether the service may start like this, and who may call it."""
    try:
        configured = parse_api_keys(key.get_secret_value() for key in settings.api_keys)
        check_fit_to_start(settings, stored_api_keys=stored_api_keys)
    except (ApiKeySettingError, ConfigurationError) as error:
        return Finding("start", Health.BROKEN, "the service refuses to start", str(error).replace("\n", "; "))
    if configured or stored_api_keys:
        return Finding("start", Health.OK, "allowed; callers need an API key")
    open_to = "this machine, without a key" if settings.environment == "development" else "nobody: there is no API key"
    return Finding("start", Health.OK, f"allowed; open to {open_to}")


async def _of_google(settings: Settings) -> AsyncIterator[Finding]:
    if settings.mock_google_api:
        yield process_checks.faults(settings)
        mend = "" if settings.environment == "development" else "MOCK_GOOGLE_API=false fetches from the real one"
        yield Finding("Google", Health.OK, "the built-in simulator", mend)
        return
    base = settings.google_api_base_url
    endpoints = Endpoints.at(base) if base else Endpoints.google()
    async with GoogleAPIClient(endpoints, deadline=GOOGLE_SECONDS) as google:
        for host in await google.reachable():
            if host.answered:
                yield Finding("Google", Health.OK, f"{host.url} answers")
            else:
                yield Finding("Google", Health.BROKEN, f"{host.url}: {host.cause}", "without it nothing can be fetched")
