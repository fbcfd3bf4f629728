"""A bounded queue between the requests and the store. No I/O."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedDequeBuffer(Generic[T]):
    """First in, first out, never more than `max_size` items, and nothing is ever dropped: a full buffer refuses.

    For the tasks of one event loop; its methods have no await inside, so each is atomic among them.
    """

    def __init__(self, max_size: int = 10_000) -> None:
        if max_size < 1:
            raise ValueError("a buffer needs room for at least one item")
        self.max_size = max_size
        self._items: deque[T] = deque()
        self._filled = asyncio.Event()
        self._metrics = {"enqueued": 0, "dequeued": 0, "rejected": 0, "max_size_hit": 0}

    def __len__(self) -> int:
        return len(self._items)

    @property
    def metrics(self) -> dict[str, int]:
        """Since the start: items `enqueued`, `dequeued`, `rejected`, and how often the buffer became full."""
        return dict(self._metrics)

    async def enqueue(self, item: T) -> bool:
        """Append the item, or answer False when the buffer is full."""
        if len(self._items) >= self.max_size:
            self._metrics["rejected"] += 1
            return False
        self._items.append(item)
        self._filled.set()
        self._metrics["enqueued"] += 1
        self._metrics["max_size_hit"] += len(self._items) == self.max_size
        return True

    async def dequeue_batch(self, batch_size: int = 100) -> list[T]:
        """The oldest items, at most `batch_size`; an empty list when there are none."""
        batch = [self._items.popleft() for _ in range(min(batch_size, len(self._items)))]
        self._metrics["dequeued"] += len(batch)
        if not self._items:
            self._filled.clear()
        return batch

    async def get_load_percent(self) -> float:
        """How full the buffer is, 0 to 100."""
        return 100.0 * len(self._items) / self.max_size

    async def wait_for_items(self) -> None:
        """Return as soon as there is an item."""
        await self._filled.wait()
