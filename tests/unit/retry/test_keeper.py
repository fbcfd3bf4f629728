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
        self.identity = "the topics"

    async def prepare(self) -> str:
        self.looked += 1
        if self.wrong:
            raise TopicLayoutError("too few partitions")
        return self.identity


class Store:
    """Knows the topics that it saw last; counts how often work was released anew, of which it had `out` pieces."""

    def __init__(self) -> None:
        self.known = "the topics"
        self.released = 0
        self.out = 2

    async def write(self, _work: object, identity: str | None = None) -> int | None:
        if identity == self.known:
            return None
        self.known = identity or self.known
        self.released += 1
        return self.out


@dataclass
class Case:
    clock: ManualClock
    topics: Topics
    store: Store
    keeper: TopicKeeper
    leading: bool = True


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    clock, topics, store = ManualClock(), Topics(), Store()
    keeper = TopicKeeper(cast(Database, store), topics, clock, lambda: made.leading)
    made = Case(clock, topics, store, keeper)
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


@pytest.mark.parametrize("out", [2, 0])
async def test_work_of_topics_that_are_gone_is_released_twice_although_another_leads_by_then(
    case: Case, out: int
) -> None:
    """Consumers may have passed over the first messages of the new topics: also if nothing was out at the look."""
    case.store.out = out
    case.topics.identity = "topics made anew"
    await case.clock.advance(KEEP_SECONDS)
    assert case.store.released == 1
    case.leading = False
    await case.clock.advance(KEEP_SECONDS)
    assert case.store.released == 2
    await case.clock.advance(3 * KEEP_SECONDS)
    assert case.store.released == 2
