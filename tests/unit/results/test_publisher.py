"""What the publisher tells of itself; how it publishes is proved on a real Kafka, in `contract/`."""

import asyncio
from typing import cast

import pytest

from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.transactions import Reached, RefusedError
from app.results import publisher as module
from app.results.publisher import ReviewPublisher
from app.store.database import Database
from tests.support.clock import ManualClock, settle_loop


class RefusedProducer:
    """Kafka does not let it begin."""

    def __init__(self, *_arguments: object, **_options: object) -> None: ...

    async def start(self) -> Reached:
        raise RefusedError("this user may not write")

    async def close(self) -> None: ...


async def test_who_no_longer_publishes_tells_of_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a replica that has stepped down would stay unready, whatever is mended."""
    monkeypatch.setattr(module, "TransactionalProducer", RefusedProducer)
    connection = KafkaConnection("127.0.0.1:1")
    publisher = ReviewPublisher(cast(Database, None), connection, "group", ManualClock(), layout=TopicLayout(1))
    running = asyncio.create_task(publisher.run())
    await settle_loop()
    assert publisher.problem == "this user may not write"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert publisher.problem is None
