"""Places that are few: connections, threads, workers."""

from typing import NamedTuple


class Pool(NamedTuple):
    """How many of the `size` places are taken, and how many wait for one."""

    in_use: int
    waiting: int
    size: int


def pool_of(asking: int, size: int) -> Pool:
    """Where whoever asks either has a place or waits for one."""
    return Pool(min(asking, size), max(0, asking - size), size)
