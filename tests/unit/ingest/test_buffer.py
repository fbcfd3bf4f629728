"""The bounded buffer: order kept, nothing dropped, refusals counted."""

import asyncio

import pytest

from app.ingest.buffer import BoundedDequeBuffer
from tests.support.clock import settle_loop


async def _filled(size: int, items: int) -> BoundedDequeBuffer[int]:
    buffer = BoundedDequeBuffer[int](size)
    for item in range(items):
        await buffer.enqueue(item)
    return buffer


async def test_items_leave_in_the_order_in_which_they_came() -> None:
    buffer = await _filled(10, 5)
    assert await buffer.dequeue_batch(2) == [0, 1]
    assert await buffer.dequeue_batch(2) == [2, 3]
    assert await buffer.dequeue_batch(2) == [4]
    assert await buffer.dequeue_batch(2) == []


async def test_a_batch_has_a_hundred_items_unless_asked_otherwise() -> None:
    buffer = await _filled(500, 250)
    assert [len(await buffer.dequeue_batch()) for _ in range(4)] == [100, 100, 50, 0]


async def test_a_full_buffer_refuses_and_keeps_what_it_has() -> None:
    buffer = await _filled(2, 2)
    assert not await buffer.enqueue(2)
    assert await buffer.dequeue_batch() == [0, 1]
    assert await buffer.enqueue(3)


async def test_what_happened_is_counted() -> None:
    buffer = await _filled(2, 4)
    await buffer.dequeue_batch(1)
    await buffer.enqueue(9)
    assert buffer.metrics == {"enqueued": 3, "dequeued": 1, "rejected": 2, "max_size_hit": 2}


async def test_the_load_is_told_in_percent() -> None:
    buffer = await _filled(8, 6)
    assert await buffer.get_load_percent() == 75.0
    await buffer.dequeue_batch()
    assert await buffer.get_load_percent() == 0.0


async def test_whoever_waits_is_woken_by_the_first_item_and_not_by_one_that_is_gone() -> None:
    buffer = await _filled(8, 0)
    waiting = asyncio.ensure_future(buffer.wait_for_items())
    await settle_loop()
    assert not waiting.done()
    await buffer.enqueue(1)
    await waiting
    await buffer.dequeue_batch()
    again = asyncio.ensure_future(buffer.wait_for_items())
    await settle_loop()
    assert not again.done()
    again.cancel()


def test_a_buffer_without_room_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="room"):
        BoundedDequeBuffer[int](0)
