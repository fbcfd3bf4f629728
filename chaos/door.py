"""Whether the way in stays open: a POST a second through the proxy, and what each was answered."""

import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import NamedTuple
from uuid import UUID

from chaos.checks import Span, merged, shared
from chaos.orders import Order, post

EVERY_SECONDS = 1.0
AGAIN_SECONDS = 0.2
ANSWER_SECONDS = 30.0
"""The proxy leaves a replica that hangs long before."""

LAST_ANSWER_SECONDS = 4 * ANSWER_SECONDS

ACCEPTED = 202
LATER = (429, 503)
"""The documented answers to who should come again."""


class Knock(NamedTuple):
    """One POST: when it was answered (monotonic clock), and how. Status 0: not at all."""

    time: float
    status: int
    body: str


@dataclass(frozen=True)
class Door:
    """Everything about the way in. `watched`: from the start of the knocking to its end.

    `failed` says why the knocking itself broke off: then nobody knows what became of the door.
    """

    knocks: list[Knock]
    watched: Span
    failed: str = ""


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
        self._began = time.monotonic()
        self._failed = ""

    def run(self) -> None:
        try:
            self._go_on()
        except Exception as error:  # whatever it was, the verdict has to know
            self._failed = f"it broke off: {error!r}"

    def _go_on(self) -> None:
        number = 0
        while not self._ending.is_set():
            began = time.monotonic()
            number += 1
            self._knock(f"ya29.sim-accounts1-locations1-reviews10-seed{number % 1000}-knock{number}")
            self._ending.wait(max(0.0, began + EVERY_SECONDS - time.monotonic()))

    def end(self, seconds: float = LAST_ANSWER_SECONDS) -> Door:
        """What was found, when the POST under way was answered, or never is."""
        self._ending.set()
        self.join(seconds)
        if self.is_alive():
            self._failed = f"the last POST was not accepted within {seconds:.0f} s"
        return Door(list(self.knocks), (self._began, time.monotonic()), self._failed)

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


def accepted(knocks: Iterable[Knock]) -> list[Knock]:
    return [knock for knock in knocks if knock.status == ACCEPTED]


def longest_closed(door: Door, closed: Iterable[Span]) -> float:
    """Seconds without an accepted POST, the most, from the first moment to the last.

    Those in which nobody could accept one do not count.
    """
    began, ended = door.watched
    moments = [began, *(knock.time for knock in accepted(door.knocks)), ended]
    apart = merged(closed)
    return max(then - first - shared((first, then), apart) for first, then in pairwise(moments))
