"""`review-fetcher migrate-data`: a service that began on one machine goes on over PostgreSQL."""

import base64
import json
from collections import Counter
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.cli.exits import ExitCode
from app.credentials import SealingKey, load_or_create_key
from app.simulator import Catalogue, Faults
from app.simulator.faults import Hold
from tests.flows.test_cli_serve import command, serving
from tests.flows.test_walk_resume import copy_store
from tests.support.engine import running_engine, truth
from tests.support.simulator import running_simulator
from tests.support.stack import Stack

pytestmark = pytest.mark.postgresql

WORLD = Catalogue(accounts=2, locations=3, reviews=400)
PAGES = 6 * 8
BEFORE = 7
"""No location has ended then, whoever is the slowest: each of the six has a call to hold."""


async def test_a_half_walked_job_is_finished_there_with_every_review_once(
    tmp_path: Path, postgresql_database: str
) -> None:
    async with running_simulator(WORLD, Faults(rules=(Hold(api="reviews", after=BEFORE),))) as google:
        async with running_engine(Stack.on_sqlite(tmp_path), google.url) as engine:
            begun = await engine.submit()
            assert await google.signals.reached({"held": 6}, 30)
            old = copy_store(tmp_path / "reviews.db", tmp_path / "old")
            google.clear_faults()
            google.release()
            await engine.job_ended(begun)
        google.ledger.reset()
        where = f"sqlite:///{old}/reviews.db"
        moved = await command(tmp_path, "migrate-data", "--from", where, "--json", DATABASE_URL=postgresql_database)
        assert moved.code == ExitCode.OK, moved.err
        told = json.loads(moved.out)
        assert told["tables"]["jobs"] == 1
        assert told["waiting_again"] > 0
        key = load_or_create_key(old / "sealing.key")
        assert told["key_ids"] == [key.id]
        assert f"{key.id}:$(base64 -w0 {old}/sealing.key)" in moved.err
        assert base64.b64encode(key.secret).decode() not in moved.out + moved.err
        async with running_engine(on_postgresql(tmp_path, postgresql_database, key), google.url) as new:
            job = await new.job_ended(begun)
            assert job["status"] == "completed"
            assert await new.reviews(begun) == truth(google)
        assert job["reviews_fetched"] == len(truth(google))
        asked = Counter((call["path"], call["page_token"]) for call in google.ledger.entries())
        assert max(asked.values()) == 1
        assert google.ledger.calls("reviews") == PAGES - BEFORE


def on_postgresql(directory: Path, url: str, key: SealingKey) -> Stack:
    sealing = SecretStr(f"{key.id}:{base64.b64encode(key.secret).decode()}")
    return Stack(directory, {"database_url": SecretStr(url), "token_sealing_keys": (sealing,)})


async def test_a_file_that_a_service_works_on_is_refused(tmp_path: Path, postgresql_database: str) -> None:
    async with serving(tmp_path):
        refused = await command(
            tmp_path, "migrate-data", "--from", f"sqlite:///{tmp_path}/store.db", "--to", postgresql_database
        )
    assert refused.code == ExitCode.FAILED
    assert "Another service process works on this store" in refused.err


async def test_a_second_copy_into_the_same_database_is_refused(tmp_path: Path, postgresql_database: str) -> None:
    made = await command(tmp_path, "keys", "create", "for the import")
    assert made.code == ExitCode.OK
    both = ("--from", f"sqlite:///{tmp_path}/store.db", "--to", postgresql_database)
    assert (await command(tmp_path, "migrate-data", *both)).code == ExitCode.OK
    refused = await command(tmp_path, "migrate-data", *both)
    assert refused.code == ExitCode.FAILED
    assert "Not empty: api_keys" in refused.err
