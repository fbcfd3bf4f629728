"""Whether the way in stays open: a POST a second through the proxy, and what each was answered."""

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple
from uuid import UUID

from chaos.checks import Span
from chaos.orders import Order, post

EVERY_SECONDS = 1.0
AGAIN_SECONDS = 0.2
ANSWER_SECONDS = 30.0
"""The proxy leaves a replica that hangs long before."""

ACCEPTED = 202
LATER = (429, 503)
"""The documented answers to who should come again."""


class Knock(NamedTuple):
    """One POST: when it was answered (monotonic clock), and how. Status 0: not at all."""

    time: float
    status: int
    body: str


class Knocking(threading.Thread):
    """POSTs small jobs until `end`, each under its Idempotency-Key until it is accepted."""

    def __init__(self, port: int, random: Random, api_key: Mapping[str, str]) -> None:
        super().__init__(name="knocking", daemon=True)
        self.knocks: list[Knock] = []
        self.accepted: list[Order] = []
        self._address = ("127.0.0.1", port)
        self._random = random
        self._api_key = api_key
        self._ending = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._ending.is_set():
            began = time.monotonic()
            number += 1
            self._knock(f"ya29.sim-accounts1-locations1-reviews10-seed{number % 1000}-knock{number}")
            self._ending.wait(max(0.0, began + EVERY_SECONDS - time.monotonic()))

    def end(self) -> None:
        """Returns when the POST under way was answered."""
        self._ending.set()
        self.join(4 * ANSWER_SECONDS)

    def _knock(self, token: str) -> None:
        key = str(UUID(int=self._random.getrandbits(128), version=4))
        while True:
            status, body = post(self._address, token, {"Idempotency-Key": key, **self._api_key}, ANSWER_SECONDS)
            self.knocks.append(Knock(time.monotonic(), status, body.decode(errors="replace")[:200]))
            if status == ACCEPTED:
                self.accepted.append(Order(str(json.loads(body)["job_id"]), token))
            if status not in (0, *LATER):
                return
            time.sleep(AGAIN_SECONDS)


def refusals(knocks: Iterable[Knock]) -> list[Knock]:
    """What a client cannot know what to do with."""
    return [knock for knock in knocks if knock.status not in (ACCEPTED, *LATER)]


def longest_closed(knocks: Iterable[Knock], closed: Sequence[Span]) -> float:
    """Seconds between two accepted POSTs, the most; but for what met a time when nobody could accept one."""
    accepted = [knock.time for knock in knocks if knock.status == ACCEPTED]
    open_hours = ((first, then) for first, then in pairwise(accepted) if not _met(first, then, closed))
    return max((then - first for first, then in open_hours), default=0.0)


def _met(first: float, then: float, closed: Iterable[Span]) -> bool:
    return any(first <= end and begin <= then for begin, end in closed)
