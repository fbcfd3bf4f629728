"""Who looks after the topics, and until when a problem with them is told."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

import pytest

from app.broker.base import TopicLayoutError
from app.broker.in_process import InProcessBroker
from app.retry.keeper import KEEP_SECONDS, TopicKeeper
from app.store.database import Database
from tests.support.clock import ManualClock, settle_loop


class Topics(InProcessBroker):
    """Topics that may be wrong; counts how often somebody looked."""

    def __init__(self) -> None:
        super().__init__()
        self.looked = 0
        self.wrong = False

    async def prepare(self) -> str:
        self.looked += 1
        if self.wrong:
            raise TopicLayoutError("too few partitions")
        return "the topics"


class Store:
    """To which the topics are always the same."""

    async def write(self, _work: object, _identity: str) -> int:
        return 0


@dataclass
class Case:
    clock: ManualClock
    topics: Topics
    keeper: TopicKeeper
    leading: bool = True


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    clock, topics = ManualClock(), Topics()
    keeper = TopicKeeper(cast(Database, Store()), topics, clock, lambda: made.leading)
    made = Case(clock, topics, keeper)
    await keeper.prepare()
    running = asyncio.create_task(keeper.run())
    await settle_loop()
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_who_leads_looks_again_and_the_others_do_not(case: Case) -> None:
    await case.clock.advance(3 * KEEP_SECONDS)
    assert case.topics.looked == 4
    case.leading = False
    await case.clock.advance(3 * KEEP_SECONDS)
    assert case.topics.looked == 4


async def test_a_problem_is_told_until_it_is_mended_although_another_leads_by_then(case: Case) -> None:
    case.topics.wrong = True
    await case.clock.advance(KEEP_SECONDS)
    assert case.keeper.problem == "too few partitions"
    case.leading = False
    case.topics.wrong = False
    await case.clock.advance(KEEP_SECONDS)
    assert case.keeper.problem is None
