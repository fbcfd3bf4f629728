"""A broker that is too slow for a full transaction gets smaller ones, until they are committed in time."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from app.broker.reach import Reach
from app.broker.transactions import FencedError, OutRecord, Reached, TransactionalProducer
from app.results.portion import BATCH_BYTES, BATCH_REVIEWS, Portion
from app.results.publishing import Publishing
from tests.support.announcing import held_locations, walk_all
from tests.support.clock import ManualClock
from tests.support.store import sqlite_database

IN_TIME = 40
"""So many records the broker commits before the transaction's timeout."""


class SlowKafka:
    """Ends what takes too long, as Kafka does: the producer is fenced."""

    def __init__(self) -> None:
        self.position: int | None = None
        self.records: list[OutRecord] = []

    async def start(self) -> Reached:
        return Reached("cluster", "topic", self.position)

    async def send(self, records: Iterable[OutRecord], position: int) -> None:
        batch = list(records)
        if len(batch) > IN_TIME:
            raise FencedError("the transaction took too long")
        self.records += batch
        self.position = position


async def test_what_is_too_much_for_one_transaction_goes_in_several(tmp_path: Path) -> None:
    kafka, portion, clock = SlowKafka(), Portion(), ManualClock()
    everything_sent = asyncio.Event()
    async with sqlite_database(tmp_path) as store:
        stored = sum(map(sum, await walk_all(store, await held_locations(store, 6), 5)))
        assert stored > IN_TIME
        for _ in range(20):
            publishing = Publishing(
                store,
                cast(TransactionalProducer, kafka),
                clock,
                woken=asyncio.Event(),
                reach=Reach(clock),
                portion=portion,
                going_on=everything_sent.set,
                topic_prefix="",
            )
            running = asyncio.create_task(publishing.run())
            waiting = asyncio.create_task(everything_sent.wait())
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            for task in (running, waiting):
                task.cancel()
            await asyncio.gather(running, waiting, return_exceptions=True)
            if everything_sent.is_set():
                break
    assert len(kafka.records) == stored
    assert len({record.headers[0] for record in kafka.records}) == stored


def test_a_portion_recovers() -> None:
    portion = Portion()
    for _ in range(10):
        portion.failed()
    assert portion.reviews == 1
    for _ in range(20):
        portion.arrived()
    assert (portion.reviews, portion.bytes) == (BATCH_REVIEWS, BATCH_BYTES)
