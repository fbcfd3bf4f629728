"""How far a consumer group may commit: up to the lowest message of a partition that is not finished."""

from collections import deque


class _Partition:
    """One partition since it was assigned. `order` keeps the messages as they came, `unfinished` those still open."""

    __slots__ = ("next", "order", "unfinished")

    def __init__(self, offset: int) -> None:
        self.next = offset
        self.order: deque[int] = deque()
        self.unfinished: set[int] = set()

    def position(self) -> int:
        while self.order and self.order[0] not in self.unfinished:
            self.order.popleft()
        return self.order[0] if self.order else self.next


class OffsetTracker:
    """Messages finish in any order; what is committed says that everything before it is finished.

    Not thread-safe. Holds as much as is between the lowest unfinished message of a partition and its newest.
    """

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = {}

    def received(self, partition: int, offset: int) -> None:
        """Offsets of a partition rise, but need not be without gaps. A lower one means that it was set back."""
        known = self._partitions.get(partition)
        if known is None or offset < known.next:
            known = self._partitions[partition] = _Partition(offset)
        known.next = offset + 1
        known.order.append(offset)
        known.unfinished.add(offset)

    def finished(self, partition: int, offset: int) -> None:
        """Once or often; of a partition that was taken away meanwhile it means nothing."""
        known = self._partitions.get(partition)
        if known is not None:
            known.unfinished.discard(offset)

    def drop(self, partition: int) -> None:
        """The partition is no longer ours."""
        self._partitions.pop(partition, None)

    def positions(self) -> dict[int, int]:
        """Partition → the offset to commit: that of the next message to read after a restart."""
        return {number: partition.position() for number, partition in self._partitions.items()}
