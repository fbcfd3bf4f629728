"""A customer who never stops: submits jobs through changing replicas and remembers each 202 in a ledger of its own."""

import http.client
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from uuid import UUID

from chaos.fleet import Fleet
from chaos.store import Timeline
from tests.support.service import JOBS

ANSWER_SECONDS = 5.0
"""A replica that is frozen answers never: the same POST then goes to another."""

LAST_ANSWER_SECONDS = 120.0
PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Order:
    """An accepted job."""

    job_id: str
    token: str


class Orders(threading.Thread):
    """POSTs until `end`. A POST without an answer, or with 429 or 503, is repeated under its Idempotency-Key.

    `open_jobs` are unfinished at any time: each disturbance finds work under way, and the run ends soon after the last.
    """

    def __init__(self, fleet: Fleet, timeline: Timeline, random: Random, ledger: Path, open_jobs: int) -> None:
        super().__init__(name="orders", daemon=True)
        self.accepted: list[Order] = []
        self.repeated = 0
        self.refused: list[str] = []
        self._fleet = fleet
        self._timeline = timeline
        self._random = random
        self._ledger = ledger
        self._open_jobs = open_jobs
        self._ending = threading.Event()

    def run(self) -> None:
        try:
            self._go_on()
        except Exception as error:  # whatever it was, the verdict has to know
            self.refused.append(f"with what broke the customer off: {error!r}")

    def _go_on(self) -> None:
        with self._ledger.open("a") as ledger:
            while not self._ending.is_set():
                if self._open >= self._open_jobs:
                    self._ending.wait(PAUSE_SECONDS)
                    continue
                order = self._ordered(token_of(self._random, len(self.accepted) + 1))
                if order is not None:
                    self.accepted.append(order)
                    ledger.write(f"{order.job_id}\t{order.token}\n")
                    ledger.flush()
                    self._wait_until_counted()

    def end(self, seconds: float = LAST_ANSWER_SECONDS) -> None:
        """Returns when the POST under way was answered, for it must not be left in doubt; remembers if it never is."""
        self._ending.set()
        self.join(seconds)
        if self.is_alive():
            self.refused.append(f"nothing within {seconds:.0f} s")

    @property
    def _open(self) -> int:
        return self._timeline.now.unfinished

    def _wait_until_counted(self) -> None:
        """The timeline is a moment behind: look again only when it can know of the new job."""
        accepted = time.monotonic()
        while self._timeline.now.time < accepted and not self._ending.is_set():
            self._ending.wait(PAUSE_SECONDS)

    def _ordered(self, token: str) -> Order | None:
        """None when it was refused for good, which is remembered."""
        key = str(UUID(int=self._random.getrandbits(128), version=4))
        while True:
            status, body = self._post(token, key)
            if status == 202:
                return Order(str(json.loads(body)["job_id"]), token)
            if status not in (0, 429, 503):
                self.refused.append(f"{status}: {body.decode(errors='replace')[:200]}")
                return None
            self.repeated += 1
            time.sleep(PAUSE_SECONDS)

    def _post(self, token: str, key: str) -> tuple[int, bytes]:
        replica = self._random.choice(self._fleet.replicas)
        if not replica.service.url:
            return 0, b""
        return post(replica.service.address, token, {"Idempotency-Key": key, **self._fleet.key}, ANSWER_SECONDS)


def post(address: tuple[str, int], token: str, headers: Mapping[str, str], seconds: float) -> tuple[int, bytes]:
    """Status and body of the answer; status 0: there was none."""
    connection = http.client.HTTPConnection(*address, timeout=seconds)
    try:
        content = {"Content-Type": "application/json", **headers}
        connection.request("POST", JOBS, json.dumps({"access_token": token}), content)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


WORLDS = ((1, 20), (1, 4000), (4, 60), (4, 800), (8, 150), (16, 20), (16, 100))
"""Locations of each account and reviews of each: from one page to lists long enough to be read by a zombie."""


def token_of(random: Random, number: int) -> str:
    """A token that opens a world of its own."""
    locations, reviews = random.choice(WORLDS)
    sizes = {
        "accounts": random.choice((1, 1, 2)),
        "locations": locations,
        "reviews": reviews,
        "shared": random.choice((0, 0, 2)),
        "seed": random.randrange(1_000),
    }
    return "ya29.sim" + "".join(f"-{word}{size}" for word, size in sizes.items()) + f"-spread0.8-order{number}"
