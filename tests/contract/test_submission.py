"""Submitting over every database: what must not depend on which one it is."""

import asyncio
from dataclasses import replace
from unittest.mock import patch

from sqlalchemy import Table, delete

from app.ingest.buffer import BoundedDequeBuffer
from app.ingest.committer import Arrival, Committer
from app.store.database import Database, Transaction
from app.store.schema import idempotency_keys
from app.store.submit import NewJob, Submitted, submit
from tests.support.api import served_api


async def test_fifty_equal_requests_at_once_become_one_job(database: Database) -> None:
    async with served_api(database) as api:
        ids = await asyncio.gather(*(api.submit(idempotency_key="order-1") for _ in range(50)))
        assert len(set(ids)) == 1
        assert await api.count_jobs() == 1


async def test_replicas_that_take_the_same_keys_at_once_agree_on_the_jobs(database: Database) -> None:
    replicas = [Committer(BoundedDequeBuffer[Arrival](), database, committed=lambda: None) for _ in range(2)]
    keys = [f"order-{number}" for number in range(40)]
    waiting = [
        asyncio.create_task(replica.accept(NewJob(f"{key}-{number}", "default", "key-1", b"sealed", key, "hash")))
        for number, (replica, order) in enumerate(zip(replicas, (keys, keys[::-1]), strict=True))
        for key in order
    ]
    await asyncio.sleep(0)
    await asyncio.gather(*(replica.stop() for replica in replicas))
    submitted = {(await task).job_id for task in waiting}
    assert sorted(job_id.rpartition("-")[0] for job_id in submitted) == sorted(keys)


async def test_a_key_that_is_deleted_in_the_moment_of_the_look_fails_nobody(database: Database) -> None:
    """Its job is erased, or it is a day old: the next look finds it gone, and the key is free."""
    first = NewJob("first", "default", "key-1", b"sealed", "order-1", "hash")
    await database.write(submit, [first])

    def submitted_as_the_key_goes(transaction: Transaction, new: list[NewJob]) -> list[Submitted]:
        insert = transaction.insert_ignore

        def inserted(table: Table, rows: list[dict[str, object]]) -> int:
            count = insert(table, rows)
            if not count:
                transaction.connection.execute(delete(idempotency_keys))
            return count

        with patch.object(transaction, "insert_ignore", inserted):
            return submit(transaction, new)

    new = [replace(first, id="second"), NewJob("other", "other", "key-1", b"sealed")]
    answers = await database.write(submitted_as_the_key_goes, new)
    assert [(answer.job_id, answer.replayed) for answer in answers] == [("second", False), ("other", False)]
