"""Stops, crashes and outages cost no page: judged by what Google was asked for."""

import asyncio
import sqlite3
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.simulator import Catalogue, Faults, Simulator
from app.simulator.faults import Hold, Latency
from app.store.database import Database, StoreUnavailableError
from app.store.settle import settle
from app.store.sqlite import SqliteDatabase
from app.store.tasks import claim
from app.wiring import opening
from tests.support.clock import settle_loop
from tests.support.engine import pages_read, running_engine, truth
from tests.support.simulator import running_simulator
from tests.support.stack import Stack

WORLD = Catalogue(accounts=2, locations=6, reviews=170)
PAGES = 12 * 4


def pages_asked_twice(google: Simulator) -> dict[tuple[str, str], int]:
    asked = Counter((call["path"], call["page_token"]) for call in google.ledger.entries() if call["status"] == 200)
    return {page: count for page, count in asked.items() if count > 1}


async def test_an_orderly_stop_settles_what_is_in_flight_and_the_next_start_asks_for_no_page_again(
    stack: Stack,
) -> None:
    async with running_simulator(WORLD, Faults(rules=(Hold(api="reviews", after=11),))) as google:
        async with running_engine(stack, google.url) as engine:
            job_id = await engine.submit()
            assert await google.signals.reached({"held": 8}, 30)
            google.faults.replace(Faults(rules=(Latency(seconds=0.5),)))
            google.release()
        google.clear_faults()
        assert 0 < google.ledger.calls("reviews") < PAGES
        async with running_engine(stack, google.url) as engine:
            job = await engine.job_ended(job_id)
            assert job["status"] == "completed"
            assert await engine.reviews(job_id) == truth(google)
        assert pages_asked_twice(google) == {}


async def test_a_stop_ends_though_every_place_is_taken_and_more_work_waits(stack: Stack) -> None:
    """What is released behind the pages in flight is not begun any more."""
    async with running_simulator(WORLD, Faults(rules=(Hold(api="reviews"),))) as google:
        async with running_engine(stack, google.url, worker_concurrency=2) as engine:
            job_id = await engine.submit()
            assert await google.signals.reached({"held": 2}, 30)
            google.clear_faults()
            stopping = asyncio.create_task(engine.state.review_worker.stop(20))
            await settle_loop()
            google.release()
            await stopping
        assert google.ledger.calls("reviews") == 2
        async with running_engine(stack, google.url) as engine:
            assert (await engine.job_ended(job_id))["status"] == "completed"
        assert pages_asked_twice(google) == {}


async def test_a_process_that_dies_costs_the_pages_in_flight_and_no_other(tmp_path: Path) -> None:
    """It dies without a word to its store: nothing is given back, no lease ends."""
    async with running_simulator(WORLD, Faults(rules=(Hold(api="reviews", after=11),))) as google:
        async with running_engine(Stack.on_sqlite(tmp_path), google.url) as engine:
            job_id = await engine.submit()
            assert await google.signals.reached({"held": 8}, 30)
            copy = copy_store(tmp_path / "reviews.db", tmp_path / "dead")
            rows = await engine.reviews(job_id)
            google.clear_faults()
            google.ledger.reset()
            await engine.state.services.job_control.cancel("default", job_id)
            google.release()
        google.ledger.reset()
        async with running_engine(Stack.on_sqlite(copy), google.url) as engine:
            assert await engine.reviews(job_id) == rows
            assert (await engine.job_ended(job_id))["status"] == "completed"
            assert await engine.reviews(job_id) == truth(google)
        assert google.ledger.calls("reviews") == PAGES - 11
        assert google.ledger.calls("accounts") == 0


def copy_store(file: Path, directory: Path) -> Path:
    """What a kill -9 at this moment would leave behind; the service's key beside it."""
    directory.mkdir()
    with sqlite3.connect(file) as source, sqlite3.connect(directory / file.name) as target:
        source.backup(target)
    source.close()
    target.close()
    key = file.with_name("sealing.key")
    (directory / key.name).touch(mode=0o600)
    (directory / key.name).write_bytes(key.read_bytes())
    return directory


class Refusals:
    """Rings when the store has refused so many writes."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch, wanted: int) -> None:
        self.reached = asyncio.Event()
        self._write = database.write
        self._left = wanted
        monkeypatch.setattr(database, "write", self.write)

    async def write(self, *arguments: Any) -> Any:
        try:
            return await self._write(*arguments)
        except StoreUnavailableError:
            self._left -= 1
            if self._left <= 0:
                self.reached.set()
            raise


async def test_a_store_that_is_away_for_a_while_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process locks the file for longer than anyone waits for it."""
    monkeypatch.setattr(opening, "SqliteDatabase", partial(SqliteDatabase, busy_timeout_ms=20))
    faults = Faults(rules=(Hold(api="reviews", after=11),))
    async with (
        running_simulator(WORLD, faults) as google,
        running_engine(Stack.on_sqlite(tmp_path), google.url) as engine,
    ):
        job_id = await engine.submit()
        assert await google.signals.reached({"held": 8}, 30)
        refusals = Refusals(engine.state.database, monkeypatch, wanted=16)
        thief = sqlite3.connect(tmp_path / "reviews.db", isolation_level=None)
        thief.execute("BEGIN EXCLUSIVE")
        before = engine.changes.settlements
        google.clear_faults()
        google.release()
        await refusals.reached.wait()
        assert engine.changes.settlements == before
        thief.execute("ROLLBACK")
        thief.close()
        job = await engine.job_ended(job_id)
        assert job["status"] == "completed"
        assert await engine.reviews(job_id) == truth(google)
        read = list(pages_read(google))
        assert len(read) == len(set(read)) == PAGES


async def test_a_commit_whose_answer_is_lost_is_found_and_its_page_not_read_again(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks after the commit: the worker must not take its own settle for another's, nor leave a task
    that it was given to a lease that outlasts this test."""
    monkeypatch.setattr("app.pipeline.claims.LEASE_SECONDS", 600.0)
    async with running_simulator(WORLD) as google, running_engine(stack, google.url) as engine:
        write, broken = engine.state.database.write, Counter[str]()

        async def breaks(work: Any, *arguments: Any) -> Any:
            answer = await write(work, *arguments)
            if work in (claim, settle):
                broken[work.__name__] += 1
                if broken[work.__name__] % 5 == 0:
                    raise StoreUnavailableError("the connection broke")
            return answer

        monkeypatch.setattr(engine.state.database, "write", breaks)
        job = await engine.fetch()
        assert broken["settle"] > PAGES
        assert (job["status"], job["tasks_done"]) == ("completed", 15)
        assert await engine.reviews(job["id"]) == truth(google)
        assert pages_asked_twice(google) == {}
